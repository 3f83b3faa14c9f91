/** Namespace: a scope for names. Deleting it empties it first, so its own finalizer lives in `spec`. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { age, AGE, NAME, text } from '#events/meta/Table.ts'
import { badValue } from '#events/meta/faults.ts'
import { qualifiedName } from '#events/meta/names.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'

const NAME_LABEL = 'kubernetes.io/metadata.name'

export const Namespace: Kind<types.Namespace> = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  resource: 'namespaces',
  singular: 'namespace',
  namespaced: false,
  shortNames: ['ns'],
  verbs: ALL_VERBS.filter((verb) => verb !== 'deletecollection'),
  subresources: [{ name: 'finalize', verbs: ['update'] }, STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  returnsDeleted: true,
  nameRule: 'label',
  default(namespace) {
    namespace.spec ??= {}
    namespace.status ??= {}
    namespace.status.phase ??= 'Active'
    if (namespace.metadata.name) namespace.metadata.labels = { ...namespace.metadata.labels, [NAME_LABEL]: namespace.metadata.name }
  },
  prepareForCreate(namespace) {
    const finalizers: string[] = namespace.spec?.finalizers ?? []
    namespace.spec = { finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'] }
    namespace.status = { phase: 'Active' }
  },
  prepareForUpdate(namespace, old, subresource) {
    if (subresource === 'status') keepOtherHalf(namespace, old, 'status')
    else {
      namespace.status = old.status
      if (subresource !== 'finalize')
        namespace.spec = { ...namespace.spec, ...(old.spec?.finalizers === undefined ? {} : { finalizers: old.spec.finalizers }) }
    }
  },
  prepareForDelete(namespace) {
    namespace.status = { ...namespace.status, phase: 'Terminating' }
  },
  isKept: (namespace) => ((namespace.spec?.finalizers as string[] | undefined)?.length ?? 0) > 0,
  validate(namespace) {
    const errors: FieldError[] = []
    const finalizers: string[] = namespace.spec?.finalizers ?? []
    finalizers.forEach((finalizer) => {
      for (const message of qualifiedName(finalizer)) errors.push(badValue('spec.finalizers', finalizer, message))
      if (!finalizer.includes('/') && finalizer !== 'kubernetes')
        errors.push(badValue('spec.finalizers', finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
    })
    return errors
  },
  validateUpdate(namespace, _old, subresource) {
    const phase: unknown = namespace.status?.phase
    if (subresource !== 'status') return []
    return namespace.metadata.deletionTimestamp === undefined
      ? phase === 'Active'
        ? []
        : [badValue('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")]
      : phase === 'Terminating'
        ? []
        : [badValue('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
  },
  fields: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
  columns: [NAME, text('Status', 'The status of the namespace'), AGE],
  row: (namespace, now) => [namespace.metadata.name ?? '', namespace.status?.phase ?? '', age(namespace, now)],
  eventType({ before, after, deleted, subresource }) {
    if (deleted || before === undefined) return undefined
    if (subresource === 'finalize') return 'reckon.namespace.finalized.v1'
    return after.status?.phase === 'Terminating' && before.status?.phase !== 'Terminating'
      ? 'reckon.namespace.deletion-requested.v1'
      : undefined
  }
}
