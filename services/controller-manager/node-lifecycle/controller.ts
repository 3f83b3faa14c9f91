/** The node lifecycle controller: looks at a node when it or its Lease changes, or a pod comes to it, and when time is up. */
import { LEASES, NODES, PODS } from '#events/collections.ts'
import { conditionOf } from '#events/meta/Conditions.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'
import { LEASE_NAMESPACE } from './silence.ts'

export const nodeLifecycle = (): ControllerDefinition => {
  return {
    name: NAME,
    watches: [
      watch(NODES, ({ entry }) => [entry.id]),
      // A renewal matters for a node that was given up; of the others, silence is noticed when time is up.
      watch(LEASES, ({ entry, type }, view) => {
        const { namespace, name } = entry.key
        if (namespace !== LEASE_NAMESPACE) return []
        const node = view.get({ ...NODES, namespace: '', name })?.object
        return type !== 'MODIFIED' || (node !== undefined && conditionOf(node, 'Ready')?.status !== 'True') ? [`/${name}`] : []
      }),
      watch(PODS, ({ entry, previous, type }, view) => {
        const node = entry.object.spec.nodeName
        if (type === 'DELETED' || node === undefined || node === previous?.object.spec.nodeName) return []
        const taints = view.get({ ...NODES, namespace: '', name: node })?.object.spec?.taints
        return taints?.some(({ effect }) => effect === 'NoExecute') === true ? [`/${node}`] : []
      })
    ],
    decide
  }
}
