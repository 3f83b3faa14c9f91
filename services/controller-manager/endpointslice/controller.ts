/** The EndpointSlice controller: looks at a Service when it, its slices or a pod it selects changes. */
import { ENDPOINT_SLICES, NODES, PODS, SERVICES } from '#events/collections.ts'
import { objectId } from '#events/Key.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME, SERVICE_NAME } from './decide.ts'
import { servicesOf, servicesOnNode } from './endpoints.ts'

export const endpointslice: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(SERVICES, ({ entry }) => [entry.id]),
    watch(PODS, ({ entry, previous }, view) => servicesOf(view, [entry.object, previous?.object], entry.key.namespace)),
    watch(NODES, (change, view) => servicesOnNode(view, change)),
    watch(ENDPOINT_SLICES, ({ entry }) => {
      const service = entry.object.metadata.labels?.[SERVICE_NAME]
      return service === undefined ? [] : [objectId(entry.key.namespace, service)]
    })
  ],
  decide
}
