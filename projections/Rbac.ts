/** Who may do what: RBAC evaluated on the folded roles and bindings. Plain functions of the view. */
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES } from '#events/collections.ts'
import type { UserInfo } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { ResourceRef } from '#events/Key.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import { subjectValue, type AnyBinding, type AnyRole, type RoleRef } from '#events/rbac/rules.ts'
import { forbidden, invalid, notFound } from '#events/Refusal.ts'
import type { Attributes } from './Attributes.ts'
import { nodeOf, nodeRefusal } from './NodeRestriction.ts'
import type { ObjectsView } from './Objects.ts'

const GROUP = 'rbac.authorization.k8s.io'
const ref = (resource: string): { group: string; resource: string } => ({ group: GROUP, resource })
/** Members may do everything, whatever the roles say: otherwise nobody could repair them. */
const SUPERUSERS = 'system:masters'

export interface Rule {
  readonly verbs: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
}

const has = (list: readonly string[] | undefined, value: string): boolean => list?.some((item) => item === '*' || item === value) === true

const pathCovers = (pattern: string, path: string): boolean =>
  pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)))

const allows = (rule: Rule, { verb, group, resource, subresource, name, path }: Attributes): boolean => {
  if (!has(rule.verbs, verb)) return false
  if (path !== undefined) return rule.nonResourceURLs?.some((url) => pathCovers(url, path)) === true
  if (!has(rule.apiGroups, group)) return false
  const whole = subresource === '' ? resource : `${resource}/${subresource}`
  const named =
    rule.resources?.some((item) => item === '*' || item === whole || (subresource !== '' && item === `*/${subresource}`)) === true
  return named && ((rule.resourceNames?.length ?? 0) === 0 || rule.resourceNames?.includes(name) === true)
}

const isPathRule = (rule: Rule): boolean => (rule.nonResourceURLs?.length ?? 0) > 0

const findRole = (view: ObjectsView, roleRef: RoleRef, namespace: string): AnyRole | undefined =>
  (roleRef.kind === 'ClusterRole'
    ? view.get({ ...CLUSTER_ROLES, namespace: '', name: roleRef.name })
    : view.get({ ...ROLES, namespace, name: roleRef.name })
  )?.object

const rulesOf = (view: ObjectsView, roleRef: RoleRef, namespace: string): readonly Rule[] => findRole(view, roleRef, namespace)?.rules ?? []

/** The bindings for a user in a namespace ('' for the whole cluster), each once. */
const bindingsOf = function* (
  view: ObjectsView,
  collection: ResourceRef<AnyBinding>,
  user: UserInfo,
  namespace: string
): Generator<AnyBinding> {
  const seen = new Set<string>()
  const names = [subjectValue(namespace, 'User', user.username), ...user.groups.map((group) => subjectValue(namespace, 'Group', group))]
  for (const name of names)
    for (const { id, object } of view.collection(collection).indexed('subject', name)) {
      if (seen.has(id)) continue
      seen.add(id)
      yield object
    }
}

const grantsOf = function* (
  view: ObjectsView,
  user: UserInfo,
  namespace: string
): Generator<{ readonly rules: readonly Rule[]; readonly binding: AnyBinding }> {
  for (const binding of bindingsOf(view, CLUSTER_ROLE_BINDINGS, user, '')) yield { rules: rulesOf(view, binding.roleRef, ''), binding }
  if (namespace === '') return
  for (const binding of bindingsOf(view, ROLE_BINDINGS, user, namespace))
    yield { rules: rulesOf(view, binding.roleRef, namespace), binding }
}

export const authorize = (
  view: ObjectsView,
  user: UserInfo,
  attributes: Attributes
): { readonly allowed: boolean; readonly reason: string } => {
  if (user.groups.includes(SUPERUSERS)) return { allowed: true, reason: '' }
  const node = nodeOf(user)
  const refusal = node === undefined || attributes.path !== undefined ? undefined : nodeRefusal(view, node, attributes)
  if (refusal !== undefined) return { allowed: false, reason: refusal }
  for (const { rules, binding } of grantsOf(view, user, attributes.namespace))
    if (rules.some((rule) => allows(rule, attributes)))
      return {
        allowed: true,
        reason: `RBAC: allowed by ${binding.kind} "${binding.metadata.namespace === undefined ? '' : `${binding.metadata.namespace}/`}${binding.metadata.name}" of ${binding.roleRef.kind} "${binding.roleRef.name}"`
      }
  return { allowed: false, reason: '' }
}

/** What `kubectl auth can-i --list` shows. */
export const rulesFor = (
  view: ObjectsView,
  user: UserInfo,
  namespace: string
): { readonly resourceRules: readonly Rule[]; readonly nonResourceRules: readonly Rule[] } => {
  const rules: Rule[] = user.groups.includes(SUPERUSERS)
    ? [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
        { verbs: ['*'], nonResourceURLs: ['*'] }
      ]
    : [...grantsOf(view, user, namespace)].flatMap((grant) => grant.rules)
  return { resourceRules: rules.filter((rule) => !isPathRule(rule)), nonResourceRules: rules.filter(isPathRule) }
}

/** Single permissions of one rule that are looked at; real rules have some hundred. */
const MOST_PERMISSIONS = 100_000

const distinct = (list: readonly string[] | undefined): readonly string[] => [...new Set(list)]

/** True when every single permission of `rule` is granted by some rule of `owned`. Throws 422 for a rule of more than can be looked at. */
export const covered = (owned: readonly Rule[], rule: Rule): boolean => {
  const verbs = distinct(rule.verbs)
  // A rule with both halves is not valid, but it is judged here first: both must be held.
  const paths = distinct(rule.nonResourceURLs)
  const groups = distinct(rule.apiGroups)
  const resources = distinct(rule.resources)
  const names = distinct(rule.resourceNames)
  if (verbs.length * (paths.length + groups.length * resources.length) > MOST_PERMISSIONS)
    throw invalid(GROUP, 'Role', '', [
      {
        type: 'Invalid',
        field: 'rules',
        detail: `a rule may not name more than ${MOST_PERMISSIONS} combinations of verbs, groups and resources; split it, or use "*"`
      }
    ])
  if (
    !paths.every((path) =>
      verbs.every((verb) => owned.some((own) => has(own.verbs, verb) && own.nonResourceURLs?.some((url) => pathCovers(url, path))))
    )
  )
    return false
  return groups.every((group) =>
    resources.every((resource) =>
      verbs.every((verb) => {
        const granting = owned.filter(
          (own) =>
            has(own.verbs, verb) &&
            has(own.apiGroups, group) &&
            (has(own.resources, resource) || own.resources?.includes(`*/${resource.split('/')[1] ?? ''}`) === true)
        )
        if (granting.some((own) => (own.resourceNames?.length ?? 0) === 0)) return true
        const granted = new Set(granting.flatMap((own) => own.resourceNames ?? []))
        return names.length > 0 && names.every((name) => granted.has(name))
      })
    )
  )
}

/**
 * Nobody may give away what they do not have: writing a role needs its permissions (or `escalate`), writing a binding
 * needs those of the role it names (or `bind`). Throws 403.
 */
export const checkEscalation = (
  view: ObjectsView,
  user: UserInfo,
  kind: Pick<Kind, 'group' | 'resource' | 'kind'>,
  object: KubeObject
): void => {
  if (user.groups.includes(SUPERUSERS)) return
  const namespace = object.metadata.namespace ?? ''
  const name = object.metadata.name ?? ''
  const isRole = kind.kind === 'Role' || kind.kind === 'ClusterRole'
  const roleRef: RoleRef | undefined = isRole ? undefined : asOneOf<AnyBinding>(ROLE_BINDINGS, object).roleRef
  const attributes = isRole
    ? { verb: 'escalate', group: GROUP, resource: kind.resource, subresource: '', namespace, name }
    : {
        verb: 'bind',
        group: GROUP,
        resource: roleRef?.kind === 'ClusterRole' ? 'clusterroles' : 'roles',
        subresource: '',
        namespace,
        name: roleRef?.name ?? ''
      }
  if (authorize(view, user, attributes).allowed) return
  // Who could bind a role that does not exist yet would have whatever it is made to grant later.
  if (!isRole && roleRef !== undefined && findRole(view, roleRef, namespace) === undefined)
    throw notFound(ref(attributes.resource), roleRef.name)
  const asked = isRole ? (asOneOf<AnyRole>(ROLES, object).rules ?? []) : roleRef === undefined ? [] : rulesOf(view, roleRef, namespace)
  const owned = [...grantsOf(view, user, namespace)].flatMap((grant) => grant.rules)
  const missing = asked.filter((rule) => !covered(owned, rule))
  if (missing.length === 0) return
  const listed = missing.map(
    (rule) =>
      `{${!isPathRule(rule) ? `APIGroups:${JSON.stringify(rule.apiGroups ?? [])}, Resources:${JSON.stringify(rule.resources ?? [])}` : `NonResourceURLs:${JSON.stringify(rule.nonResourceURLs)}`}, Verbs:${JSON.stringify(rule.verbs ?? [])}}`
  )
  throw forbidden(
    kind,
    name,
    `user ${JSON.stringify(user.username)} (groups=${JSON.stringify(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${listed.join('\n')}`
  )
}
