/** A container must drop ALL capabilities and may add back only NET_BIND_SERVICE. */
import { capabilitiesBaseline } from './capabilitiesBaseline.ts'
import { containersOf, isWindows, offenders, type Check, type CheckPod } from './Check.ts'
import { containersNamed, quoted, sortedOnce } from './words.ts'

const forbidden = (name: string): boolean => name !== 'NET_BIND_SERVICE'

const check: CheckPod = ({ spec }) => {
  const keeping = offenders(spec, ({ securityContext }) => securityContext?.capabilities?.drop?.includes('ALL') !== true)
  const adding = offenders(spec, ({ securityContext }) => securityContext?.capabilities?.add?.some(forbidden) === true)
  const details = keeping.length === 0 ? [] : [`${containersNamed(keeping)} must set securityContext.capabilities.drop=["ALL"]`]
  if (adding.length > 0) {
    const added = sortedOnce(
      containersOf(spec)
        .flatMap(({ securityContext }) => securityContext?.capabilities?.add ?? [])
        .filter(forbidden)
    )
    details.push(`${containersNamed(adding)} must not include ${quoted(added)} in securityContext.capabilities.add`)
  }
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') }
}

const overrides = [capabilitiesBaseline.id]

export const capabilitiesRestricted: Check = {
  id: 'capabilities_restricted',
  level: 'restricted',
  versions: [
    { since: 22, check, overrides },
    // Windows has no capabilities; validation refuses a Windows pod that names some.
    { since: 25, check: (subject) => (isWindows(subject.spec) ? undefined : check(subject)), overrides }
  ]
}
