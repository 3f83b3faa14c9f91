/** The namespace controller's decision: a namespace that is going takes everything in it along, then is finalized. */
import { NAMESPACES } from '#events/collections.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/decision.ts'
import { remove } from '../asks.ts'

export const NAME = 'namespace-controller'
/** Objects asked to go in one decision. */
const BATCH = 200
const AGAIN_MS = 1_000

export const decide = (view: ObjectsView, key: string, { api }: DecideContext): Decision => {
  const name = key.slice(key.indexOf('/') + 1)
  const namespace = view.get({ ...NAMESPACES, namespace: '', name })?.object
  if (namespace?.metadata.deletionTimestamp === undefined) return NOTHING
  const asks: Ask[] = []
  let left = 0
  for (const kind of api.kinds) {
    if (!kind.namespaced) continue
    for (const { object } of view.collection(kind).list(name)) {
      left += 1
      if (object.metadata.deletionTimestamp === undefined && asks.length < BATCH) asks.push(remove(api.preferred(kind), object, { propagationPolicy: 'Background' }))
    }
  }
  if (left > 0) return { asks, requeueAfterMs: AGAIN_MS }
  const { name: _, ...rest } = namespace.metadata
  return {
    asks: [
      {
        verb: 'update',
        ref: NAMESPACES,
        version: 'v1',
        namespace: '',
        name,
        subresource: 'finalize',
        object: { ...namespace, metadata: { ...rest, name }, spec: { ...namespace['spec'], finalizers: [] } }
      }
    ]
  }
}
