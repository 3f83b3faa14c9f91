/**
 * What a Service claims: its cluster IPs as IPAddress objects, as upstream; its node ports as objects of our own, for upstream has none.
 * Plain.
 */
import { IP_ADDRESSES, SERVICES, SERVICE_CIDRS } from '#events/collections.ts'
import type { Service, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { ObjectKey, ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { canonicalIP } from '#events/meta/ip.ts'
import { parentRefOf } from '#events/networking/parent.ts'

/**
 * Of no kind of the API: nobody can see, make or delete one but by its Service. One object per port and not one of the whole
 * range, as upstream keeps: API servers that give out different ports do not get in each other's way.
 */
export const NODE_PORTS: ResourceRef = { group: 'reckon.io', resource: 'nodeports' }

const FAMILY_LABEL = 'ipaddress.kubernetes.io/ip-family'
const MANAGED_BY = 'ipaddress.kubernetes.io/managed-by'
const ALLOCATOR = 'ipallocator.k8s.io'

/** Made by us, not by a person who keeps an address for something else. */
export const isAllocated = (address: KubeObject): boolean => address.metadata.labels?.[MANAGED_BY] === ALLOCATOR

export interface Claim {
  readonly key: ObjectKey
  /** In the types of events: `ipaddress`. */
  readonly what: 'ipaddress' | 'nodeport'
  object(owner: ObjectKey): KubeObject
}

export const ipKey = (ip: string): ObjectKey => ({ ...IP_ADDRESSES, namespace: '', name: canonicalIP(ip) ?? ip })
export const portKey = (port: number): ObjectKey => ({ ...NODE_PORTS, namespace: '', name: String(port) })

const ipClaim = (ip: string): Claim => {
  const key = ipKey(ip)
  const labels = { [FAMILY_LABEL]: key.name.includes(':') ? 'IPv6' : 'IPv4', [MANAGED_BY]: ALLOCATOR }
  return {
    key,
    what: 'ipaddress',
    object: (owner) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IPAddress',
      metadata: { name: key.name, labels },
      spec: { parentRef: parentRefOf(owner) }
    })
  }
}

const portClaim = (port: number): Claim => {
  const key = portKey(port)
  return {
    key,
    what: 'nodeport',
    object: (owner) => ({
      apiVersion: 'reckon.io/v1',
      kind: 'NodePort',
      metadata: { name: key.name },
      spec: { parentRef: parentRefOf(owner) }
    })
  }
}

/** What a Service has of addresses: none when it is headless. */
export const ipsOf = ({ type, clusterIP = '', clusterIPs = [] }: ServiceSpec): readonly string[] => {
  if (type === 'ExternalName') return []
  const all = clusterIPs.length > 0 ? clusterIPs : [clusterIP]
  return all.filter((ip) => ip !== '' && ip !== 'None')
}

/** The numbers, each once: TCP and UDP of one Service may share one. */
export const nodePortsOf = ({ ports = [] }: ServiceSpec): readonly number[] => [
  ...new Set(ports.flatMap(({ nodePort }) => (nodePort ? [nodePort] : [])))
]

export const claimsOfService = (service: Service): readonly Claim[] => {
  const spec: ServiceSpec = service.spec ?? {}
  return [...ipsOf(spec).map(ipClaim), ...nodePortsOf(spec).map(portClaim)]
}
