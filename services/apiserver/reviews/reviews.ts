/** The virtual kinds: questions about who may do what and who somebody is. Answered, never stored. */
import type { UserInfo } from '#events/Intent.ts'
import { asOneOf, type KubeObject, type Of } from '#events/KubeObject.ts'
import { NO_TIME } from '#events/meta/time.ts'
import type { TokenReviewSpec } from '#events/schema/generated/authentication.v1.ts'
import type { SelfSubjectRulesReviewSpec, SubjectAccessReviewSpec } from '#events/schema/generated/authorization.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue } from '#events/meta/faults.ts'
import { badRequest, invalid, noSuchPath, type FieldError } from '#events/Refusal.ts'
import type { FieldValidation } from '#events/schema/validate.ts'
import { authorize, rulesFor } from '#projections/Rbac.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { ResourcePath } from '#services/apiserver/http/paths.ts'
import type { Authenticator } from '#services/apiserver/request/authenticate.ts'
import { decodeAs } from '#services/apiserver/request/decode.ts'

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

/** The review a path asks for; 404 when there is one of the name, but not there. */
export const reviewOf = ({ group, version, resource, namespace, name }: ResourcePath): Kind | undefined => {
  const kind = REVIEWS.find((one) => one.group === group && one.version === version && one.resource === resource)
  if (kind !== undefined && (kind.namespaced !== (namespace !== '') || name !== '')) throw noSuchPath()
  return kind
}

type AccessSpec = Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes' | 'user' | 'groups' | 'uid'>

/** Any of them: which fields there can be, its kind says. */
type ReviewSpec = AccessSpec & SelfSubjectRulesReviewSpec & TokenReviewSpec
interface Review extends KubeObject {
  readonly spec?: ReviewSpec
}
const REVIEW: Of<Review> = {}

const access = (
  view: ObjectsView,
  user: UserInfo,
  { resourceAttributes: asked, nonResourceAttributes: path }: AccessSpec
): { allowed: boolean; reason?: string } => {
  const attributes =
    asked === undefined
      ? { verb: path?.verb ?? '', group: '', resource: '', subresource: '', namespace: '', name: '', path: path?.path ?? '' }
      : {
          verb: asked.verb ?? '',
          group: asked.group ?? '',
          resource: asked.resource ?? '',
          subresource: asked.subresource ?? '',
          namespace: asked.namespace ?? '',
          name: asked.name ?? ''
        }
  const { allowed, reason } = authorize(view, user, attributes)
  return { allowed, ...(reason === '' ? {} : { reason }) }
}

/** What only the server says of an object: upstream drops it before it looks. */
const OURS = new Set(['creationTimestamp', 'deletionGracePeriodSeconds', 'deletionTimestamp', 'managedFields', 'selfLink', 'uid'])
const isEmpty = (value: unknown): boolean =>
  value === undefined || value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)

/** As upstream's validation of the three kinds of access review. */
const accessFaults = (kind: string, { metadata }: KubeObject, spec: AccessSpec): FieldError[] => {
  const faults: FieldError[] = []
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec
  if (resource !== undefined && path !== undefined)
    faults.push(badValue('spec.nonResourceAttributes', path, 'cannot be specified in combination with resourceAttributes'))
  if (resource === undefined && path === undefined)
    faults.push(badValue('spec.resourceAttributes', null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified'))
  if (kind !== 'SelfSubjectAccessReview' && (spec.user ?? '') === '' && (spec.groups?.length ?? 0) === 0)
    faults.push(badValue('spec.user', '', 'at least one of user or group must be specified'))
  const { namespace = '', ...rest } = metadata
  const local = kind === 'LocalSubjectAccessReview'
  if (Object.entries(rest).some(([field, value]) => !OURS.has(field) && !isEmpty(value)) || (!local && namespace !== ''))
    faults.push(badValue('metadata', metadata, local ? 'must be empty except for namespace' : 'must be empty'))
  if (!local) return faults
  if (resource !== undefined && (resource.namespace ?? '') !== namespace)
    faults.push(badValue('spec.resourceAttributes.namespace', resource.namespace ?? '', 'must match metadata.namespace'))
  if (path !== undefined) faults.push(badValue('spec.nonResourceAttributes', path, 'disallowed on this kind of request'))
  return faults
}

export interface ReviewRequest {
  readonly kind: Kind
  /** The body, not yet looked at. */
  readonly value: unknown
  readonly user: UserInfo
  /** '' for reviews at the cluster scope. */
  readonly namespace: string
  readonly fieldValidation?: FieldValidation
}

/** The review with its status filled in. Throws 400 and 422 for one that asks nothing, or no question. */
export const answerReview = async (
  { kind, value, user, namespace, fieldValidation }: ReviewRequest,
  view: ObjectsView,
  authenticator: Authenticator
): Promise<KubeObject> => {
  const { object } = decodeAs(kind, value, fieldValidation)
  const given = object.metadata.namespace ?? ''
  if (given !== '' && given !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  if (kind.namespaced) object.metadata.namespace = namespace
  const { spec = {} as ReviewSpec } = asOneOf(REVIEW, object)
  const base = {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: { creationTimestamp: NO_TIME, ...(kind.namespaced ? { namespace } : {}) }
  }
  const info = ({ username, uid, groups, extra }: UserInfo): Record<string, unknown> => ({
    username,
    ...(uid === undefined ? {} : { uid }),
    groups,
    ...(extra === undefined ? {} : { extra })
  })
  switch (kind.kind) {
    case 'SelfSubjectReview':
      return { ...base, status: { userInfo: info(user) } }
    case 'SelfSubjectAccessReview':
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview': {
      const faults = accessFaults(kind.kind, object, spec)
      if (faults.length > 0) throw invalid(kind.group, kind.kind, '', faults)
      const subject = kind.kind === 'SelfSubjectAccessReview' ? user : { username: spec.user ?? '', groups: spec.groups ?? [] }
      return { ...base, spec, status: access(view, subject, spec) }
    }
    case 'SelfSubjectRulesReview': {
      if ((spec.namespace ?? '') === '') throw badRequest('no namespace on request')
      return { ...base, spec: {}, status: { ...rulesFor(view, user, spec.namespace as string), incomplete: false } }
    }
    default: {
      if ((spec.token ?? '') === '') throw badRequest('token is required for TokenReview in authentication')
      const audiences = (spec.audiences?.length ?? 0) === 0 ? undefined : spec.audiences
      const found = await authenticator.review(spec.token as string, audiences)
      return {
        ...base,
        spec,
        status:
          found === undefined
            ? { authenticated: false, error: 'the token is not valid' }
            : { authenticated: true, user: info(found), ...(audiences === undefined ? {} : { audiences }) }
      }
    }
  }
}
