/** A container's /proc must be masked as the runtime does by default; the baseline level lets pods with a user namespace choose. */
import { containersOf, hasUserNamespace, offenders, type Check, type CheckPod } from './Check.ts'
import { containersNamed, quoted, sortedOnce } from './words.ts'

const check: CheckPod = ({ spec }) => {
  const names = offenders(spec, ({ securityContext }) => (securityContext?.procMount ?? 'Default') !== 'Default')
  if (names.length === 0) return undefined
  const chosen = sortedOnce(
    containersOf(spec)
      .flatMap(({ securityContext }) => securityContext?.procMount ?? [])
      .filter((type) => type !== 'Default')
  )
  return { reason: 'procMount', detail: `${containersNamed(names)} must not set securityContext.procMount to ${quoted(chosen)}` }
}

export const procMountBaseline: Check = {
  id: 'procMount',
  level: 'baseline',
  versions: [
    { since: 0, check },
    { since: 35, check: (subject) => (hasUserNamespace(subject.spec) ? undefined : check(subject)) }
  ]
}

/** Before 1.35 the baseline check said the same. */
export const procMountRestricted: Check = {
  id: 'procMount_restricted',
  level: 'restricted',
  versions: [{ since: 35, check, overrides: [procMountBaseline.id] }]
}
