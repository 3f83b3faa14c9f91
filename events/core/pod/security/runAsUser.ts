/** Containers must not ask for user 0. With a user namespace of the pod's own they may, since 1.35 (KEP-127). */
import { hasUserNamespace, offenders, type Check, type CheckPod } from './Check.ts'
import { settersOf } from './words.ts'

const check: CheckPod = ({ spec }) => {
  const setters = settersOf(
    spec.securityContext?.runAsUser === 0,
    offenders(spec, ({ securityContext }) => securityContext?.runAsUser === 0)
  )
  return setters === '' ? undefined : { reason: 'runAsUser=0', detail: `${setters} must not set runAsUser=0` }
}

export const runAsUser: Check = {
  id: 'runAsUser',
  level: 'restricted',
  versions: [
    { since: 23, check },
    { since: 35, check: (subject) => (hasUserNamespace(subject.spec) ? undefined : check(subject)) }
  ]
}
