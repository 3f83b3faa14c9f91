/** Cluster IPs and node ports: handed out where a Service leaves them open, checked where it asks for one. Plain. */
import { SERVICES, SERVICE_CIDRS } from '#events/collections.ts'
import type { Service, ServicePort, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { ObjectKey } from '#events/Key.ts'
import { badValue } from '#events/meta/faults.ts'
import { isHost, parseIP, parseNetwork, textOfIP, type Family, type Network } from '#events/meta/ip.ts'
import { isOf } from '#events/networking/parent.ts'
import { cidrsOf, DEFAULT_SERVICE_CIDR, isReady } from '#events/networking/ServiceCIDR.ts'
import { invalid, type FieldError } from '#events/Refusal.ts'
import type { DecideContext } from '#services/apiserver/decision.ts'
import { ipKey, ipsOf, nodePortsOf, portKey } from './service.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Spec = Writable<ServiceSpec>

/** Random draws before walking a range: cheap while it is mostly free. */
const DRAWS = 32
/** A range larger than this is not walked: it is never nearly full. */
const LONGEST_WALK = 2n ** 20n

/** Where addresses come from now: the ServiceCIDRs that are ready, or before there are any what the cluster was set up with. */
export const networksOf = ({ view, settings }: DecideContext): readonly Network[] => {
  const parsed = (cidrs: readonly string[]): Network[] => cidrs.flatMap((cidr) => parseNetwork(cidr) ?? [])
  if (view.get({ ...SERVICE_CIDRS, namespace: '', name: DEFAULT_SERVICE_CIDR }) === undefined) return parsed([settings.serviceCIDR])
  return view
    .collection(SERVICE_CIDRS)
    .list()
    .filter(({ object }) => isReady(object))
    .flatMap(({ object }) => parsed(cidrsOf(object)))
}

/** The cluster's families, the one Services usually have first: the family it was set up with. */
const familiesOf = (context: DecideContext): readonly Family[] => {
  const usual = parseNetwork(context.settings.serviceCIDR)?.family
  const all = new Set(networksOf(context).map(({ family }) => family))
  return [...(usual === undefined ? [] : [usual]), ...all].filter((family, at, list) => all.has(family) && list.indexOf(family) === at)
}

/** The families a Service has addresses of, where it does not say: before defaults, which know no cluster. */
export const prepareService = (service: Service, old: Service | undefined, context: DecideContext): void => {
  const spec: Spec = (service.spec ??= {})
  if (spec.type === 'ExternalName') return
  const before = old?.spec ?? {}
  const given = ipsOf(spec).flatMap((ip) => parseIP(ip)?.family ?? [])
  if (!spec.ipFamilies?.length)
    spec.ipFamilies =
      given.length > 0
        ? given
        : before.ipFamilies?.length && before.type !== 'ExternalName'
          ? [...before.ipFamilies]
          : familiesOf(context).slice(0, 1)
  if (spec.ipFamilies.length === 1 && (spec.ipFamilyPolicy === 'PreferDualStack' || spec.ipFamilyPolicy === 'RequireDualStack'))
    spec.ipFamilies = [...spec.ipFamilies, ...familiesOf(context).filter((family) => family !== spec.ipFamilies?.[0])]
  if (spec.ipFamilies.length === 0) delete spec.ipFamilies
}

export const allocateService = (service: Service, old: Service | undefined, context: DecideContext): void => {
  const spec: Spec = service.spec
  const before = old?.spec
  const faults: FieldError[] = []
  const owner: ObjectKey = { ...SERVICES, namespace: service.metadata.namespace ?? '', name: service.metadata.name ?? '' }
  allocateIPs(spec, before, owner, context, faults)
  if (faults.length === 0) allocatePorts(spec, before, owner, context, faults)
  if (faults.length > 0) throw invalid('', 'Service', service.metadata.name ?? '', faults)
}

const allocateIPs = (spec: Spec, before: ServiceSpec | undefined, owner: ObjectKey, context: DecideContext, faults: FieldError[]): void => {
  if (spec.type === 'ExternalName') {
    delete spec.clusterIP
    delete spec.clusterIPs
    return
  }
  if (before !== undefined && before.type !== 'ExternalName' && (spec.clusterIP ?? '') === '') {
    if (before.clusterIP !== undefined) spec.clusterIP = before.clusterIP
    if (before.clusterIPs !== undefined) spec.clusterIPs = [...before.clusterIPs]
  }
  if (!isSettled(spec, before)) return
  const headless = spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None'
  const networks = networksOf(context)
  const had = new Set(before === undefined ? [] : ipsOf(before))
  const given = ipsOf(spec)
  const families = (spec.ipFamilies ?? []) as readonly Family[]
  if (!headless && (given.length === 0 || given.some((ip) => !had.has(ip)))) faults.push(...familyFaults(spec, families, networks))
  if (faults.length > 0) return
  const ips = headless
    ? ['None']
    : given.length > families.length
      ? [...given]
      : families.map((family, at) => given[at] ?? freeIP(family, networks, owner.name, context))
  for (const ip of headless ? [] : given) {
    const fault = had.has(ip) ? undefined : ipFault(ip, ips, networks, owner, context)
    if (fault !== undefined) faults.push(fault)
  }
  spec.clusterIP = ips[0] as string
  spec.clusterIPs = ips
}

/** False for what the kind's own rules refuse: nothing is looked for, and what was asked for stays as it was said. */
const isSettled = ({ clusterIP = '', clusterIPs = [] }: Spec, before: ServiceSpec | undefined): boolean => {
  const had = before === undefined || before.type === 'ExternalName' ? '' : (before.clusterIP ?? '')
  return (clusterIPs.length === 0 || clusterIPs[0] === clusterIP) && (had === '' || clusterIP === had)
}

/** What the cluster has no networks for. */
const familyFaults = ({ ipFamilyPolicy }: Spec, families: readonly Family[], networks: readonly Network[]): FieldError[] => {
  const faults = families.flatMap((family, at) =>
    networks.length === 0 || networks.some((network) => network.family === family)
      ? []
      : [badValue(`spec.ipFamilies[${at}]`, family, 'not configured on this cluster')]
  )
  if (ipFamilyPolicy === 'RequireDualStack' && families.length < 2)
    faults.push(badValue('spec.ipFamilyPolicy', ipFamilyPolicy, 'this cluster is not configured for dual-stack services'))
  return faults
}

/** True when it is somebody else's: claimed, or not yet claimed by a Service of before there were claims. */
const isTaken = (key: ObjectKey, index: string, owner: ObjectKey | undefined, { view }: DecideContext): boolean => {
  const claim = view.get(key)
  if (claim !== undefined) return owner === undefined || !isOf(claim.object, owner)
  for (const { key: user } of view.collection(SERVICES).indexed(index, key.name))
    if (owner === undefined || user.name !== owner.name || user.namespace !== owner.namespace) return true
  return false
}

const ipFault = (
  ip: string,
  all: readonly string[],
  networks: readonly Network[],
  owner: ObjectKey,
  context: DecideContext
): FieldError | undefined => {
  const value = parseIP(ip)
  if (value === undefined)
    return badValue(`spec.clusterIPs[${all.indexOf(ip)}]`, ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')
  if (!networks.some((network) => isHost(value, network)))
    return badValue(
      'spec.clusterIPs',
      all,
      `failed to allocate IP ${ip}: the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${networks.map(({ text }) => text).join(', ')}`
    )
  return isTaken(ipKey(ip), 'clusterIP', owner, context)
    ? badValue('spec.clusterIPs', all, `failed to allocate IP ${ip}: provided IP is already allocated`)
    : undefined
}

/** The numbers from `first` on, the upper band first (KEP-3070): below it are those that people ask for. Undefined when all are taken. */
const pick = (first: bigint, last: bigint, band: bigint, open: (value: bigint) => boolean, random: () => number): bigint | undefined => {
  for (const [from, to] of [
    [first + band, last],
    [first, first + band - 1n]
  ] as const) {
    const size = to - from + 1n
    if (size <= 0n) continue
    const drawn = size < 2n ** 48n ? size : 2n ** 48n
    let start = from
    for (let draw = 0; draw < DRAWS; draw++) {
      start = from + BigInt(Math.floor(random() * Number(drawn)))
      if (open(start)) return start
    }
    if (size <= LONGEST_WALK)
      for (let step = 0n; step < size; step++) if (open(from + ((start - from + step) % size))) return from + ((start - from + step) % size)
  }
  return undefined
}

const most = (left: bigint, right: bigint): bigint => (left > right ? left : right)
const least = (left: bigint, right: bigint): bigint => (left < right ? left : right)
/** As upstream: a sixteenth of the addresses, at least 16 and at most 256. */
const addressBand = (size: bigint): bigint => (size <= 16n ? 0n : least(256n, most(16n, size / 16n)))
/** As upstream: a thirty-second of the ports, at least 16 and at most 128 (KEP-3668). */
const portBand = (size: bigint): bigint => (size <= 16n ? 0n : least(128n, most(16n, size / 32n)))

const freeIP = (family: Family, networks: readonly Network[], name: string, context: DecideContext): string => {
  const mine = networks.filter((network) => network.family === family)
  for (const { base, size } of mine) {
    const open = (value: bigint): boolean => {
      const key = ipKey(textOfIP({ family, value }))
      return !context.busy(key) && !isTaken(key, 'clusterIP', undefined, context)
    }
    const band = addressBand(size)
    const value = pick(base + 1n, base + size - (family === 'IPv4' ? 2n : 1n), band === 0n ? 0n : band - 1n, open, context.random)
    if (value !== undefined) return textOfIP({ family, value })
  }
  throw invalid('', 'Service', name, [
    {
      type: 'Invalid',
      field: 'spec.clusterIPs',
      detail: `failed to allocate a serviceIP: ${mine.length === 0 ? 'no ServiceCIDR is ready' : `range ${mine.map(({ text }) => text).join(', ')} is full`}`
    }
  ])
}

const allocatePorts = (
  spec: Spec,
  before: ServiceSpec | undefined,
  owner: ObjectKey,
  context: DecideContext,
  faults: FieldError[]
): void => {
  const ports = (spec.ports ?? []) as Writable<ServicePort>[]
  if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') {
    // Leaving NodePort gives the ports back, unless the client names them itself.
    if (before !== undefined && before.type !== spec.type) for (const port of ports) delete port.nodePort
    return
  }
  const had = new Set(before === undefined ? [] : nodePortsOf(before))
  const idOf = ({ protocol = 'TCP', port }: ServicePort): string => `${protocol}/${port}`
  const kept = new Map((before?.ports ?? []).flatMap((port) => (port.nodePort ? [[idOf(port), port.nodePort] as const] : [])).toReversed())
  const used = new Set<string>()
  const numbers = new Set<number>()
  const [low, high] = context.settings.nodePorts
  const allocates = spec.type === 'NodePort' || spec.allocateLoadBalancerNodePorts !== false
  for (const [at, port] of ports.entries()) {
    const { protocol = 'TCP' } = port
    if (!port.nodePort) {
      const number = kept.get(idOf(port)) ?? (allocates ? (twin(ports, port, used) ?? freePort(numbers, owner.name, context)) : undefined)
      if (number === undefined) continue
      port.nodePort = number
    }
    const number = port.nodePort
    const field = `spec.ports[${at}].nodePort`
    const mine = had.has(number) || numbers.has(number)
    if (!mine && (number < low || number > high))
      faults.push(badValue(field, number, `provided port is not in the valid range. The range of valid ports is ${low}-${high}`))
    // One that the Service names twice is for the kind to tell, as upstream.
    else if (!mine && isTaken(portKey(number), 'nodePort', owner, context))
      faults.push(badValue(field, number, 'provided port is already allocated'))
    used.add(`${protocol}/${number}`)
    numbers.add(number)
  }
}

/** As upstream: the same port of another protocol has the same number outside. */
const twin = (ports: readonly ServicePort[], { port, protocol = 'TCP' }: ServicePort, used: ReadonlySet<string>): number | undefined =>
  ports.find(
    (other) => other.port === port && other.nodePort && (other.protocol ?? 'TCP') !== protocol && !used.has(`${protocol}/${other.nodePort}`)
  )?.nodePort

const freePort = (numbers: ReadonlySet<number>, name: string, context: DecideContext): number => {
  const [low, high] = context.settings.nodePorts
  const open = (value: bigint): boolean => {
    const key = portKey(Number(value))
    return !numbers.has(Number(value)) && !context.busy(key) && !isTaken(key, 'nodePort', undefined, context)
  }
  const port = pick(BigInt(low), BigInt(high), portBand(BigInt(high - low + 1)), open, context.random)
  if (port === undefined)
    throw invalid('', 'Service', name, [
      { type: 'Invalid', field: 'spec.ports', detail: `failed to allocate a nodePort: range ${low}-${high} is full` }
    ])
  return Number(port)
}
