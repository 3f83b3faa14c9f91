/** The EndpointSlice controller's decision: the slices of one Service, changed as little as possible. */
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { EndpointSlice } from '#events/discovery/EndpointSlice.ts'
import type { Service, ServiceSpec } from '#events/schema/generated/core.v1.ts'
import type { Endpoint, EndpointSlice as SliceType } from '#events/schema/generated/discovery.v1.ts'
import { same } from '#events/meta/faults.ts'
import type { Family } from '#events/meta/ip.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { create, remove, update } from '#services/controller-manager/asks.ts'
import { suffixOf } from '#services/controller-manager/names.ts'
import { familyOf, groupsOf, targetRef, type Address, type Group } from './endpoints.ts'

export const NAME = 'endpointslice-controller'
export const SERVICE_NAME = 'kubernetes.io/service-name'
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
const MANAGER = 'endpointslice-controller.k8s.io'
/** As upstream: addresses a slice holds. */
const PER_SLICE = 100

export const decide = (view: ObjectsView, key: string, _context: DecideContext): Decision => {
  const at = key.indexOf('/')
  const namespace = key.slice(0, at)
  const name = key.slice(at + 1)
  const service = view.get({ ...SERVICES, namespace, name })?.object
  const present = [...view.collection(ENDPOINT_SLICES).indexed('label', `${SERVICE_NAME}=${name}`)]
    .map(({ object }) => object)
    .filter((slice) => slice.metadata.namespace === namespace)
  const slices = present
    .filter((slice) => slice.metadata.labels?.[MANAGED_BY] === MANAGER && slice.metadata.deletionTimestamp === undefined)
    .sort((a, b) => ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1))
  const spec = service?.spec
  if (
    service === undefined ||
    spec === undefined ||
    service.metadata.deletionTimestamp !== undefined ||
    spec.type === 'ExternalName' ||
    Object.keys(spec.selector ?? {}).length === 0
  )
    return slices.length === 0 ? NOTHING : { asks: slices.map((slice) => remove(EndpointSlice, slice)) }
  const family = familyOf(spec)
  // The type of a slice never changes: one of another family goes, and others take its place.
  const own = slices.filter((slice) => slice.addressType === family)
  const groups = [...groupsOf(view, service)]
  // A service without endpoints has one empty slice: that it has none is said, not left open.
  if (groups.length === 0) groups.push({ ports: [], addresses: [] })
  const taken = new Set(present.map((slice) => slice.metadata.name as string))
  const labels = labelsOf(service, spec)
  const asks: Ask[] = []
  const kept = new Set<SliceType>()
  for (const group of groups) {
    const alike = own.filter((slice) => !kept.has(slice) && same(slice.ports ?? [], group.ports))
    // One group and one slice: its ports may change in place.
    const used = alike.length === 0 && groups.length === 1 ? own.slice(0, 1) : alike
    for (const [slice, endpoints] of distribute(used, group)) {
      if (slice === undefined) {
        const made = newSlice(service, labels, endpoints, group.ports, taken, family)
        taken.add(made.metadata.name as string)
        asks.push(create(EndpointSlice, made))
        continue
      }
      kept.add(slice)
      if (!same(slice.endpoints ?? [], endpoints) || !same(slice.ports ?? [], group.ports) || !same(slice.metadata.labels, labels))
        asks.push(update(EndpointSlice, { ...slice, metadata: { ...slice.metadata, labels }, endpoints, ports: group.ports }))
    }
  }
  return { asks: [...asks, ...slices.filter((slice) => !kept.has(slice)).map((slice) => remove(EndpointSlice, slice))] }
}

const keyOf = ({ addresses, targetRef: target }: Endpoint): string => target?.uid ?? addresses[0] ?? ''

/** Endpoints stay in the slice they are in; new ones fill the fullest slices first; what is left makes slices of its own. */
const distribute = (slices: readonly SliceType[], { addresses }: Group): [SliceType | undefined, Endpoint[]][] => {
  const waiting = new Map(addresses.map((address) => [address.pod.metadata.uid as string, endpointOf(address)]))
  const filled = slices.map((slice): [SliceType, Endpoint[]] => [
    slice,
    (slice.endpoints ?? []).flatMap((endpoint) => {
      const now = waiting.get(keyOf(endpoint))
      waiting.delete(keyOf(endpoint))
      return now === undefined ? [] : [now]
    })
  ])
  const rest = [...waiting.values()]
  for (const [, endpoints] of filled.toSorted((a, b) => b[1].length - a[1].length))
    endpoints.push(...rest.splice(0, Math.max(0, PER_SLICE - endpoints.length)))
  const made: [undefined, Endpoint[]][] = []
  while (rest.length > 0) made.push([undefined, rest.splice(0, PER_SLICE)])
  const used = [...filled.filter(([, endpoints]) => endpoints.length > 0), ...made]
  // Of slices that all became empty, the first stays.
  return used.length > 0 ? used : filled.length > 0 ? filled.slice(0, 1) : [[undefined, []]]
}

const labelsOf = (service: Service, spec: ServiceSpec): Record<string, string> => ({
  ...service.metadata.labels,
  [SERVICE_NAME]: service.metadata.name as string,
  [MANAGED_BY]: MANAGER,
  ...(spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {})
})

const endpointOf = ({ ip, pod, nodeName, zone, hostname, ready, serving, terminating }: Address): Endpoint => ({
  addresses: [ip],
  conditions: { ready, serving, terminating },
  ...(hostname === undefined ? {} : { hostname }),
  nodeName,
  ...(zone === undefined ? {} : { zone }),
  targetRef: targetRef(pod)
})

/** Named after the service, the ports and how many there are: the same decision made twice names the same slice. */
const newSlice = (
  service: Service,
  labels: Record<string, string>,
  endpoints: Endpoint[],
  ports: Group['ports'],
  taken: ReadonlySet<string>,
  family: Family
): SliceType => {
  const base = (service.metadata.name as string).slice(0, 57)
  let name = ''
  for (let n = 0; name === '' || taken.has(name); n++) name = `${base}-${suffixOf(`${service.metadata.uid}/${JSON.stringify(ports)}/${n}`)}`
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      generateName: `${service.metadata.name}-`,
      namespace: service.metadata.namespace as string,
      labels,
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name: service.metadata.name as string,
          uid: service.metadata.uid as string,
          controller: true,
          blockOwnerDeletion: true
        }
      ]
    },
    addressType: family,
    endpoints,
    ports
  }
}
