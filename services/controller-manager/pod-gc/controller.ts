/** The pod garbage collector: looks when a node goes or comes, or a pod without one is deleted, or finishes. */
import { NODES, PODS } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, FINISHED_MAX, NAME } from './decide.ts'

const ALL = 'all'

export const podGc = (): ControllerDefinition => ({
  name: NAME,
  watches: [
    watch(NODES, ({ type }) => (type === 'MODIFIED' ? [] : [ALL])),
    watch(PODS, ({ type, entry, previous }, view) => {
      if (type === 'DELETED') return []
      const { object } = entry
      const node = object.spec?.nodeName ?? ''
      // As long as there are few pods, few have finished.
      const done = view.collection(PODS).size > FINISHED_MAX && (object.status?.phase === 'Succeeded' || object.status?.phase === 'Failed')
      const lost = node !== '' && view.get({ ...NODES, namespace: '', name: node }) === undefined
      return lost ||
        (node === '' && object.metadata.deletionTimestamp !== undefined) ||
        (done && previous?.object.status?.phase !== object.status?.phase)
        ? [ALL]
        : []
    })
  ],
  decide
})
