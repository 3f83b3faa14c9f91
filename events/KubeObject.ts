/**
 * The shape every API object shares: what generic code (the log, folds, verbs) may assume of an object without knowing its kind. What else
 * it holds is `unknown` there. Kind-specific code has the generated types (`schema/generated/core.v1.ts` and so on): from the collection
 * an object is read from (`collections.ts`), or by `asOneOf`.
 */
import type { JsonObject } from './meta/json.ts'

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** Fields by name, `f:` in front, and what of each (structured-merge-diff's FieldsV1); an empty one is a field as a whole. */
export interface FieldSet {
  readonly [member: string]: FieldSet
}

export interface ManagedFieldsEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  /** RFC 3339, seconds; none of who applied what was there already. */
  readonly time?: string
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: FieldSet
  readonly subresource?: string
}

export interface ObjectMeta {
  name?: string
  generateName?: string
  namespace?: string
  uid?: string
  /** Decimal stream sequence. Absent in the log; stamped when an event is read. */
  resourceVersion?: string
  generation?: number
  /** RFC 3339, seconds, UTC. */
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  managedFields?: ManagedFieldsEntry[]
}

/** Objects are plain JSON. Whoever holds one must not change it in place: folds and watchers share it. */
export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  [field: string]: unknown
}

/** Never there: it tells tsc of what type a collection's objects are. */
declare const OF: unique symbol

/** Names what has objects of that type. */
export interface Of<Some extends KubeObject> {
  readonly [OF]?: Some
}

/**
 * An object as what its collection holds, for who knows by a key, or by the kind a write is of, which collection that is: the one place
 * where an object is given its type by word and not by what it was read from. Nothing is looked at: whatever is stored was decoded against
 * the schema when it was written, and a check at each read would be the most expensive thing folds and filters do. Of what a client just
 * sent, only the fields' types are sure: required ones may be missing until it is validated.
 */
export const asOneOf: {
  <Some extends KubeObject>(of: Of<Some>, object: KubeObject): Some
  <Some extends KubeObject>(of: Of<Some>, object: KubeObject | undefined): Some | undefined
} = <Some extends KubeObject>(_: Of<Some>, object: KubeObject | undefined) => object as Some

/**
 * What a client sent as an object, before it is decoded: it has whatever the client put into it, perhaps not even metadata. What is given
 * one, verbs above all, decodes it before anything else.
 */
export const undecoded = (value: JsonObject): KubeObject => value as unknown as KubeObject

/** The controlling owner (`controller: true`), of which an object has at most one. */
export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((owner) => owner.controller === true)
