/** The pod garbage collector: looks when a node goes, or a pod without one is deleted, or finishes. */
import type { ControllerDefinition } from '../../platform/Controller.ts'
import { decide, NAME, NODES, PODS } from './decide.ts'

const ALL = 'all'

export const podGc: ControllerDefinition = {
  name: NAME,
  watches: [
    { ref: NODES, keys: ({ type }) => (type === 'DELETED' ? [ALL] : []) },
    {
      ref: PODS,
      keys: ({ type, entry, previous }, view) => {
        if (type === 'DELETED') return []
        const { object } = entry
        const node = (object['spec']?.nodeName as string | undefined) ?? ''
        const done = object['status']?.phase === 'Succeeded' || object['status']?.phase === 'Failed'
        const lost = node !== '' && view.get({ ...NODES, namespace: '', name: node }) === undefined
        return lost || (node === '' && object.metadata.deletionTimestamp !== undefined) || (done && previous?.object['status']?.phase !== object['status']?.phase) ? [ALL] : []
      }
    }
  ],
  decide
}
