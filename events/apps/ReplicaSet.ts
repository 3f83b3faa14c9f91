/** ReplicaSet: keeps a number of pods of one template. */
import type * as apps from '#events/schema/generated/apps.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { immutable, nonNegative, same } from '#events/meta/faults.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { age, AGE, integer, NAME } from '#events/meta/Table.ts'
import { ALL_VERBS, SCALE, STATUS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { defaultTemplate, SCALING, TEMPLATE_COLUMNS, templateCells, validateSelectorAndTemplate } from './template.ts'

const COUNTS = ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const

export type ReplicaSet = apps.ReplicaSet
export const ReplicaSet: Kind<apps.ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  resource: 'replicasets',
  singular: 'replicaset',
  namespaced: true,
  shortNames: ['rs'],
  categories: ['all'],
  verbs: ALL_VERBS,
  subresources: [SCALE, STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  hasGeneration: true,
  scale: SCALING,
  default(set) {
    const spec: Partial<apps.ReplicaSetSpec> = (set.spec ??= {} as apps.ReplicaSetSpec)
    spec.replicas ??= 1
    defaultTemplate(spec)
    set.status ??= { replicas: 0 }
    set.status.replicas ??= 0
  },
  prepareForCreate(set) {
    set.status = { replicas: 0 }
  },
  prepareForUpdate: keepOtherHalf,
  validate(set) {
    const errors: FieldError[] = []
    nonNegative(set.spec?.replicas, 'spec.replicas', errors)
    nonNegative(set.spec?.minReadySeconds, 'spec.minReadySeconds', errors)
    validateSelectorAndTemplate(set, errors)
    return errors
  },
  validateUpdate(set, old, subresource) {
    const errors: FieldError[] = []
    if (subresource === 'status') for (const count of COUNTS) nonNegative(set.status?.[count], `status.${count}`, errors)
    else immutable(set.spec?.selector, old.spec?.selector, 'spec.selector', errors)
    return errors
  },
  fields: { 'status.replicas': (set) => String(set.status?.replicas ?? 0) },
  columns: [
    NAME,
    integer('Desired', 'The number of pods wanted.'),
    integer('Current', 'The number of pods there are.'),
    integer('Ready', 'The number of pods that are ready.'),
    AGE,
    ...TEMPLATE_COLUMNS
  ],
  row: (set, now) => [
    set.metadata.name ?? '',
    set.spec?.replicas ?? 0,
    set.status?.replicas ?? 0,
    set.status?.readyReplicas ?? 0,
    age(set, now),
    ...templateCells(set)
  ],
  eventType({ before, after, deleted, subresource }) {
    if (deleted || before === undefined) return undefined
    if (subresource === 'status') return 'reckon.replicaset.progressed.v1'
    if (before.spec?.replicas !== after.spec?.replicas) return 'reckon.replicaset.scaled.v1'
    return same(before.spec?.template, after.spec?.template) ? undefined : 'reckon.replicaset.template-changed.v1'
  }
}
