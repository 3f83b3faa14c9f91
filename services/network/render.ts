/** The texts that make the pod network: batches for ip(8), rules for iptables-restore(8). */
import type { Jump } from '#services/platform/iptables/RuleKeeper.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import type { Family } from '#events/meta/ip.ts'
import { macOf, type PodRange } from './addresses.ts'

export interface NetworkNames {
  readonly bridge: string
  /** Prefix of our iptables chains. */
  readonly chains: string
  /** Prefix of the node's ends of the pods' interfaces. */
  readonly veth: string
}

/** Nobody else has a pod's address: an IPv6 one need not be asked for first, which takes a second or two. */
const AT_ONCE: Readonly<Record<Family, string>> = { IPv4: '', IPv6: ' nodad' }

export const networkNames = (instance: string): NetworkNames => ({
  bridge: `rk${instance}0`,
  chains: `RKN-${instance}-`,
  veth: `rk${instance}`
})

export const renderBridge = (bridge: string, range: PodRange, mtu: number): string =>
  [`link add name ${bridge} mtu ${mtu} address ${macOf(range.gateway)} type bridge`, ...renderBridgeAddress(bridge, range)].join('\n')

export const renderBridgeAddress = (bridge: string, range: PodRange): readonly string[] => [
  `address replace ${range.gateway}/${range.prefixLength} dev ${bridge}${AT_ONCE[range.family]}`,
  `link set dev ${bridge} up`
]

export interface PodLink {
  /** The node's end. */
  readonly veth: string
  readonly ip: string
  readonly podUid: string
  readonly pausePid: number
}

/** The node's side. The alias says whose it is, so that the interfaces alone tell which addresses are in use. */
export const renderNodeSide = (link: PodLink, bridge: string, mtu: number): string =>
  [
    `link add name ${link.veth} mtu ${mtu} type veth peer name eth0 mtu ${mtu} address ${macOf(link.ip)} netns ${link.pausePid}`,
    `link set dev ${link.veth} alias ${aliasOf(link)}`,
    `link set dev ${link.veth} master ${bridge} up`,
    // A pod that reaches itself through a Service: the bridge must send the frame back where it came from.
    `link set dev ${link.veth} type bridge_slave hairpin on`
  ].join('\n')

export const renderPodSide = (ip: string, range: PodRange): string =>
  [
    'link set dev lo up',
    `address replace ${ip}/${range.prefixLength} dev eth0${AT_ONCE[range.family]}`,
    'link set dev eth0 up',
    `route replace default via ${range.gateway} dev eth0`
  ].join('\n')

const aliasOf = ({ podUid, ip }: { podUid: string; ip: string }): string => `reckon:${podUid}:${ip}`

/** Pod uid and address from an interface's alias. */
export const parseAlias = (alias: string): { podUid: string; ip: string } | undefined => {
  const [, podUid, ip] = /^reckon:([^:\s]+):([\da-f.:]+)$/.exec(alias) ?? []
  return podUid === undefined || ip === undefined ? undefined : { podUid, ip }
}

/** All of one family: each has tables of its own. */
export interface RuleInputs {
  readonly names: NetworkNames
  readonly nodePodCIDR: string
  readonly podCIDR: string
  readonly serviceCIDR: string
}

const MULTICAST: Readonly<Record<Family, string>> = { IPv4: '224.0.0.0/4', IPv6: 'ff00::/8' }

const familyOf = (cidr: string): Family => parseCIDR(cidr)?.family ?? 'IPv4'

export const networkJumps = ({ names, nodePodCIDR }: RuleInputs): readonly Jump[] => [
  { table: 'nat', chain: 'POSTROUTING', rule: `-s ${nodePodCIDR} -j ${names.chains}POSTROUTING` },
  { table: 'filter', chain: 'FORWARD', rule: `-j ${names.chains}FORWARD` },
  ...(familyOf(nodePodCIDR) === 'IPv4'
    ? [{ table: 'filter', chain: 'INPUT', rule: `-d 127.0.0.0/8 -j ${names.chains}INPUT` } as const]
    : [])
]

export const renderRules = (inputs: RuleInputs, missing: readonly Jump[]): string => {
  const { bridge, chains } = inputs.names
  const family = familyOf(inputs.nodePodCIDR)
  const inserts = (table: string): string[] =>
    missing.filter((jump) => jump.table === table).map(({ chain, rule }) => `-I ${chain} ${rule}`)
  return [
    '*nat',
    `:${chains}POSTROUTING - [0:0]`,
    // Pods see one another's addresses; the world sees the node's.
    `-A ${chains}POSTROUTING -d ${inputs.podCIDR} -j RETURN`,
    `-A ${chains}POSTROUTING -d ${MULTICAST[family]} -j RETURN`,
    `-A ${chains}POSTROUTING -j MASQUERADE --random-fully`,
    ...inserts('nat'),
    'COMMIT',
    '*filter',
    `:${chains}FORWARD - [0:0]`,
    ...(family === 'IPv4' ? [`:${chains}INPUT - [0:0]`] : []),
    // A cluster IP that is still there after translation has no endpoints: that is the proxy's to refuse, not ours to let out.
    `-A ${chains}FORWARD ! -d ${inputs.serviceCIDR} -i ${bridge} -j ACCEPT`,
    `-A ${chains}FORWARD -s ${inputs.podCIDR} -o ${bridge} -j ACCEPT`,
    `-A ${chains}FORWARD -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT`,
    // route_localnet lets node ports work on 127.0.0.1; pods and neighbours still must not reach what listens there (CVE-2020-8558).
    // IPv6 has no such setting: nothing from outside is ever routed to ::1.
    ...(family === 'IPv4' ? [`-A ${chains}INPUT ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`] : []),
    ...inserts('filter'),
    'COMMIT',
    ''
  ].join('\n')
}

const SYSCTLS_V6 = [
  { path: 'net/ipv6/conf/all/forwarding', value: '1', needed: true },
  { path: 'net/bridge/bridge-nf-call-ip6tables', value: '1', needed: true }
] as const

/**
 * Settings of the kernel, each tried on its own. bridge-nf-call-iptables: packets between two pods of the bridge must
 * meet the rules too, or the answers of a Service's endpoint come from the wrong address.
 */
export const sysctls = (
  bridge: string,
  family: Family = 'IPv4'
): readonly { readonly path: string; readonly value: string; readonly needed: boolean }[] =>
  family === 'IPv6'
    ? SYSCTLS_V6
    : [
        { path: 'net/ipv4/ip_forward', value: '1', needed: true },
        { path: `net/ipv4/conf/${bridge}/route_localnet`, value: '1', needed: true },
        { path: `net/ipv4/conf/${bridge}/rp_filter`, value: '0', needed: false },
        { path: 'net/bridge/bridge-nf-call-iptables', value: '1', needed: true }
      ]
