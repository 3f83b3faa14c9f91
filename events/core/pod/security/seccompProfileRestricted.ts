/** Every container must have a seccomp profile, its own or the pod's. */
import { isWindows, offenders, type Check, type CheckPod } from './Check.ts'
import { isUnconfined, seccompFields, seccompProfileBaseline } from './seccompProfileBaseline.ts'
import { containersNamed } from './words.ts'

const check: CheckPod = (subject) => {
  const turnedOff = seccompFields(subject)
  if (turnedOff !== undefined) return turnedOff
  const { spec } = subject
  if (spec.securityContext?.seccompProfile !== undefined && !isUnconfined(spec)) return undefined
  const without = offenders(spec, ({ securityContext }) => securityContext?.seccompProfile === undefined)
  if (without.length === 0) return undefined
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containersNamed(without)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`
  }
}

const overrides = [seccompProfileBaseline.id]

export const seccompProfileRestricted: Check = {
  id: 'seccompProfile_restricted',
  level: 'restricted',
  versions: [
    { since: 19, check, overrides },
    { since: 25, check: (subject) => (isWindows(subject.spec) ? undefined : check(subject)), overrides }
  ]
}
