/** The ReplicaSet controller: looks at a set when it or one of its pods changes. */
import { PODS, REPLICASETS } from '#events/collections.ts'
import { objectId } from '#events/Key.ts'
import { controllerOf } from '#events/KubeObject.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME, refused } from './decide.ts'

export const replicaset: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(REPLICASETS, ({ entry }) => [entry.id]),
    watch(PODS, ({ entry, previous }, view) => {
      const namespace = entry.key.namespace
      const owners = [entry.object, previous?.object]
        .map((pod) => (pod === undefined ? undefined : controllerOf(pod)))
        .filter((owner) => owner?.kind === 'ReplicaSet')
      if (owners.length > 0) return [...new Set(owners.map((owner) => objectId(namespace, owner?.name ?? '')))]
      // Nobody's pod: a set that selects it may adopt it.
      return view
        .collection(REPLICASETS)
        .list(namespace)
        .filter(({ object }) => matchesSelector(object.spec.selector, entry.object.metadata.labels))
        .map(({ id }) => id)
    })
  ],
  decide,
  refused
}
