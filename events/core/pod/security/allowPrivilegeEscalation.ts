/** A program in a container must not gain rights its parent has not (setuid and the like). */
import { isWindows, offenders, type Check, type CheckPod } from './Check.ts'
import { containersNamed } from './words.ts'

const check: CheckPod = ({ spec }) => {
  const names = offenders(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false)
  return names.length === 0
    ? undefined
    : {
        reason: 'allowPrivilegeEscalation != false',
        detail: `${containersNamed(names)} must set securityContext.allowPrivilegeEscalation=false`
      }
}

export const allowPrivilegeEscalation: Check = {
  id: 'allowPrivilegeEscalation',
  level: 'restricted',
  versions: [
    { since: 8, check },
    { since: 25, check: (subject) => (isWindows(subject.spec) ? undefined : check(subject)) }
  ]
}
