/** What the four RBAC kinds share: policy rules, role references and subjects. */
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject } from '#events/schema/generated/rbac.v1.ts'
import type { IndexFunction, Kind } from '#events/Kind.ts'
import { badValue, badValues, required, same, unsupported } from '#events/meta/faults.ts'
import { validateLabelSelector, type LabelSelector } from '#events/meta/LabelSelector.ts'
import { labelName, pathName, subdomainName } from '#events/meta/names.ts'
import { age, AGE, CREATED_AT, NAME, text, wide } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'

const RBAC_GROUP = 'rbac.authorization.k8s.io'

export type { PolicyRule, RoleRef, Subject }

/** A role of either scope; only those of the whole cluster may have an aggregation rule. */
export type AnyRole = Role & Pick<ClusterRole, 'aggregationRule'>
export type AnyBinding = RoleBinding | ClusterRoleBinding

const validateRule = (rule: PolicyRule, path: string, namespaced: boolean, errors: FieldError[]): void => {
  if (!rule.verbs?.length) errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'))
  if (rule.nonResourceURLs?.length) {
    if (namespaced)
      errors.push(badValue(`${path}.nonResourceURLs`, rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'))
    if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length)
      errors.push(
        badValue(`${path}.nonResourceURLs`, rule.nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs')
      )
    return
  }
  if (!rule.apiGroups?.length) errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  if (!rule.resources?.length) errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'))
}

const validateSubject = (subject: Subject, path: string, namespaced: boolean, errors: FieldError[]): void => {
  if (!subject.name) errors.push(required(`${path}.name`))
  switch (subject.kind) {
    case 'ServiceAccount':
      if (subject.name) errors.push(...badValues(`${path}.name`, subject.name, subdomainName(subject.name)))
      if (subject.apiGroup) errors.push(unsupported(`${path}.apiGroup`, subject.apiGroup, ['']))
      if (!namespaced && !subject.namespace) errors.push(required(`${path}.namespace`))
      else if (subject.namespace) errors.push(...badValues(`${path}.namespace`, subject.namespace, labelName(subject.namespace)))
      break
    case 'User':
    case 'Group':
      if (subject.apiGroup !== RBAC_GROUP) errors.push(unsupported(`${path}.apiGroup`, subject.apiGroup ?? '', [RBAC_GROUP]))
      break
    default:
      errors.push(unsupported(`${path}.kind`, subject.kind ?? '', ['ServiceAccount', 'User', 'Group']))
  }
}

const validateBinding = (binding: AnyBinding, namespaced: boolean): FieldError[] => {
  const errors: FieldError[] = []
  const ref: Partial<RoleRef> = binding.roleRef ?? {}
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  if (ref.apiGroup !== RBAC_GROUP) errors.push(unsupported('roleRef.apiGroup', ref.apiGroup ?? '', [RBAC_GROUP]))
  if (!kinds.includes(ref.kind ?? '')) errors.push(unsupported('roleRef.kind', ref.kind ?? '', kinds))
  if (!ref.name) errors.push(required('roleRef.name'))
  else errors.push(...badValues('roleRef.name', ref.name, pathName(ref.name)))
  binding.subjects?.forEach((subject, index) => validateSubject(subject, `subjects[${index}]`, namespaced, errors))
  return errors
}

const subjectNames = (binding: AnyBinding, kind: string): string =>
  (binding.subjects ?? [])
    .filter((subject) => subject.kind === kind)
    .map(({ namespace, name }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
    .join(', ')

type Shared = Pick<Kind, 'group' | 'version' | 'verbs' | 'stream' | 'nameRule'>
const SHARED: Shared = { group: RBAC_GROUP, version: 'v1', verbs: ALL_VERBS, stream: 'EVENTS', nameRule: 'path' }

export const roleKind = (naming: Pick<Kind, 'kind' | 'resource' | 'singular' | 'namespaced'>): Kind<AnyRole> => ({
  ...SHARED,
  ...naming,
  default(role) {
    // Upstream shows a role without rules as `rules: null`; an empty list says the same and is a list.
    role.rules ??= []
  },
  validate(role) {
    const errors: FieldError[] = []
    role.rules?.forEach((rule, index) => validateRule(rule, `rules[${index}]`, naming.namespaced, errors))
    const selectors = role.aggregationRule?.clusterRoleSelectors as readonly LabelSelector[] | undefined
    if (role.aggregationRule === undefined) return errors
    if (!selectors?.length)
      errors.push(
        required('aggregationRule.clusterRoleSelectors', 'at least one clusterRoleSelector required if aggregationRule is non-nil')
      )
    selectors?.forEach((selector, index) => validateLabelSelector(selector, `aggregationRule.clusterRoleSelectors[${index}]`, errors))
    return errors
  },
  columns: [NAME, CREATED_AT],
  row: (role) => [role.metadata.name ?? '', role.metadata.creationTimestamp ?? '<unknown>']
})

export const subjectValue = (namespace: string, kind: string, name: string): string => `${namespace}/${kind}/${name}`

/** Whom a binding is for, with its namespace. A service account is the user it is known as. */
const subjects: IndexFunction<AnyBinding> = (binding) =>
  (binding.subjects ?? []).map(({ kind = '', namespace = '', name = '' }) =>
    kind === 'ServiceAccount'
      ? subjectValue(binding.metadata.namespace ?? '', 'User', `system:serviceaccount:${namespace}:${name}`)
      : subjectValue(binding.metadata.namespace ?? '', kind, name)
  )

export const bindingKind = (naming: Pick<Kind, 'kind' | 'resource' | 'singular' | 'namespaced'>): Kind<AnyBinding> => ({
  ...SHARED,
  ...naming,
  default(binding) {
    const ref: RoleRef | undefined = binding.roleRef
    if (ref !== undefined) ref.apiGroup ||= RBAC_GROUP
    for (const subject of (binding['subjects'] ?? []) as Subject[])
      if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= RBAC_GROUP
  },
  indexes: { subject: subjects },
  validate: (binding) => validateBinding(binding, naming.namespaced),
  validateUpdate: (binding, old) =>
    same(binding.roleRef, old.roleRef) ? [] : [badValue('roleRef', binding.roleRef, 'cannot change roleRef')],
  columns: [NAME, text('Role', 'The role that is granted.'), AGE, wide('Users'), wide('Groups'), wide('ServiceAccounts')],
  row: (binding, now) => [
    binding.metadata.name ?? '',
    `${binding.roleRef?.kind ?? ''}/${binding.roleRef?.name ?? ''}`,
    age(binding, now),
    subjectNames(binding, 'User'),
    subjectNames(binding, 'Group'),
    subjectNames(binding, 'ServiceAccount')
  ]
})
