/** The namespace controller's decision: a namespace that is going takes everything in it along, its pods first, then is finalized. */
import { NAMESPACES } from '#events/collections.ts'
import { timestamp } from '#events/meta/time.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { remove, updateStatus } from '#services/controller-manager/asks.ts'
import { conditionsOf, type Remaining } from './conditions.ts'

export const NAME = 'namespace-controller'
/** Objects asked to go in one decision. */
const BATCH = 200
const AGAIN_MS = 1_000

/**
 * Pods go before what they use and what keeps others from them, the namespace's NetworkPolicies for one (KEP-5080); nothing else goes
 * while one is left.
 */
const PODS = { group: '', resource: 'pods' }
const isPods = ({ group, resource }: Pick<Remaining, 'group' | 'resource'>): boolean => group === PODS.group && resource === PODS.resource

export const decide = (view: ObjectsView, key: string, { api, now }: DecideContext): Decision => {
  const name = key.slice(key.indexOf('/') + 1)
  const namespace = view.get({ ...NAMESPACES, namespace: '', name })?.object
  if (namespace?.metadata.deletionTimestamp === undefined) return NOTHING
  const asks: Ask[] = []
  const remaining: Remaining[] = []
  for (const kind of [...api.kinds].sort((a, b) => Number(isPods(b)) - Number(isPods(a)))) {
    if (!kind.namespaced) continue
    if (remaining.some(isPods)) break
    const objects = [...view.collection(kind).list(name)].map(({ object }) => object)
    if (objects.length > 0) remaining.push({ group: kind.group, resource: kind.resource, objects })
    for (const object of objects) {
      if (object.metadata.deletionTimestamp === undefined && asks.length < BATCH)
        asks.push(remove(api.preferred(kind), object, { propagationPolicy: 'Background' }))
    }
  }
  if (remaining.length > 0) {
    // What goes at once is never said to remain: only when everything was asked to go before.
    const { status } = namespace
    const conditions = asks.length > 0 ? undefined : conditionsOf(status?.conditions ?? [], remaining, timestamp(now))
    if (conditions !== undefined) asks.push(updateStatus({ ...NAMESPACES, version: 'v1' }, namespace, { ...status, conditions }))
    return { asks, requeueAfterMs: AGAIN_MS }
  }
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
        object: { ...namespace, metadata: { ...rest, name }, spec: { ...namespace.spec, finalizers: [] } }
      }
    ]
  }
}
