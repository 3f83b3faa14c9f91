/** The Endpoints controller: looks at a Service when it, its Endpoints or a pod it selects changes. */
import { ENDPOINTS, NODES, PODS, SERVICES } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { servicesOf, servicesOnNode } from '#services/controller-manager/endpointslice/endpoints.ts'
import { decide, NAME } from './decide.ts'

export const endpoint: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(SERVICES, ({ entry }) => [entry.id]),
    watch(ENDPOINTS, ({ entry }) => [entry.id]),
    watch(PODS, ({ entry, previous }, view) => servicesOf(view, [entry.object, previous?.object], entry.key.namespace)),
    watch(NODES, (change, view) => servicesOnNode(view, change))
  ],
  decide
}
