/** The EndpointSlice controller's decision: the slices of one Service, changed as little as possible. */
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { create, remove, update } from '../asks.ts'
import { groupsOf, SERVICES, targetRef, type Address, type Group, type ServiceSpec } from './endpoints.ts'

export const NAME = 'endpointslice-controller'
export const SLICES = { group: 'discovery.k8s.io', resource: 'endpointslices' }
export const SERVICE_NAME = 'kubernetes.io/service-name'
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
const MANAGER = 'endpointslice-controller.k8s.io'
/** As upstream: addresses a slice holds. */
const PER_SLICE = 100

export const decide = (view: ObjectsView, key: string, { random }: DecideContext): Decision => {
  const at = key.indexOf('/')
  const namespace = key.slice(0, at)
  const name = key.slice(at + 1)
  const service = view.get({ ...SERVICES, namespace, name })?.object
  const slices = [...view.collection(SLICES).indexed('label', `${SERVICE_NAME}=${name}`)]
    .map(({ object }) => object)
    .filter((slice) => slice.metadata.namespace === namespace && slice.metadata.labels?.[MANAGED_BY] === MANAGER && slice.metadata.deletionTimestamp === undefined)
    .sort((a, b) => ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1))
  const spec = service?.['spec'] as ServiceSpec | undefined
  if (service === undefined || spec === undefined || service.metadata.deletionTimestamp !== undefined || spec.type === 'ExternalName' || Object.keys(spec.selector ?? {}).length === 0)
    return slices.length === 0 ? NOTHING : { asks: slices.map((slice) => remove(slice)) }
  const wanted = groupsOf(view, service).flatMap((group) => chunks(group))
  if (wanted.length === 0) wanted.push({ ports: [], addresses: [] })
  const asks: Ask[] = []
  const free = [...slices]
  // A slice that has the ports already is changed; names stay, so watchers see few objects change.
  for (const [n, group] of wanted.entries()) {
    const ports = group.ports
    const fit = free.findIndex((slice) => same(slice['ports'] ?? [], ports))
    const slice = fit >= 0 ? free.splice(fit, 1)[0] : wanted.length === 1 ? free.shift() : undefined
    const endpoints = group.addresses.map(endpointOf)
    const labels = labelsOf(service, spec)
    if (slice === undefined) asks.push(create(newSlice(service, labels, endpoints, ports, n === 0 && slices.length === 0 ? suffixOf(service.metadata.uid as string) : suffixOf(`${service.metadata.uid}${n}${random}`))))
    else if (!same(slice['endpoints'] ?? [], endpoints) || !same(slice['ports'] ?? [], ports) || !same(slice.metadata.labels, labels))
      asks.push(update({ ...slice, metadata: { ...slice.metadata, labels }, endpoints, ports }))
  }
  return { asks: [...asks, ...free.map((slice) => remove(slice))] }
}

const chunks = ({ ports, addresses }: Group): Group[] => {
  const parts: Group[] = []
  for (let from = 0; from < addresses.length; from += PER_SLICE) parts.push({ ports, addresses: addresses.slice(from, from + PER_SLICE) })
  return parts
}

const labelsOf = (service: KubeObject, spec: ServiceSpec): Record<string, string> => ({
  ...service.metadata.labels,
  [SERVICE_NAME]: service.metadata.name as string,
  [MANAGED_BY]: MANAGER,
  ...(spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {})
})

const endpointOf = ({ ip, pod, nodeName, hostname, ready, serving, terminating }: Address): Record<string, unknown> => ({
  addresses: [ip],
  conditions: { ready, serving, terminating },
  ...(hostname === undefined ? {} : { hostname }),
  nodeName,
  targetRef: targetRef(pod)
})

const newSlice = (service: KubeObject, labels: Record<string, string>, endpoints: unknown[], ports: unknown, suffix: string): KubeObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: `${(service.metadata.name as string).slice(0, 57)}-${suffix}`,
    namespace: service.metadata.namespace as string,
    labels,
    ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: service.metadata.name as string, uid: service.metadata.uid as string, controller: true, blockOwnerDeletion: true }]
  },
  addressType: 'IPv4',
  endpoints,
  ports
})

/** Five letters from the service's uid: the same decision made twice names the same slice. */
const suffixOf = (text: string): string => {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0
  let suffix = ''
  for (let n = 0; n < 5; n++) {
    suffix += alphabet[value % 27]
    value = Math.floor(value / 27)
  }
  return suffix
}
