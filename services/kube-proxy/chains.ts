/** The names of the proxy's chains and where they hang. They carry the cluster's instance, so that clusters can share a machine. */
import type { Family } from '#events/meta/ip.ts'
import type { Jump } from '#services/platform/iptables/RuleKeeper.ts'

export interface ProxyConfig {
  /** Five lowercase letters or digits. */
  readonly instance: string
  readonly nodeName: string
  /** Whose addresses its rules are of; IPv4 unless told. */
  readonly family?: Family
  /** The whole cluster's pods. What comes from elsewhere to a cluster IP is masqueraded. */
  readonly clusterCIDR?: string
  /** A single bit of the packet mark, e.g. 0x4000. */
  readonly masqueradeMark: number
  /** A cryptographic hash as letters and digits, at least 15 long: who names a Service must not be able to choose its chain. */
  readonly hash: (text: string) => string
}

export interface ChainNames {
  /** From PREROUTING and OUTPUT. */
  readonly entry: string
  readonly services: string
  readonly nodePorts: string
  readonly markMasquerade: string
  readonly postRouting: string
  /** filter: cluster IPs without endpoints. */
  readonly refused: string
  /** filter: external IPs and node ports without endpoints. */
  readonly refusedOutside: string
  service(port: string): string
  local(port: string): string
  external(port: string): string
  endpoint(port: string, address: string): string
}

/** iptables takes 28 characters; 13 are the prefix. */
const HASHED = 15

export const chainPrefix = (instance: string): string => `RK-${instance}-`

export const chainNames = (config: ProxyConfig): ChainNames => {
  const prefix = chainPrefix(config.instance)
  const hashed = (text: string): string => config.hash(text).slice(0, HASHED)
  return {
    entry: `${prefix}PROXY`,
    services: `${prefix}SERVICES`,
    nodePorts: `${prefix}NODEPORTS`,
    markMasquerade: `${prefix}MARK-MASQ`,
    postRouting: `${prefix}POSTROUTING`,
    refused: `${prefix}REFUSED`,
    refusedOutside: `${prefix}REFUSED-EXT`,
    service: (port) => `${prefix}SVC-${hashed(port)}`,
    local: (port) => `${prefix}SVL-${hashed(port)}`,
    external: (port) => `${prefix}EXT-${hashed(port)}`,
    endpoint: (port, address) => `${prefix}SEP-${hashed(`${port} ${address}`)}`
  }
}

/** The rules of ours in chains that are not ours. All go to the front: Docker's and others' verdicts come after. */
export const jumps = (config: ProxyConfig): readonly Jump[] => {
  const names = chainNames(config)
  const fresh = '-m conntrack --ctstate NEW'
  return [
    { table: 'nat', chain: 'PREROUTING', rule: `-j ${names.entry}` },
    { table: 'nat', chain: 'OUTPUT', rule: `-j ${names.entry}` },
    { table: 'nat', chain: 'POSTROUTING', rule: `-j ${names.postRouting}` },
    { table: 'filter', chain: 'FORWARD', rule: `${fresh} -j ${names.refused}` },
    { table: 'filter', chain: 'OUTPUT', rule: `${fresh} -j ${names.refused}` },
    { table: 'filter', chain: 'INPUT', rule: `${fresh} -j ${names.refusedOutside}` },
    { table: 'filter', chain: 'FORWARD', rule: `${fresh} -j ${names.refusedOutside}` },
    { table: 'filter', chain: 'OUTPUT', rule: `${fresh} -j ${names.refusedOutside}` }
  ]
}
