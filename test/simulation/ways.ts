/** Where a packet filter sends connections to Services, read from its rules alone. */
import { targetOf } from '#services/platform/iptables/text.ts'

type Chains = ReadonlyMap<string, readonly string[]>

export interface Way {
  /** `default/web:http`: whose rules they are. */
  readonly services: ReadonlySet<string>
  /** `10.244.1.2:8080`; nothing: it is refused. */
  readonly ends: readonly string[]
}

const MATCH = /(?:-d (\S+)\/32 )?-p (\w+) -m comment --comment "(\S+) (?:cluster IP|node port|has no endpoints)".* --dport (\d+) -j (\S+)/

/** By `tcp 10.96.0.5:80` or `tcp node:30001`. */
export const waysIn = (nat: Chains, filter: Chains): ReadonlyMap<string, Way> => {
  const found = new Map<string, { services: Set<string>; ends: string[] }>()
  const endsOf = (chain: string): string[] =>
    (nat.get(chain) ?? []).flatMap((rule) => {
      const end = /--to-destination (\S+)/.exec(rule)?.[1]
      return end === undefined ? endsOf(targetOf(rule) as string) : [end]
    })
  for (const [table, chains] of Object.entries({ nat, filter }))
    for (const [name, rules] of chains) {
      if (!/-(SERVICES|NODEPORTS|REFUSED|REFUSED-EXT)$/.test(name)) continue
      for (const rule of rules) {
        const [, ip = 'node', protocol, service, port, target] = MATCH.exec(rule) ?? []
        if (service === undefined) continue
        const to = `${protocol} ${ip}:${port}`
        const way = found.get(to) ?? { services: new Set(), ends: [] }
        way.services.add(service)
        way.ends.push(...(table === 'nat' ? endsOf(target as string) : []))
        found.set(to, way)
      }
    }
  return found
}
