/**
 * What a node's proxy must do for a Service: each of its ports with the endpoints new connections may go to.
 * A plain function of the Service, its EndpointSlices and the node's name.
 */
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import type { Service, ServicePort } from '#events/schema/generated/core.v1.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import type { ResourceRef } from '#events/Key.ts'
import { type Family, parseIP } from '#events/meta/ip.ts'

/** The label that ties a slice to its Service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
/** Services with this label are another proxy's. */
const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name'
const DEFAULT_AFFINITY_SECONDS = 10_800

const USED_LABELS = [SERVICE_NAME_LABEL, PROXY_NAME_LABEL]

/**
 * A Service or an EndpointSlice with only what a node's proxy and its DNS look at: every node holds all of them, and who manages
 * which field, annotations, selectors and the pods behind the endpoints are most of their text.
 */
export const narrowedToEndpoints = (object: KubeObject): KubeObject => {
  const { name = '', namespace = '', labels = {} } = object.metadata
  const used = USED_LABELS.filter((label) => labels[label] !== undefined).map((label) => [label, labels[label] as string] as const)
  const metadata = { name, namespace, ...(used.length === 0 ? {} : { labels: Object.fromEntries(used) }) }
  const { apiVersion, kind } = object
  if (kind === 'Service') {
    const service = asOneOf(SERVICES, object)
    const { selector: _, ...spec } = service.spec ?? {}
    const loadBalancer = service.status?.loadBalancer
    return { apiVersion, kind, metadata, spec, ...(loadBalancer === undefined ? {} : { status: { loadBalancer } }) }
  }
  const { addressType, ports, endpoints } = asOneOf(ENDPOINT_SLICES, object)
  const kept = (endpoints ?? []).map(({ addresses, conditions, hostname, nodeName }) => ({ addresses, conditions, hostname, nodeName }))
  return { apiVersion, kind, metadata, addressType, ports, endpoints: kept }
}

export interface ProxyEndpoint {
  readonly ip: string
  readonly port: number
}

export interface ProxyPort {
  /** `default/web:http`, or `default/web` for a port without a name. With the protocol it is unique. */
  readonly id: string
  readonly protocol: 'tcp' | 'udp'
  readonly clusterIP: string
  readonly port: number
  /** 0: none. */
  readonly nodePort: number
  /** spec.externalIPs and the load balancer's addresses. */
  readonly externalIPs: readonly string[]
  /** Seconds a client stays with its endpoint; 0: no affinity. */
  readonly affinitySeconds: number
  /** internalTrafficPolicy: Local */
  readonly internalLocal: boolean
  /** externalTrafficPolicy: Local */
  readonly externalLocal: boolean
  /** Ready endpoints anywhere; when none is ready, those that still serve while terminating (KEP-1669). */
  readonly cluster: readonly ProxyEndpoint[]
  /** The same choice among the endpoints on this node. */
  readonly local: readonly ProxyEndpoint[]
}

interface Candidate extends ProxyEndpoint {
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly here: boolean
}

/** The Service a slice belongs to, as `namespace/name`. */
export const serviceOfSlice = (slice: KubeObject): string | undefined => {
  const name = slice.metadata.labels?.[SERVICE_NAME_LABEL]
  return name === undefined ? undefined : `${slice.metadata.namespace ?? ''}/${name}`
}

/**
 * A Service's ports for this node; none when it is not ours to proxy (headless, ExternalName, another proxy's, without an address of the
 * family). Each family has rules of its own.
 */
export const proxyPorts = (
  service: Service,
  slices: Iterable<EndpointSlice>,
  nodeName: string,
  family: Family = 'IPv4'
): readonly ProxyPort[] => {
  const ours = (ip: string | undefined): ip is string => parseIP(ip ?? '')?.family === family
  const spec: Partial<Service['spec']> = service.spec ?? {}
  const clusterIP = [spec.clusterIP, ...(spec.clusterIPs ?? [])].find(ours)
  if (clusterIP === undefined || spec.type === 'ExternalName' || service.metadata.labels?.[PROXY_NAME_LABEL] !== undefined) return []
  const balancers = (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? '')
  const externalIPs = [...new Set([...(spec.externalIPs ?? []), ...balancers])].filter(ours).sort()
  const own = [...slices]
  return (spec.ports ?? [])
    .filter(({ protocol }) => protocol !== 'SCTP')
    .map((port) => {
      const candidates = candidatesOf(port, own, nodeName, family)
      return {
        id: `${service.metadata.namespace}/${service.metadata.name}${port.name ? `:${port.name}` : ''}`,
        protocol: port.protocol === 'UDP' ? 'udp' : 'tcp',
        clusterIP,
        port: port.port,
        nodePort: spec.type === 'NodePort' || spec.type === 'LoadBalancer' ? (port.nodePort ?? 0) : 0,
        externalIPs,
        affinitySeconds:
          spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS) : 0,
        internalLocal: spec.internalTrafficPolicy === 'Local',
        externalLocal: spec.externalTrafficPolicy === 'Local',
        cluster: usable(candidates),
        local: usable(candidates.filter(({ here }) => here))
      }
    })
}

const candidatesOf = (port: ServicePort, slices: readonly EndpointSlice[], nodeName: string, family: Family): readonly Candidate[] => {
  const found = new Map<string, Candidate>()
  for (const slice of slices) {
    if (slice.addressType !== family) continue
    const target = (slice.ports ?? []).find(
      (other) => (other.name ?? '') === (port.name ?? '') && (other.protocol ?? 'TCP') === (port.protocol ?? 'TCP')
    )
    if (target?.port === undefined || target.port === null) continue
    for (const endpoint of slice.endpoints ?? []) {
      const ip = endpoint.addresses[0]
      if (ip === undefined || parseIP(ip)?.family !== family) continue
      const { ready, serving, terminating } = endpoint.conditions ?? {}
      const candidate = {
        ip,
        port: target.port,
        // Unknown counts as ready, and serving follows ready (discovery.k8s.io/v1 EndpointConditions).
        ready: ready ?? true,
        serving: serving ?? ready ?? true,
        terminating: terminating ?? false,
        here: endpoint.nodeName === nodeName
      }
      // During a move an address can be in two slices: the better news wins.
      const id = `${ip}:${target.port}`
      if (!(found.get(id)?.ready ?? false)) found.set(id, candidate)
    }
  }
  return [...found.values()]
}

const usable = (candidates: readonly Candidate[]): readonly ProxyEndpoint[] => {
  const ready = candidates.filter((candidate) => candidate.ready)
  const chosen = ready.length > 0 ? ready : candidates.filter(({ serving, terminating }) => serving && terminating)
  return chosen.map(({ ip, port }) => ({ ip, port })).sort((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : a.port - b.port))
}
