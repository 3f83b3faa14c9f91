/** The Deployment controller: looks at a deployment when it or one of its ReplicaSets changes. */
import { objectId } from '#events/Key.ts'
import { controllerOf } from '#events/KubeObject.ts'
import type { ControllerDefinition } from '../../platform/Controller.ts'
import { decide, DEPLOYMENTS, NAME, REPLICASETS } from './decide.ts'

export const deployment: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: DEPLOYMENTS, keys: ({ entry }) => [entry.id] },
    {
      ref: REPLICASETS,
      keys: ({ entry }) => {
        const owner = controllerOf(entry.object)
        return owner?.kind === 'Deployment' ? [objectId(entry.key.namespace, owner.name)] : []
      }
    }
  ],
  decide
}
