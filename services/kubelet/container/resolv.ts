/** A pod's /etc/hosts and /etc/resolv.conf. */
import type { Pod } from '#events/schema/generated/core.v1.ts'

export interface DnsSettings {
  /** Addresses of the cluster DNS; none: every pod resolves as its node does. */
  readonly clusterDNS: readonly string[]
  readonly clusterDomain: string
  /** The node's own resolv.conf. */
  readonly node: string
}

const SEARCHES_MAX = 32
const NAMESERVERS_MAX = 3

const parse = (text: string): { servers: string[]; searches: string[]; options: string[] } => {
  const result = { servers: [] as string[], searches: [] as string[], options: [] as string[] }
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/)
    if (word === 'nameserver' && rest[0] !== undefined) result.servers.push(rest[0])
    else if (word === 'search') result.searches = rest
    else if (word === 'options') result.options = rest
  }
  return result
}

export const resolvConf = (pod: Pod, { clusterDNS, clusterDomain, node }: DnsSettings): string => {
  const { dnsPolicy = 'ClusterFirst', dnsConfig, hostNetwork } = pod.spec ?? {}
  const namespace = pod.metadata?.namespace ?? 'default'
  const cluster =
    clusterDNS.length > 0 && (dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && hostNetwork !== true))
  const own = parse(node)
  let { servers, searches, options } =
    dnsPolicy === 'None' ? { servers: [] as string[], searches: [] as string[], options: [] as string[] } : own
  if (cluster) {
    servers = [...clusterDNS]
    searches = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...own.searches]
    options = ['ndots:5']
  }
  const named = (dnsConfig?.options ?? []).map(({ name, value }) =>
    value === undefined || value === '' ? (name ?? '') : `${name}:${value}`
  )
  const overridden = new Set(named.map((option) => option.split(':')[0]))
  const all = {
    servers: [...new Set([...servers, ...(dnsConfig?.nameservers ?? [])])].slice(0, NAMESERVERS_MAX),
    searches: [...new Set([...searches, ...(dnsConfig?.searches ?? [])])].filter((search) => search !== '.').slice(0, SEARCHES_MAX),
    options: [...options.filter((option) => !overridden.has(option.split(':')[0])), ...named]
  }
  return [
    ...(all.searches.length === 0 ? [] : [`search ${all.searches.join(' ')}`]),
    ...all.servers.map((server) => `nameserver ${server}`),
    ...(all.options.length === 0 ? [] : [`options ${all.options.join(' ')}`]),
    ''
  ].join('\n')
}

/** The pod's name for itself, at most 63 characters as the kernel and RFC 1123 want it. */
export const hostnameOf = (pod: Pod): string => (pod.spec?.hostname ?? pod.metadata?.name ?? 'pod').slice(0, 63).replace(/[-.]+$/, '')

export const hostsFile = (pod: Pod, ip: string, clusterDomain: string): string => {
  const host = hostnameOf(pod)
  const { subdomain } = pod.spec ?? {}
  const full = subdomain === undefined || subdomain === '' ? '' : `${host}.${subdomain}.${pod.metadata?.namespace}.svc.${clusterDomain}\t`
  return [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    `${ip}\t${full}${host}`,
    ...((pod.spec?.hostAliases ?? []).length === 0
      ? []
      : [
          '',
          '# Entries added by HostAliases.',
          ...(pod.spec?.hostAliases ?? []).map((alias) => `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`)
        ]),
    ''
  ].join('\n')
}
