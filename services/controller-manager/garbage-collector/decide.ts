/**
 * The garbage collector's decision about one object: it goes when none of its owners stays, and an owner that goes in the
 * foreground or leaves orphans waits for its dependents to be dealt with. What somebody else owns as well is let go of, not deleted.
 */
import type { KubeObject, OwnerReference } from '#events/KubeObject.ts'
import type { Api } from '#events/Api.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { merge, remove } from '#services/controller-manager/asks.ts'

export const NAME = 'generic-garbage-collector'
const BATCH = 200

/** `key`: `group/resource/namespace/name`. */
export const decide = (view: ObjectsView, key: string, { api }: DecideContext): Decision => {
  const [group = '', resource = '', namespace = '', name = ''] = key.split('/')
  const stored = api.kindOf({ group, resource })
  const kind = stored === undefined ? undefined : api.preferred(stored)
  const object = view.get({ group, resource, namespace, name })?.object
  if (kind === undefined || object === undefined) return NOTHING
  const asks: Ask[] = []
  const finalizers = object.metadata.finalizers ?? []
  if (object.metadata.deletionTimestamp !== undefined) {
    if (finalizers.includes('orphan')) asks.push(...orphan(view, api, kind, object))
    else if (finalizers.includes('foregroundDeletion')) asks.push(...foreground(view, api, kind, object))
    return asks.length === 0 ? NOTHING : { asks }
  }
  const owners = object.metadata.ownerReferences ?? []
  if (owners.length === 0) return NOTHING
  const states = owners.map((owner) => ({ owner, state: stateOf(view, api, owner, namespace) }))
  const kept = states.filter(({ state }) => state === 'present' || state === 'unknown')
  // Somebody still needs it: those who go, or are gone, no longer wait for it.
  if (kept.length > 0)
    return kept.length === owners.length
      ? NOTHING
      : { asks: [merge(kind, object, { metadata: { ...lock(object), ownerReferences: kept.map(({ owner }) => owner) } })] }
  // One that is left goes in the foreground: so does this.
  return {
    asks: [remove(kind, object, { propagationPolicy: states.some(({ state }) => state === 'foreground') ? 'Foreground' : 'Background' })]
  }
}

/** Lists are written as a whole: only over the one that was seen. */
const lock = ({ metadata: { uid, resourceVersion } }: KubeObject): Record<string, unknown> => ({ uid, resourceVersion })

/** The very object a reference names; undefined when it is gone, whoever has its name now. */
const ownerOf = (view: ObjectsView, api: Api, owner: OwnerReference, namespace: string): KubeObject | undefined => {
  const kind = api.kindOfObject(owner)
  if (kind === undefined) return undefined
  const key = { ...collectionOf(kind), namespace: kind.namespaced ? namespace : '', name: owner.name }
  const found = view.get(key)?.object
  return found?.metadata.uid === owner.uid ? found : undefined
}

const stateOf = (view: ObjectsView, api: Api, owner: OwnerReference, namespace: string): 'present' | 'foreground' | 'gone' | 'unknown' => {
  const kind = api.kindOfObject(owner)
  // An owner of a kind that is not served here is nobody's to judge.
  if (kind === undefined || (kind.namespaced && namespace === '')) return 'unknown'
  const found = ownerOf(view, api, owner, namespace)
  if (found === undefined) return 'gone'
  return found.metadata.deletionTimestamp !== undefined && found.metadata.finalizers?.includes('foregroundDeletion') === true
    ? 'foreground'
    : 'present'
}

/** An object that names the owner, and what kind of object it is. */
export interface Dependent {
  readonly kind: Kind
  readonly object: KubeObject
}

export const dependentsOf = (view: ObjectsView, api: Api, uid: string): Dependent[] =>
  api.kinds.flatMap((kind) => [...view.collection(kind).indexed('owner', uid)].map(({ object }) => ({ kind: api.preferred(kind), object })))

/** Another of its owners is there and stays. */
const isKept = (view: ObjectsView, api: Api, { metadata }: KubeObject): boolean =>
  (metadata.ownerReferences ?? []).some((owner) => ['present', 'unknown'].includes(stateOf(view, api, owner, metadata.namespace ?? '')))

const disown = ({ kind, object }: Dependent, uid: string): Ask => {
  const left = object.metadata.ownerReferences?.filter((reference) => reference.uid !== uid) ?? null
  return merge(kind, object, { metadata: { ...lock(object), ownerReferences: left } })
}

const without = (kind: Kind, object: KubeObject, finalizer: string): Ask =>
  merge(kind, object, {
    metadata: { ...lock(object), finalizers: (object.metadata.finalizers ?? []).filter((item) => item !== finalizer) }
  })

const orphan = (view: ObjectsView, api: Api, kind: Kind, owner: KubeObject): Ask[] => {
  const uid = owner.metadata.uid as string
  const dependents = dependentsOf(view, api, uid)
  if (dependents.length === 0) return [without(kind, owner, 'orphan')]
  return dependents.slice(0, BATCH).map((dependent) => disown(dependent, uid))
}

/**
 * The uids of those that go in the foreground and wait for this one, or for one that does. A dependent among them closes a circle, in
 * which each would wait for the next for ever; so it is not waited for. Upstream takes `blockOwnerDeletion` from the object that would
 * close one, before it goes: with two of a circle asked to go at once, neither sees the other, and the circle stays closed.
 */
const waitingFor = (view: ObjectsView, api: Api, object: KubeObject, found: Set<string> = new Set()): Set<string> => {
  const namespace = object.metadata.namespace ?? ''
  for (const reference of object.metadata.ownerReferences ?? []) {
    if (reference.blockOwnerDeletion !== true || found.has(reference.uid) || stateOf(view, api, reference, namespace) !== 'foreground')
      continue
    found.add(reference.uid)
    const owner = ownerOf(view, api, reference, namespace)
    if (owner !== undefined) waitingFor(view, api, owner, found)
  }
  return found
}

const foreground = (view: ObjectsView, api: Api, kind: Kind, owner: KubeObject): Ask[] => {
  const uid = owner.metadata.uid as string
  const dependents = dependentsOf(view, api, uid)
  const waiting = waitingFor(view, api, owner)
  const blocks = ({ metadata }: KubeObject): boolean =>
    !waiting.has(metadata.uid as string) &&
    metadata.ownerReferences?.some((reference) => reference.uid === uid && reference.blockOwnerDeletion === true) === true
  if (!dependents.some(({ object }) => blocks(object))) return [without(kind, owner, 'foregroundDeletion')]
  return dependents
    .filter(({ object }) => object.metadata.deletionTimestamp === undefined)
    .slice(0, BATCH)
    .map((dependent) =>
      isKept(view, api, dependent.object)
        ? disown(dependent, uid)
        : remove(dependent.kind, dependent.object, { propagationPolicy: 'Foreground' })
    )
}
