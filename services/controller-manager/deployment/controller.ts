/** The Deployment controller: looks at a deployment when it or one of its ReplicaSets changes, or a pod of an old one is gone. */
import type { Deployment, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import { DEPLOYMENTS, PODS, REPLICASETS } from '#events/collections.ts'
import { objectId } from '#events/Key.ts'
import { controllerOf, type KubeObject } from '#events/KubeObject.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide } from './decide.ts'
import { NAME } from './situation.ts'

const deploymentOf = (set: KubeObject, namespace: string): string | undefined => {
  const owner = controllerOf(set)
  return owner?.kind === 'Deployment' ? objectId(namespace, owner.name) : undefined
}

export const deployment: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(DEPLOYMENTS, ({ entry }) => [entry.id]),
    watch(REPLICASETS, ({ entry, previous }, view) => {
      const { namespace } = entry.key
      const owners = [entry.object, previous?.object].flatMap((set) => (set === undefined ? [] : (deploymentOf(set, namespace) ?? [])))
      if (owners.length > 0) return [...new Set(owners)]
      // Nobody's set: a deployment that selects it may adopt it.
      return view
        .collection(DEPLOYMENTS)
        .list(namespace)
        .filter(
          ({ object }) => controllerOf(entry.object) === undefined && matchesSelector(object.spec.selector, entry.object.metadata.labels)
        )
        .map(({ id }) => id)
    }),
    // Recreate waits until the last old pod is gone, not only until it was told to go.
    watch(PODS, ({ type, entry }, view) => {
      const owner = type === 'DELETED' ? controllerOf(entry.object) : undefined
      if (owner?.kind !== 'ReplicaSet') return []
      const { namespace } = entry.key
      const set = view.get({ ...REPLICASETS, namespace, name: owner.name })
      const key = set === undefined ? undefined : deploymentOf(set.object, namespace)
      const found = key === undefined ? undefined : view.get({ ...DEPLOYMENTS, namespace, name: key.slice(namespace.length + 1) })
      return found?.object.spec.strategy?.type === 'Recreate' ? [found.id] : []
    })
  ],
  decide
}
