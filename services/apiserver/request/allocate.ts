/** Cluster IPs and node ports: handed out where a Service leaves them open, checked where it asks for one. */
import type { KubeObject } from '#events/KubeObject.ts'
import { invalid, type FieldError } from '#events/Refusal.ts'
import type { DecideContext } from '../decision.ts'

const SERVICES = { group: '', resource: 'services' }
/** Random draws before walking the whole range: cheap while the range is mostly free. */
const DRAWS = 32

interface ServiceSpec {
  type?: string
  clusterIP?: string
  clusterIPs?: string[]
  ipFamilies?: string[]
  ipFamilyPolicy?: string
  externalTrafficPolicy?: string
  ports?: { nodePort?: number; protocol?: string; port: number; name?: string }[]
}

export const toNumber = (ip: string): number | undefined => {
  const parts = ip.split('.').map(Number)
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}
const toIP = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')

const range = (cidr: string): { base: number; size: number } => {
  const [ip = '', bits = '0'] = cidr.split('/')
  return { base: toNumber(ip) as number, size: 2 ** (32 - Number(bits)) }
}

export const allocateService = (service: KubeObject, old: KubeObject | undefined, context: DecideContext): readonly string[] => {
  const spec = service['spec'] as ServiceSpec
  const before = old?.['spec'] as ServiceSpec | undefined
  const faults: FieldError[] = []
  const reserves: string[] = []
  if (spec.type === 'ExternalName') {
    delete spec.clusterIP
    delete spec.clusterIPs
  } else {
    if (before !== undefined && before.type !== 'ExternalName' && (spec.clusterIP ?? '') === '') {
      if (before.clusterIP !== undefined) spec.clusterIP = before.clusterIP
      if (before.clusterIPs !== undefined) spec.clusterIPs = before.clusterIPs
    }
    if ((spec.clusterIP ?? '') === '') spec.clusterIP = spec.clusterIPs?.[0] ?? freeIP(context)
    if (spec.clusterIP !== 'None' && spec.clusterIP !== before?.clusterIP) {
      const fault = ipFault(spec.clusterIP as string, service, context)
      if (fault === undefined) reserves.push(`ip/${spec.clusterIP}`)
      else faults.push(fault)
    }
    spec.clusterIPs = [spec.clusterIP as string]
    spec.ipFamilies ??= ['IPv4']
    spec.ipFamilyPolicy ??= 'SingleStack'
  }
  const wantsNodePorts = spec.type === 'NodePort' || spec.type === 'LoadBalancer'
  const taken = new Set<string>()
  const [portBefore, namesBefore] = nodePortsOf(before)
  for (const [at, port] of (spec.ports ?? []).entries()) {
    if (!wantsNodePorts) {
      // Leaving NodePort gives the ports back, unless the client names them itself.
      if (before !== undefined && before.type !== spec.type) delete port.nodePort
      continue
    }
    const protocol = port.protocol ?? 'TCP'
    if (!port.nodePort) {
      port.nodePort = portBefore.get(`${protocol}/${port.port}`) ?? freePort(protocol, taken, context)
    }
    const name = `${protocol}/${port.nodePort}`
    const mine = namesBefore.has(name)
    const [low, high] = context.settings.nodePorts
    if (!mine && (port.nodePort < low || port.nodePort > high))
      faults.push({ type: 'Invalid', field: `spec.ports[${at}].nodePort`, value: port.nodePort, detail: `provided port is not in the valid range. The range of valid ports is ${low}-${high}` })
    else if (taken.has(name) || (!mine && portTaken(name, context)))
      faults.push({ type: 'Invalid', field: `spec.ports[${at}].nodePort`, value: port.nodePort, detail: 'provided port is already allocated' })
    else if (!mine) reserves.push(`port/${name}`)
    taken.add(name)
  }
  if (faults.length > 0) throw invalid('', 'Service', service.metadata.name ?? '', faults)
  return reserves
}

/** What a Service has already: node ports by `TCP/80`, and their names such as `TCP/30080`. */
const nodePortsOf = (spec: ServiceSpec | undefined): readonly [ReadonlyMap<string, number>, ReadonlySet<string>] => {
  const ports = new Map<string, number>()
  const names = new Set<string>()
  for (const { protocol = 'TCP', port, nodePort } of spec?.ports ?? []) {
    if (!nodePort) continue
    if (!ports.has(`${protocol}/${port}`)) ports.set(`${protocol}/${port}`, nodePort)
    names.add(`${protocol}/${nodePort}`)
  }
  return [ports, names]
}

const used = (index: string, value: string, context: DecideContext): boolean => {
  for (const _ of context.view.collection(SERVICES).indexed(index, value)) return true
  return false
}

const ipTaken = (ip: string, context: DecideContext): boolean => context.reserved.has(`ip/${ip}`) || used('clusterIP', ip, context)
const portTaken = (name: string, context: DecideContext): boolean => context.reserved.has(`port/${name}`) || used('nodePort', name, context)

const ipFault = (ip: string, service: KubeObject, context: DecideContext): FieldError | undefined => {
  const value = toNumber(ip)
  const { base, size } = range(context.settings.serviceCIDR)
  const field = 'spec.clusterIPs'
  if (value === undefined) return { type: 'Invalid', field: 'spec.clusterIPs[0]', value: ip, detail: 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)' }
  if (value <= base || value >= base + size - 1)
    return { type: 'Invalid', field, value: [ip], detail: `failed to allocate IP ${ip}: the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${context.settings.serviceCIDR}` }
  if (ipTaken(ip, context)) return { type: 'Invalid', field, value: [ip], detail: `failed to allocate IP ${ip}: provided IP is already allocated` }
  return undefined
}

const freeIP = (context: DecideContext): string => {
  const { base, size } = range(context.settings.serviceCIDR)
  // The lower sixteenth (at most 256) is left to those who ask for a fixed address (KEP-3070).
  const low = Math.min(256, Math.max(16, Math.floor(size / 16)))
  for (let draw = 0; draw < DRAWS; draw++) {
    const ip = toIP(base + low + Math.floor(context.random() * (size - 1 - low)))
    if (!ipTaken(ip, context)) return ip
  }
  for (let value = base + 1; value < base + size - 1; value++) if (!ipTaken(toIP(value), context)) return toIP(value)
  throw invalid('', 'Service', '', [{ type: 'Invalid', field: 'spec.clusterIPs', detail: `failed to allocate a serviceIP: range ${context.settings.serviceCIDR} is full` }])
}

const freePort = (protocol: string, taken: ReadonlySet<string>, context: DecideContext): number => {
  const [low, high] = context.settings.nodePorts
  const open = (port: number): boolean => !taken.has(`${protocol}/${port}`) && !portTaken(`${protocol}/${port}`, context)
  for (let draw = 0; draw < DRAWS; draw++) {
    const port = low + Math.floor(context.random() * (high - low + 1))
    if (open(port)) return port
  }
  for (let port = low; port <= high; port++) if (open(port)) return port
  throw invalid('', 'Service', '', [{ type: 'Invalid', field: 'spec.ports', detail: `failed to allocate a nodePort: range ${low}-${high} is full` }])
}
