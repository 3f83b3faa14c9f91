/** ServiceAccount: an identity for pods. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { age, AGE, integer, NAME } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'

export const ServiceAccount: Kind<types.ServiceAccount> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  resource: 'serviceaccounts',
  singular: 'serviceaccount',
  namespaced: true,
  shortNames: ['sa'],
  verbs: ALL_VERBS,
  subresources: [{ name: 'token', group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', verbs: ['create'] }],
  stream: 'EVENTS',
  returnsDeleted: true,
  columns: [NAME, integer('Secrets', 'The secrets pods of this account may use.'), AGE],
  row: (account, now) => [account.metadata.name ?? '', (account.secrets ?? []).length, age(account, now)]
}
