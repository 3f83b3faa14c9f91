/**
 * The cluster's names, answered: a plain function of the Services and their slices, after the Kubernetes DNS
 * specification 1.1.0. Names compare without case (RFC 4343); answers carry the name as it was asked.
 */
import type { Answer, Question } from 'dns-packet'
import type { Service, ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import { parseCIDR } from '#events/meta/cidr.ts'
import { canonicalIP, isWithin, parseIP } from '#events/meta/ip.ts'
import type { DnsView } from './DnsView.ts'

export interface DnsConfig {
  /** `cluster.local`, without a dot at the end. */
  readonly domain: string
  /** The address pods ask: kube-system/kube-dns. */
  readonly clusterDNS: string
  /** Networks whose reverse names are ours: services and pods. */
  readonly reverse: readonly string[]
  /** Of the SOA record: grows with every change. */
  readonly serial: number
}

/** `forward`: not a name of the cluster. */
export type Reply =
  | { readonly kind: 'forward' }
  | {
      readonly kind: 'answer'
      readonly code: 'NOERROR' | 'NXDOMAIN'
      readonly answers: readonly Answer[]
      readonly authorities: readonly Answer[]
      readonly additionals: readonly Answer[]
      /** A CNAME outside the cluster, whose addresses the client will want as well. */
      readonly chase?: string
    }

/** Seconds. Short, since endpoints come and go. */
export const TTL = 5
const CNAMES_FOLLOWED = 8

interface Found {
  readonly records: readonly Answer[]
  readonly additionals?: readonly Answer[]
  readonly cname?: string
}

export const answer = (view: DnsView, question: Question, config: DnsConfig): Reply => {
  const name = question.name.replace(/\.$/, '').toLowerCase()
  const domain = config.domain.toLowerCase()
  if (name === domain || name.endsWith(`.${domain}`)) {
    const labels = name === domain ? [] : name.slice(0, -domain.length - 1).split('.')
    return reply(follow(view, labels, question, config), domain, config)
  }
  const ip = addressOf(name)
  if (ip === undefined || !config.reverse.some((network) => within(ip, network))) return { kind: 'forward' }
  const names = reverseNames(view, ip, config)
  return reply(
    names.length === 0
      ? undefined
      : { records: wants(question, 'PTR') ? names.map((data) => ({ type: 'PTR', name: question.name, ttl: TTL, data }) as const) : [] },
    name,
    config
  )
}

/** Within the cluster, a CNAME is answered with what it leads to. */
const follow = (view: DnsView, labels: readonly string[], question: Question, config: DnsConfig): Found | undefined => {
  const first = lookUp(view, labels, question, config)
  let found = first
  const records = [...(first?.records ?? [])]
  for (let step = 0; found?.cname !== undefined && step < CNAMES_FOLLOWED; step++) {
    const target = found.cname.toLowerCase()
    if (!target.endsWith(`.${config.domain.toLowerCase()}`)) return { records, cname: found.cname }
    found = lookUp(view, target.slice(0, -config.domain.length - 1).split('.'), { ...question, name: found.cname }, config)
    records.push(...(found?.records ?? []))
  }
  return first === undefined ? undefined : { records, additionals: found?.additionals ?? [] }
}

const reply = (found: Found | undefined, zone: string, config: DnsConfig): Reply => ({
  kind: 'answer',
  code: found === undefined ? 'NXDOMAIN' : 'NOERROR',
  answers: found?.records ?? [],
  authorities:
    found === undefined || found.records.length === 0 ? [soa(/\.(in-addr|ip6)\.arpa$/.test(zone) ? zone : config.domain, config)] : [],
  additionals: found?.additionals ?? [],
  ...(found?.cname === undefined ? {} : { chase: found.cname })
})

const soa = (zone: string, config: DnsConfig): Answer => ({
  type: 'SOA',
  name: zone,
  ttl: TTL,
  data: {
    mname: `ns.dns.${config.domain}`,
    rname: `hostmaster.${config.domain}`,
    serial: config.serial % 2 ** 32,
    refresh: 7200,
    retry: 1800,
    expire: 86400,
    minimum: TTL
  }
})

const NOTHING: Found = { records: [] }
const wants = ({ type }: Question, kind: string): boolean => type === kind || (type as string) === 'ANY'
/** A or AAAA, as the address is. */
const record = (name: string, ip: string): Answer => ({ type: typeOf(ip), name, ttl: TTL, data: ip }) as Answer
const typeOf = (ip: string): 'A' | 'AAAA' => (ip.includes(':') ? 'AAAA' : 'A')

/** Of these addresses those of the type that is asked for. */
const addresses = (name: string, ips: Iterable<string>, question: Question): readonly Answer[] =>
  [...new Set(ips)].filter((ip) => wants(question, typeOf(ip))).map((ip) => record(name, ip))

/** An address as part of a name: `10-244-0-7`, `fd00--7`. */
const dashed = (ip: string): string => ip.replace(/[.:]/g, '-')

const clusterIPs = ({ clusterIPs: ips, clusterIP }: ServiceSpec): readonly string[] =>
  (ips ?? [clusterIP ?? '']).filter((ip) => parseIP(ip) !== undefined)

/** Undefined: there is no such name. Without records: the name is there, but nothing of this type. */
const lookUp = (view: DnsView, labels: readonly string[], question: Question, config: DnsConfig): Found | undefined => {
  const kind = labels.at(-1)
  const namespace = labels.at(-2)
  const path = labels.join('.')
  if (path === '') return apex(question, config)
  if (path === 'dns-version')
    return { records: wants(question, 'TXT') ? [{ type: 'TXT', name: question.name, ttl: TTL, data: '1.1.0' }] : [] }
  if (path === 'ns.dns') return { records: addresses(question.name, [config.clusterDNS], question) }
  if (path === 'dns') return NOTHING
  if (kind === 'pod') return pod(view, labels, question)
  if (kind !== 'svc') return undefined
  if (namespace === undefined) return NOTHING
  const name = labels.at(-3)
  if (name === undefined) return view.hasNamespace(namespace) ? NOTHING : undefined
  const service = view.service(namespace, name)
  if (service === undefined) return undefined
  return ofService(view, service, labels.slice(0, -3), question, config)
}

const apex = (question: Question, config: DnsConfig): Found => {
  if (wants(question, 'SOA')) return { records: [{ ...soa(config.domain, config), name: question.name } as Answer] }
  if (wants(question, 'NS'))
    return {
      records: [{ type: 'NS', name: question.name, ttl: TTL, data: `ns.dns.${config.domain}` }],
      additionals: [record(`ns.dns.${config.domain}`, config.clusterDNS)]
    }
  return NOTHING
}

/** `10-244-0-7.default.pod`: the address is in the name, so it needs no pod to be there. */
const pod = (view: DnsView, labels: readonly string[], question: Question): Found | undefined => {
  if (labels.length === 1) return NOTHING
  if (!view.hasNamespace(labels.at(-2) as string)) return undefined
  if (labels.length === 2) return NOTHING
  const label = labels[0] as string
  const ip = canonicalIP(label.replaceAll('-', '.')) ?? canonicalIP(label.replaceAll('-', ':'))
  if (labels.length !== 3 || ip === undefined) return undefined
  return { records: addresses(question.name, [ip], question) }
}

interface Target {
  readonly hostname: string
  readonly ip: string
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[]
}

/** What a name in front of the Service's own refers to: `rest` is empty for the Service itself. */
const ofService = (view: DnsView, service: Service, rest: readonly string[], question: Question, config: DnsConfig): Found | undefined => {
  const spec: ServiceSpec = service.spec ?? {}
  const full = `${service.metadata.name}.${service.metadata.namespace}.svc.${config.domain}`
  if (spec.type === 'ExternalName') {
    if (rest.length > 0) return undefined
    const target = (spec.externalName ?? '').replace(/\.$/, '')
    return {
      records: [{ type: 'CNAME', name: question.name, ttl: TTL, data: target }],
      ...(question.type === 'CNAME' ? {} : { cname: target })
    }
  }
  const headless = spec.clusterIP === 'None'
  const targets = headless || rest.length === 1 ? targetsOf(view, service, spec.publishNotReadyAddresses === true) : []
  if (headless && targets.length === 0) return undefined
  if (rest.length === 0) {
    if (wants(question, 'SRV')) return srv(question.name, full, spec, targets, () => true, headless)
    return { records: addresses(question.name, headless ? targets.map(({ ip }) => ip) : clusterIPs(spec), question) }
  }
  if (rest.length === 1) {
    const [label] = rest as [string]
    // `_tcp.web.default.svc`: a step on the way to `_http._tcp…`.
    if (label === '_tcp' || label === '_udp')
      return hasPort(spec, targets, headless, (port) => port.protocol.toLowerCase() === label.slice(1)) ? NOTHING : undefined
    const own = targets.filter(({ hostname, ip }) => hostname === label || dashed(ip) === label)
    if (own.length === 0) return undefined
    return {
      records: addresses(
        question.name,
        own.map(({ ip }) => ip),
        question
      )
    }
  }
  const [portLabel, protocolLabel] = rest as [string, string]
  if (rest.length !== 2 || !portLabel.startsWith('_') || !protocolLabel.startsWith('_')) return undefined
  const wanted = (port: { name: string; protocol: string }): boolean =>
    `_${port.name}` === portLabel && `_${port.protocol.toLowerCase()}` === protocolLabel
  if (!hasPort(spec, targets, headless, wanted)) return undefined
  return wants(question, 'SRV') ? srv(question.name, full, spec, targets, wanted, headless) : NOTHING
}

type PortTest = (port: { name: string; protocol: string }) => boolean

const named = (ports: readonly ServicePort[] | undefined): { name: string; protocol: string; port: number }[] =>
  (ports ?? []).map(({ name, protocol, port }) => ({ name: name ?? '', protocol: protocol ?? 'TCP', port }))

const hasPort = (spec: ServiceSpec, targets: readonly Target[], headless: boolean, test: PortTest): boolean =>
  headless ? targets.some(({ ports }) => ports.some(test)) : named(spec.ports).some(test)

/** One record per port of the Service, or per port and endpoint when it is headless; with the addresses of the targets. */
const srv = (asked: string, full: string, spec: ServiceSpec, targets: readonly Target[], test: PortTest, headless: boolean): Found => {
  const at = (target: string, port: number): Answer => ({
    type: 'SRV',
    name: asked,
    ttl: TTL,
    data: { priority: 0, weight: 100, port, target }
  })
  if (!headless) {
    const records = named(spec.ports)
      .filter(test)
      .map(({ port }) => at(full, port))
    return { records, additionals: records.length === 0 ? [] : clusterIPs(spec).map((ip) => record(full, ip)) }
  }
  const chosen = targets.map((target) => ({ ...target, ports: target.ports.filter(test) })).filter(({ ports }) => ports.length > 0)
  return {
    records: chosen.flatMap(({ hostname, ports }) => ports.map(({ port }) => at(`${hostname}.${full}`, port))),
    additionals: chosen.map(({ hostname, ip }) => record(`${hostname}.${full}`, ip))
  }
}

/** Ready endpoints; an endpoint without a host name is known by its address with dashes. */
const targetsOf = (view: DnsView, service: Service, unready: boolean): readonly Target[] => {
  const found = new Map<string, Target>()
  for (const slice of view.slices(service.metadata.namespace ?? '', service.metadata.name ?? '')) {
    if (slice.addressType === 'FQDN') continue
    const ports = (slice.ports ?? []).flatMap(({ name, protocol, port }) =>
      port === undefined || port === null ? [] : [{ name: name ?? '', protocol: protocol ?? 'TCP', port }]
    )
    for (const { addresses: ips, conditions, hostname } of slice.endpoints ?? []) {
      if (!unready && conditions?.ready === false) continue
      for (const ip of ips)
        found.set(`${hostname ?? ''}/${ip}/${ports.map(({ name, port }) => `${name}:${port}`).join()}`, {
          hostname: hostname || dashed(ip),
          ip,
          ports
        })
    }
  }
  return [...found.values()]
}

const reverseNames = (view: DnsView, ip: string, config: DnsConfig): readonly string[] => {
  const service = view.serviceByIP(ip)
  if (service !== undefined) return [`${service.metadata.name}.${service.metadata.namespace}.svc.${config.domain}`]
  const names = new Set<string>()
  for (const object of view.slicesByIP(ip)) {
    const name = object.metadata.labels?.['kubernetes.io/service-name']
    const namespace = object.metadata.namespace ?? ''
    if (name === undefined || view.service(namespace, name) === undefined) continue
    for (const endpoint of object.endpoints ?? [])
      if (endpoint.addresses.includes(ip) && endpoint.conditions?.ready !== false)
        names.add(`${endpoint.hostname || dashed(ip)}.${name}.${namespace}.svc.${config.domain}`)
  }
  return [...names].sort()
}

/** `7.0.244.10.in-addr.arpa` → `10.244.0.7`; 32 digits and `ip6.arpa` likewise (RFC 3596). */
const addressOf = (name: string): string | undefined => {
  const [, reversed] = /^((?:\d{1,3}\.){3}\d{1,3})\.in-addr\.arpa$/.exec(name) ?? []
  if (reversed !== undefined) return canonicalIP(reversed.split('.').reverse().join('.'))
  const [, digits] = /^((?:[0-9a-f]\.){31}[0-9a-f])\.ip6\.arpa$/.exec(name) ?? []
  return digits === undefined ? undefined : canonicalIP((digits.split('.').reverse().join('').match(/.{4}/g) as string[]).join(':'))
}

const within = (ip: string, network: string): boolean => {
  const [address, range] = [parseIP(ip), parseCIDR(network)]
  return address !== undefined && range !== undefined && isWithin(address, range)
}
