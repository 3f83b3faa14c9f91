/** Probes and hooks must address their own pod: with a host of the author's choice the kubelet asks whom it never should. */
import type { Container } from '#events/schema/generated/core.v1.ts'
import { containersOf, type Check } from './Check.ts'
import { containersNamed, plural, quoted, sortedOnce } from './words.ts'

interface Action {
  readonly httpGet?: { readonly host?: string }
  readonly tcpSocket?: { readonly host?: string }
}

const hostsOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): string[] =>
  ([livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop] as readonly (Action | undefined)[])
    .flatMap((action) => [action?.httpGet?.host ?? '', action?.tcpSocket?.host ?? ''])
    .filter((host) => host !== '')

export const hostProbesAndHostLifecycle: Check = {
  id: 'hostProbesAndHostLifecycle',
  level: 'baseline',
  versions: [
    {
      since: 34,
      check: ({ spec }) => {
        const bad = containersOf(spec).filter((container) => hostsOf(container).length > 0)
        if (bad.length === 0) return undefined
        // Unlike other checks upstream's sorts the names here.
        const names = sortedOnce(bad.map(({ name }) => name))
        const hosts = sortedOnce(bad.flatMap(hostsOf))
        const use = `${plural('uses', 'use', names.length)} ${plural('probe or lifecycle host', 'probe or lifecycle hosts', hosts.length)}`
        return { reason: 'probe or lifecycle host', detail: `${containersNamed(names)} ${use} ${quoted(hosts)}` }
      }
    }
  ]
}
