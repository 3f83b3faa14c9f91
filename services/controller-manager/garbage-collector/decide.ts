/**
 * The garbage collector's decision about one object: it goes when none of its owners stays, and an owner that goes in the
 * foreground or leaves orphans waits for its dependents to be dealt with. What somebody else owns as well is let go of, not deleted.
 */
import type { KubeObject, OwnerReference } from '#events/KubeObject.ts'
import { KINDS, kindNamed } from '#events/scheme.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { merge, remove } from '../asks.ts'

export const NAME = 'generic-garbage-collector'
const BATCH = 200

/** `key`: `group/resource/namespace/name`. */
export const decide = (view: ObjectsView, key: string, _context: DecideContext): Decision => {
  const [group = '', resource = '', namespace = '', name = ''] = key.split('/')
  const object = view.get({ group, resource, namespace, name })?.object
  if (object === undefined) return NOTHING
  const asks: Ask[] = []
  const finalizers = object.metadata.finalizers ?? []
  if (object.metadata.deletionTimestamp !== undefined) {
    if (finalizers.includes('orphan')) asks.push(...orphan(view, object))
    else if (finalizers.includes('foregroundDeletion')) asks.push(...foreground(view, object))
    return asks.length === 0 ? NOTHING : { asks }
  }
  const owners = object.metadata.ownerReferences ?? []
  if (owners.length === 0) return NOTHING
  const states = owners.map((owner) => ({ owner, state: stateOf(view, owner, namespace) }))
  const kept = states.filter(({ state }) => state === 'present' || state === 'unknown')
  // Somebody still needs it: those who go, or are gone, no longer wait for it.
  if (kept.length > 0) return kept.length === owners.length ? NOTHING : { asks: [merge(object, { metadata: { ...lock(object), ownerReferences: kept.map(({ owner }) => owner) } })] }
  // One that is left goes in the foreground: so does this.
  return { asks: [remove(object, { propagationPolicy: states.some(({ state }) => state === 'foreground') ? 'Foreground' : 'Background' })] }
}

/** Lists are written as a whole: only over the one that was seen. */
const lock = ({ metadata: { uid, resourceVersion } }: KubeObject): Record<string, unknown> => ({ uid, resourceVersion })

const stateOf = (view: ObjectsView, owner: OwnerReference, namespace: string): 'present' | 'foreground' | 'gone' | 'unknown' => {
  const [group = '', version] = owner.apiVersion.includes('/') ? owner.apiVersion.split('/') : ['', owner.apiVersion]
  const kind = kindNamed(group, version, owner.kind)
  // An owner of a kind that is not served here is nobody's to judge.
  if (kind === undefined || (kind.namespaced && namespace === '')) return 'unknown'
  const found = view.get({ group: kind.group, resource: kind.resource, namespace: kind.namespaced ? namespace : '', name: owner.name })?.object
  if (found === undefined || found.metadata.uid !== owner.uid) return 'gone'
  return found.metadata.deletionTimestamp !== undefined && found.metadata.finalizers?.includes('foregroundDeletion') === true ? 'foreground' : 'present'
}

export const dependentsOf = (view: ObjectsView, uid: string): KubeObject[] => KINDS.flatMap((kind) => [...view.collection(kind).indexed('owner', uid)].map(({ object }) => object))

/** Another of its owners is there and stays. */
const isKept = (view: ObjectsView, { metadata }: KubeObject): boolean =>
  (metadata.ownerReferences ?? []).some((owner) => ['present', 'unknown'].includes(stateOf(view, owner, metadata.namespace ?? '')))

const disown = (object: KubeObject, uid: string): Ask => merge(object, { metadata: { ...lock(object), ownerReferences: object.metadata.ownerReferences?.filter((reference) => reference.uid !== uid) ?? null } })

const without = (object: KubeObject, finalizer: string): Ask => merge(object, { metadata: { ...lock(object), finalizers: (object.metadata.finalizers ?? []).filter((item) => item !== finalizer) } })

const orphan = (view: ObjectsView, owner: KubeObject): Ask[] => {
  const uid = owner.metadata.uid as string
  const dependents = dependentsOf(view, uid)
  if (dependents.length === 0) return [without(owner, 'orphan')]
  return dependents.slice(0, BATCH).map((object) => disown(object, uid))
}

const foreground = (view: ObjectsView, owner: KubeObject): Ask[] => {
  const uid = owner.metadata.uid as string
  const dependents = dependentsOf(view, uid)
  const blocking = dependents.filter((object) => object.metadata.ownerReferences?.some((reference) => reference.uid === uid && reference.blockOwnerDeletion === true))
  if (blocking.length === 0) return [without(owner, 'foregroundDeletion')]
  return dependents
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .slice(0, BATCH)
    .map((object) => (isKept(view, object) ? disown(object, uid) : remove(object, { propagationPolicy: 'Foreground' })))
}
