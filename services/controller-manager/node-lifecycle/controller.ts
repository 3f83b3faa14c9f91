/** The node lifecycle controller: looks at a node when it, its Lease or a pod on it changes, and when time is up. */
import type { ControllerDefinition } from '../../platform/Controller.ts'
import { decide, LEASE_NAMESPACE, LEASES, NAME, NODES } from './decide.ts'

export const nodeLifecycle: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: NODES, keys: ({ entry }) => [entry.id] },
    { ref: LEASES, keys: ({ entry }) => (entry.key.namespace === LEASE_NAMESPACE ? [`/${entry.key.name}`] : []) }
  ],
  decide
}
