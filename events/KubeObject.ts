/**
 * The shape every API object shares: what generic code (the log, folds, verbs) may assume of an object
 * without knowing its kind. Kind-specific code uses the generated types (`schema/generated/core.v1.ts` and so on).
 */

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ManagedFieldsEntry {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  /** RFC 3339, seconds; none of who applied what was there already. */
  readonly time?: string
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: Record<string, unknown>
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
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  [field: string]: any
}

/** The controlling owner (`controller: true`), of which an object has at most one. */
export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((owner) => owner.controller === true)
