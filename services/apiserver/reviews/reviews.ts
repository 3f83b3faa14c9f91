/** The virtual kinds: questions about who may do what and who somebody is. Answered, never stored. */
import type { UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Kind } from '#events/Kind.ts'
import { badRequest } from '#events/Refusal.ts'
import { authorize, rulesFor } from '#projections/Rbac.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { Authenticator } from '../request/authenticate.ts'

const review = (group: string, resource: string, kind: string, namespaced = false): Kind => ({
  group,
  version: 'v1',
  kind,
  resource,
  singular: kind.toLowerCase(),
  namespaced,
  verbs: ['create'],
  stream: 'EVENTS'
})

const AUTHORIZATION = 'authorization.k8s.io'
const AUTHENTICATION = 'authentication.k8s.io'

/** Listed in discovery after the stored kinds. */
export const REVIEWS: readonly Kind[] = [
  review(AUTHENTICATION, 'tokenreviews', 'TokenReview'),
  review(AUTHENTICATION, 'selfsubjectreviews', 'SelfSubjectReview'),
  review(AUTHORIZATION, 'localsubjectaccessreviews', 'LocalSubjectAccessReview', true),
  review(AUTHORIZATION, 'selfsubjectaccessreviews', 'SelfSubjectAccessReview'),
  review(AUTHORIZATION, 'selfsubjectrulesreviews', 'SelfSubjectRulesReview'),
  review(AUTHORIZATION, 'subjectaccessreviews', 'SubjectAccessReview')
]

export const reviewOf = (group: string, resource: string): Kind | undefined => REVIEWS.find((kind) => kind.group === group && kind.resource === resource)

interface AccessSpec {
  readonly resourceAttributes?: { namespace?: string; verb?: string; group?: string; resource?: string; subresource?: string; name?: string }
  readonly nonResourceAttributes?: { path?: string; verb?: string }
  readonly user?: string
  readonly groups?: string[]
  readonly uid?: string
}

const access = (view: ObjectsView, user: UserInfo, spec: AccessSpec, namespace: string): { allowed: boolean; reason?: string } => {
  const { resourceAttributes: asked, nonResourceAttributes: path } = spec
  if ((asked === undefined) === (path === undefined)) throw badRequest('exactly one of nonResourceAttributes or resourceAttributes must be specified')
  const attributes =
    asked === undefined
      ? { verb: path?.verb ?? '', group: '', resource: '', subresource: '', namespace: '', name: '', path: path?.path ?? '' }
      : { verb: asked.verb ?? '', group: asked.group ?? '', resource: asked.resource ?? '', subresource: asked.subresource ?? '', namespace: asked.namespace ?? namespace, name: asked.name ?? '' }
  const { allowed, reason } = authorize(view, user, attributes)
  return { allowed, ...(reason === '' ? {} : { reason }) }
}

/** The review with its status filled in. */
export const answerReview = async (kind: Kind, object: KubeObject, user: UserInfo, namespace: string, view: ObjectsView, authenticator: Authenticator): Promise<KubeObject> => {
  const spec = (object['spec'] ?? {}) as AccessSpec & { namespace?: string; token?: string; audiences?: string[] }
  const base = { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind, metadata: { creationTimestamp: null } as unknown as KubeObject['metadata'] }
  const info = ({ username, uid, groups, extra }: UserInfo): Record<string, unknown> => ({ username, ...(uid === undefined ? {} : { uid }), groups, ...(extra === undefined ? {} : { extra }) })
  switch (kind.kind) {
    case 'SelfSubjectReview':
      return { ...base, status: { userInfo: info(user) } }
    case 'SelfSubjectAccessReview':
      return { ...base, spec, status: access(view, user, spec, namespace) }
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview': {
      if ((spec.user ?? '') === '' && (spec.groups?.length ?? 0) === 0) throw badRequest('spec.user: at least one of user or group must be specified')
      return { ...base, spec, status: access(view, { username: spec.user ?? '', groups: spec.groups ?? [] }, spec, namespace) }
    }
    case 'SelfSubjectRulesReview': {
      const rules = rulesFor(view, user, spec.namespace ?? 'default')
      return { ...base, spec: {}, status: { ...rules, incomplete: false } }
    }
    default: {
      const found = await authenticator.review(spec.token ?? '', spec.audiences)
      return { ...base, spec, status: found === undefined ? { authenticated: false, error: 'the token is not valid' } : { authenticated: true, user: info(found), ...(spec.audiences === undefined ? {} : { audiences: spec.audiences }) } }
    }
  }
}
