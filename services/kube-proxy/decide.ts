/** From a Service's ports to rules: upstream's chains under the cluster's own names, as data. */
import type { Family } from '#events/meta/ip.ts'
import type { ProxyEndpoint, ProxyPort } from '#projections/Proxy.ts'
import { chainNames, type ChainNames, type ProxyConfig } from './chains.ts'
import type { RuleSet } from './RuleSet.ts'

/** The rules one Service needs. Two Services never share a chain, so the whole set is the union of these. */
export const decideService = (ports: readonly ProxyPort[], config: ProxyConfig): RuleSet => {
  const names = chainNames(config)
  const rules: Mutable = { chains: new Map(), lists: new Map() }
  for (const port of ports) decidePort(port, names, config, rules)
  return rules
}

/** What iptables and ip6tables say differently. */
interface Words {
  /** Of an address's own. */
  readonly bits: number
  readonly mask: string
  readonly unreachable: string
}

const WORDS: Readonly<Record<Family, Words>> = {
  IPv4: { bits: 32, mask: '255.255.255.255', unreachable: 'icmp-port-unreachable' },
  IPv6: { bits: 128, mask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', unreachable: 'icmp6-port-unreachable' }
}

const hostPort = ({ ip, port }: ProxyEndpoint): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)

interface Mutable {
  readonly chains: Map<string, readonly string[]>
  readonly lists: Map<string, Set<string>>
}

const list = (rules: Mutable, chain: string, rule: string): void => {
  let entries = rules.lists.get(chain)
  if (entries === undefined) rules.lists.set(chain, (entries = new Set()))
  entries.add(rule)
}

const decidePort = (port: ProxyPort, names: ChainNames, config: ProxyConfig, rules: Mutable): void => {
  const identity = `${port.id}/${port.protocol}`
  const words = WORDS[config.family ?? 'IPv4']
  const match = (number: number): string => `-m ${port.protocol} --dport ${number}`
  const comment = (what: string): string => `-m comment --comment "${port.id} ${what}"`
  const to = (ip: string, what: string): string => `-d ${ip}/${words.bits} -p ${port.protocol} ${comment(what)} ${match(port.port)}`

  const endpoints = new Map([...port.cluster, ...port.local].map((endpoint) => [hostPort(endpoint), endpoint]))
  for (const [address, endpoint] of endpoints) {
    const chain = names.endpoint(identity, address)
    rules.chains.set(`nat ${chain}`, endpointRules(port, endpoint, chain, names, words))
  }

  const service = names.service(identity)
  const external = names.external(identity)
  const local = names.local(identity)
  const hasExternal = port.nodePort !== 0 || port.externalIPs.length > 0
  const internalChain = port.internalLocal ? local : service
  const internal = port.internalLocal ? port.local : port.cluster
  const outside = port.externalLocal ? port.local : port.cluster

  if (port.cluster.length > 0 && (!port.internalLocal || hasExternal)) {
    rules.chains.set(`nat ${service}`, [
      ...(config.clusterCIDR === undefined
        ? []
        : [
            `! -s ${config.clusterCIDR} -d ${port.clusterIP}/${words.bits} -p ${port.protocol} ${comment('cluster IP')} ${match(port.port)} -j ${names.markMasquerade}`
          ]),
      ...balance(port, identity, port.cluster, names, words)
    ])
  }
  if (port.local.length > 0 && (port.internalLocal || (port.externalLocal && hasExternal))) {
    rules.chains.set(`nat ${local}`, balance(port, identity, port.local, names, words))
  }
  if (hasExternal && port.cluster.length > 0) {
    rules.chains.set(
      `nat ${external}`,
      port.externalLocal
        ? [
            // Pods and the node itself may use any endpoint; only what comes from outside keeps its source, and so must stay here.
            ...(config.clusterCIDR === undefined ? [] : [`-s ${config.clusterCIDR} -j ${service}`]),
            `-m addrtype --src-type LOCAL -j ${names.markMasquerade}`,
            `-m addrtype --src-type LOCAL -j ${service}`,
            ...(port.local.length > 0 ? [`-j ${local}`] : [])
          ]
        : [`-j ${names.markMasquerade}`, `-j ${service}`]
    )
  }

  const refuse = (endpointsLeft: boolean): string =>
    // Elsewhere there are endpoints: a silent drop lets a balancer's client try another node (as upstream).
    endpointsLeft ? '-j DROP' : `-j REJECT --reject-with ${words.unreachable}`
  const none = (where: readonly ProxyEndpoint[]): string => (where.length === 0 ? 'has no endpoints' : 'has no local endpoints')

  if (internal.length > 0) list(rules, `nat ${names.services}`, `${to(port.clusterIP, 'cluster IP')} -j ${internalChain}`)
  else list(rules, `filter ${names.refused}`, `${to(port.clusterIP, none(port.cluster))} ${refuse(port.cluster.length > 0)}`)
  for (const ip of port.externalIPs) {
    if (port.cluster.length > 0) list(rules, `nat ${names.services}`, `${to(ip, 'external IP')} -j ${external}`)
    if (outside.length === 0)
      list(rules, `filter ${names.refusedOutside}`, `${to(ip, none(port.cluster))} ${refuse(port.cluster.length > 0)}`)
  }
  if (port.nodePort !== 0) {
    if (port.cluster.length > 0)
      list(rules, `nat ${names.nodePorts}`, `-p ${port.protocol} ${comment('node port')} ${match(port.nodePort)} -j ${external}`)
    if (outside.length === 0)
      list(
        rules,
        `filter ${names.refusedOutside}`,
        `-p ${port.protocol} ${comment(none(port.cluster))} -m addrtype --dst-type LOCAL ${match(port.nodePort)} ${refuse(port.cluster.length > 0)}`
      )
  }
}

const endpointRules = (port: ProxyPort, endpoint: ProxyEndpoint, chain: string, names: ChainNames, words: Words): readonly string[] => {
  const remember = port.affinitySeconds > 0 ? ` -m recent --set --name ${chain} --mask ${words.mask} --rsource` : ''
  return [
    // A pod that reaches itself through the Service must see another source than its own address.
    `-s ${endpoint.ip}/${words.bits} -m comment --comment "${port.id}" -j ${names.markMasquerade}`,
    `-p ${port.protocol} -m comment --comment "${port.id}"${remember} -m ${port.protocol} -j DNAT --to-destination ${hostPort(endpoint)}`
  ]
}

/** One endpoint each with the same chance: the first of n by 1/n, the next of the rest by 1/(n-1), … */
const balance = (
  port: ProxyPort,
  identity: string,
  endpoints: readonly ProxyEndpoint[],
  names: ChainNames,
  words: Words
): readonly string[] => {
  const chains = endpoints.map(hostPort).map((address) => ({ chain: names.endpoint(identity, address), shown: `${port.id} -> ${address}` }))
  const sticky =
    port.affinitySeconds === 0
      ? []
      : chains.map(
          ({ chain, shown }) =>
            `-m comment --comment "${shown}" -m recent --rcheck --seconds ${port.affinitySeconds} --reap --name ${chain} --mask ${words.mask} --rsource -j ${chain}`
        )
  return [
    ...sticky,
    ...chains.map(({ chain, shown }, index) => {
      const left = chains.length - index
      const chance = left === 1 ? '' : ` -m statistic --mode random --probability ${probability(1 / left)}`
      return `-m comment --comment "${shown}"${chance} -j ${chain}`
    })
  ]
}

/** The kernel keeps 31 bits of a probability; written as it is read back, so that rules can be compared as text. */
const probability = (value: number): string => (Math.round(value * 0x80000000) / 0x80000000).toFixed(11)

/** The rules that are there whatever Services exist. */
export const decideBase = (config: ProxyConfig): RuleSet => {
  const names = chainNames(config)
  const mark = `0x${config.masqueradeMark.toString(16)}`
  return {
    chains: new Map<string, readonly string[]>([
      [`nat ${names.entry}`, [`-j ${names.services}`, `-m addrtype --dst-type LOCAL -j ${names.nodePorts}`]],
      [`nat ${names.markMasquerade}`, [`-j MARK --set-xmark ${mark}/${mark}`]],
      [
        `nat ${names.postRouting}`,
        // The mark is taken off again: a packet that is routed once more must not be masqueraded twice.
        [`-m mark ! --mark ${mark}/${mark} -j RETURN`, `-j MARK --set-xmark ${mark}/0x0`, '-j MASQUERADE --random-fully']
      ]
    ]),
    lists: new Map<string, ReadonlySet<string>>([
      [`nat ${names.services}`, new Set()],
      [`nat ${names.nodePorts}`, new Set()],
      [`filter ${names.refused}`, new Set()],
      [`filter ${names.refusedOutside}`, new Set()]
    ])
  }
}
