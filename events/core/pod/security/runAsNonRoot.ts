/** Containers must not run as root. With a user namespace of the pod's own they may, since 1.35 (KEP-127). */
import { hasUserNamespace, offenders, type Check, type CheckPod } from './Check.ts'
import { containersNamed, settersOf } from './words.ts'

const REASON = 'runAsNonRoot != true'

const check: CheckPod = ({ spec }) => {
  const pod = spec.securityContext?.runAsNonRoot
  const setters = settersOf(
    pod === false,
    offenders(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false)
  )
  if (setters !== '') return { reason: REASON, detail: `${setters} must not set securityContext.runAsNonRoot=false` }
  const silent = pod === true ? [] : offenders(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined)
  return silent.length === 0
    ? undefined
    : { reason: REASON, detail: `pod or ${containersNamed(silent)} must set securityContext.runAsNonRoot=true` }
}

export const runAsNonRoot: Check = {
  id: 'runAsNonRoot',
  level: 'restricted',
  versions: [
    { since: 0, check },
    { since: 35, check: (subject) => (hasUserNamespace(subject.spec) ? undefined : check(subject)) }
  ]
}
