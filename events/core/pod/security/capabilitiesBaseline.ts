/** A container may add no capability beyond those container runtimes give by default; NET_RAW, though a default, is not among them. */
import { containersOf, offenders, type Check } from './Check.ts'
import { containersNamed, quoted, sortedOnce } from './words.ts'

const DEFAULT = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT'
])

export const capabilitiesBaseline: Check = {
  id: 'capabilities_baseline',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const names = offenders(
          spec,
          ({ securityContext }) => securityContext?.capabilities?.add?.some((name) => !DEFAULT.has(name)) === true
        )
        if (names.length === 0) return undefined
        const added = sortedOnce(
          containersOf(spec)
            .flatMap(({ securityContext }) => securityContext?.capabilities?.add ?? [])
            .filter((name) => !DEFAULT.has(name))
        )
        return {
          reason: 'non-default capabilities',
          detail: `${containersNamed(names)} must not include ${quoted(added)} in securityContext.capabilities.add`
        }
      }
    }
  ]
}
