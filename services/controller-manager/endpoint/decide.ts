/** The Endpoints controller's decision: the legacy object old clients still read, from the same addresses as the slices. */
import { ENDPOINTS, SERVICES } from '#events/collections.ts'
import { Endpoints } from '#events/core/Endpoints.ts'
import type { EndpointAddress, Endpoints as EndpointsType } from '#events/schema/generated/core.v1.ts'
import { same } from '#events/meta/faults.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { create, remove, update } from '#services/controller-manager/asks.ts'
import { groupsOf, targetRef, type Address } from '#services/controller-manager/endpointslice/endpoints.ts'

export const NAME = 'endpoint-controller'
/** As upstream: more addresses than this are cut off, and the object says so. */
const MOST = 1_000
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'
/** Says whose the object is: only our own go with their Service. */
const MANAGED_BY = 'endpoints.kubernetes.io/managed-by'

export const decide = (view: ObjectsView, key: string, _context: DecideContext): Decision => {
  const at = key.indexOf('/')
  const namespace = key.slice(0, at)
  const name = key.slice(at + 1)
  const service = view.get({ ...SERVICES, namespace, name })?.object
  const present = view.get({ ...ENDPOINTS, namespace, name })?.object
  if (service === undefined) return present?.metadata.labels?.[MANAGED_BY] === NAME ? { asks: [remove(Endpoints, present)] } : NOTHING
  const { spec } = service
  // Without a selector somebody else fills in the addresses.
  if (Object.keys(spec.selector ?? {}).length === 0 || spec.type === 'ExternalName') return NOTHING
  let room = MOST
  let over = false
  const subsets = groupsOf(view, service).flatMap(({ ports, addresses }) => {
    const living = addresses.filter(({ terminating }) => !terminating)
    // Ready ones first: those are what clients need when not all have room.
    const ready = living.filter((address) => address.ready).slice(0, room)
    room -= ready.length
    const not = living.filter((address) => !address.ready).slice(0, room)
    room -= not.length
    over ||= ready.length + not.length < living.length
    if (ready.length + not.length === 0) return []
    return [
      {
        ...(ready.length === 0 ? {} : { addresses: ready.map(addressOf) }),
        ...(not.length === 0 ? {} : { notReadyAddresses: not.map(addressOf) }),
        ports: ports.map(({ name: port, ...rest }) => ({ ...(port === '' ? {} : { name: port }), ...rest }))
      }
    ]
  })
  const labels = {
    ...service.metadata.labels,
    [MANAGED_BY]: NAME,
    ...(spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {})
  }
  const object: EndpointsType = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name, namespace, labels, ...(over ? { annotations: { [OVER_CAPACITY]: 'truncated' } } : {}) },
    ...(subsets.length === 0 ? {} : { subsets })
  }
  if (present === undefined) return { asks: [create(Endpoints, object)] }
  const { [OVER_CAPACITY]: was, ...annotations } = present.metadata.annotations ?? {}
  if (same(present.subsets ?? [], subsets) && same(present.metadata.labels ?? {}, labels) && (was !== undefined) === over) return NOTHING
  const { subsets: _, ...rest } = present
  return {
    asks: [
      update(Endpoints, {
        ...rest,
        metadata: { ...present.metadata, labels, annotations: over ? { ...annotations, [OVER_CAPACITY]: 'truncated' } : annotations },
        ...(subsets.length === 0 ? {} : { subsets })
      })
    ]
  }
}

const addressOf = ({ ip, pod, nodeName, hostname }: Address): EndpointAddress => ({
  ip,
  ...(hostname === undefined ? {} : { hostname }),
  nodeName,
  targetRef: targetRef(pod)
})
