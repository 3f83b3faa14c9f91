/** The EndpointSlice controller: looks at a Service when it, its slices or a pod it selects changes. */
import { ENDPOINT_SLICES, NODES, SERVICES } from '#events/collections.ts'
import { objectId } from '#events/Key.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME, SERVICE_NAME } from './decide.ts'
import { servicesOf, servicesOnNode } from './endpoints.ts'

export const endpointslice: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: SERVICES, keys: ({ entry }) => [entry.id] },
    {
      ref: { group: '', resource: 'pods' },
      keys: ({ entry, previous }, view) => servicesOf(view, [entry.object, previous?.object], entry.key.namespace)
    },
    { ref: NODES, keys: (change, view) => servicesOnNode(view, change) },
    {
      ref: ENDPOINT_SLICES,
      keys: ({ entry }) => {
        const service = entry.object.metadata.labels?.[SERVICE_NAME]
        return service === undefined ? [] : [objectId(entry.key.namespace, service)]
      }
    }
  ],
  decide
}
