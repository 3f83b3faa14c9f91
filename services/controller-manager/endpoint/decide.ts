/** The Endpoints controller's decision: the legacy object old clients still read, from the same addresses as the slices. */
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { create, remove, update } from '../asks.ts'
import { groupsOf, SERVICES, targetRef, type Address, type ServiceSpec } from '../endpointslice/endpoints.ts'

export const NAME = 'endpoint-controller'
export const ENDPOINTS = { group: '', resource: 'endpoints' }
/** As upstream: more addresses than this are cut off, and the object says so. */
const MOST = 1_000
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'

export const decide = (view: ObjectsView, key: string, _context: DecideContext): Decision => {
  const at = key.indexOf('/')
  const namespace = key.slice(0, at)
  const name = key.slice(at + 1)
  const service = view.get({ ...SERVICES, namespace, name })?.object
  const present = view.get({ ...ENDPOINTS, namespace, name })?.object
  // Endpoints live and die with their Service.
  if (service === undefined) return present === undefined ? NOTHING : { asks: [remove(present)] }
  const spec = service['spec'] as ServiceSpec
  // Without a selector somebody else fills in the addresses.
  if (Object.keys(spec.selector ?? {}).length === 0 || spec.type === 'ExternalName') return NOTHING
  const subsets = groupsOf(view, service)
    .filter(({ addresses }) => addresses.length > 0)
    .map(({ ports, addresses }) => {
      const kept = addresses.filter(({ terminating }) => !terminating).slice(0, MOST)
      const ready = kept.filter((address) => address.ready).map(addressOf)
      const not = kept.filter((address) => !address.ready).map(addressOf)
      return {
        ...(ready.length === 0 ? {} : { addresses: ready }),
        ...(not.length === 0 ? {} : { notReadyAddresses: not }),
        ports: ports.map(({ name: port, ...rest }) => ({ ...(port === '' ? {} : { name: port }), ...rest }))
      }
    })
    .filter((subset) => 'addresses' in subset || 'notReadyAddresses' in subset)
  const over = groupsOf(view, service).some(({ addresses }) => addresses.length > MOST)
  const labels = { ...service.metadata.labels, ...(spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {}) }
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name, namespace, ...(Object.keys(labels).length === 0 ? {} : { labels }), ...(over ? { annotations: { [OVER_CAPACITY]: 'truncated' } } : {}) },
    ...(subsets.length === 0 ? {} : { subsets })
  }
  if (present === undefined) return { asks: [create(object)] }
  if (same(present['subsets'] ?? [], subsets) && same(present.metadata.labels ?? {}, labels)) return NOTHING
  const { subsets: _, ...rest } = present
  return { asks: [update({ ...rest, metadata: { ...present.metadata, labels }, ...(subsets.length === 0 ? {} : { subsets }) } as KubeObject)] }
}

const addressOf = ({ ip, pod, nodeName, hostname }: Address): Record<string, unknown> => ({ ip, ...(hostname === undefined ? {} : { hostname }), nodeName, targetRef: targetRef(pod) })
