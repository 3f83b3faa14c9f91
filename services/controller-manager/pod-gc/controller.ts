/** The pod garbage collector: looks when a node goes, or a pod without one is deleted, or finishes. */
import type { ControllerDefinition } from '../../platform/decision.ts'
import { decide, FINISHED_MAX, NAME, NODES, PODS } from './decide.ts'

const ALL = 'all'

/** One per process: a node that is gone may be back in a moment, so how long it has been gone is remembered. */
export const podGc = (): ControllerDefinition => {
  const gone = new Map<string, number>()
  return {
    name: NAME,
    watches: [
      { ref: NODES, keys: ({ type }) => (type === 'DELETED' ? [ALL] : []) },
      {
        ref: PODS,
        keys: ({ type, entry, previous }, view) => {
          if (type === 'DELETED') return []
          const { object } = entry
          const node = (object['spec']?.nodeName as string | undefined) ?? ''
          // As long as there are few pods, few have finished.
        const done = view.collection(PODS).size > FINISHED_MAX && (object['status']?.phase === 'Succeeded' || object['status']?.phase === 'Failed')
          const lost = node !== '' && view.get({ ...NODES, namespace: '', name: node }) === undefined
          return lost || (node === '' && object.metadata.deletionTimestamp !== undefined) || (done && previous?.object['status']?.phase !== object['status']?.phase) ? [ALL] : []
        }
      }
    ],
    decide: (view, key, context) => {
      for (const node of gone.keys()) if (view.get({ ...NODES, namespace: '', name: node }) !== undefined) gone.delete(node)
      const goneSince = (node: string): number => {
        if (!gone.has(node)) gone.set(node, context.now)
        return gone.get(node) as number
      }
      return decide(view, key, context, goneSince)
    }
  }
}
