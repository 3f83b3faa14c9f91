/** Lease: who holds something, and since when; node heartbeats and leader election. Kept in PULSE, not in the history. */
import type * as types from '#events/schema/generated/coordination.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, nonNegative } from '#events/meta/faults.ts'
import { age, AGE, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'

export const Lease: Kind<types.Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  resource: 'leases',
  singular: 'lease',
  namespaced: true,
  verbs: ALL_VERBS,
  stream: 'PULSE',
  default(lease) {
    lease.spec ??= {}
  },
  validate(lease) {
    const errors: FieldError[] = []
    const spec = lease.spec ?? {}
    if (typeof spec.leaseDurationSeconds === 'number' && spec.leaseDurationSeconds <= 0)
      errors.push(badValue('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'))
    nonNegative(spec.leaseTransitions, 'spec.leaseTransitions', errors)
    return errors
  },
  columns: [NAME, text('Holder', 'The holder of the lease.'), AGE],
  row: (lease, now) => [lease.metadata.name ?? '', lease.spec?.holderIdentity ?? '', age(lease, now)],
  eventType: ({ before, after, deleted }) =>
    deleted || before === undefined
      ? undefined
      : before.spec?.holderIdentity === after.spec?.holderIdentity
        ? 'reckon.lease.renewed.v1'
        : 'reckon.lease.acquired.v1'
}
