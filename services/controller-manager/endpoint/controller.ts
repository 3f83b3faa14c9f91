/** The Endpoints controller: looks at a Service when it, its Endpoints or a pod it selects changes. */
import { ENDPOINTS, NODES, SERVICES } from '#events/collections.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { servicesOf, servicesOnNode } from '#services/controller-manager/endpointslice/endpoints.ts'
import { decide, NAME } from './decide.ts'

export const endpoint: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: SERVICES, keys: ({ entry }) => [entry.id] },
    { ref: ENDPOINTS, keys: ({ entry }) => [entry.id] },
    {
      ref: { group: '', resource: 'pods' },
      keys: ({ entry, previous }, view) => servicesOf(view, [entry.object, previous?.object], entry.key.namespace)
    },
    { ref: NODES, keys: (change, view) => servicesOnNode(view, change) }
  ],
  decide
}
