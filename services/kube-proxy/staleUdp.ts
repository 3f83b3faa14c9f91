/**
 * UDP has no end of a connection, so the kernel would send a talkative client to a vanished endpoint for ever:
 * which flows must be forgotten when the ports of Services change.
 */
import type { ProxyPort } from '#projections/Proxy.ts'
import type { Flow } from '#services/platform/Conntrack.ts'

const key = (port: ProxyPort): string => `${port.id}/${port.clusterIP}/${port.port}`

export const staleUdp = (before: readonly ProxyPort[], after: readonly ProxyPort[]): readonly Flow[] => {
  const now = new Map(after.filter(({ protocol }) => protocol === 'udp').map((port) => [key(port), port]))
  const then = new Map(before.filter(({ protocol }) => protocol === 'udp').map((port) => [key(port), port]))
  const stale: Flow[] = []
  for (const [id, port] of then) {
    const left = new Set(now.get(id)?.cluster.map(({ ip }) => ip))
    for (const { ip } of port.cluster) if (!left.has(ip)) stale.push(...doors(port).map((door) => ({ ...door, endpoint: ip })))
  }
  // Flows of the time without endpoints were let through untranslated, and would stay so.
  for (const [id, port] of now) if (port.cluster.length > 0 && (then.get(id)?.cluster.length ?? 0) === 0) stale.push(...doors(port))
  return stale
}

const doors = (port: ProxyPort): { to?: string; port: number }[] => [
  { to: port.clusterIP, port: port.port },
  ...port.externalIPs.map((to) => ({ to, port: port.port })),
  ...(port.nodePort === 0 ? [] : [{ port: port.nodePort }])
]
