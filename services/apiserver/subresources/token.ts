/** serviceaccounts/token: a short-lived token of the account, which a pod may be named for (KEP-1205). Signed, never stored. */
import { PODS, SERVICE_ACCOUNTS } from '#events/collections.ts'
import type { UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { NO_TIME } from '#events/meta/time.ts'
import type { TokenRequest } from '#events/schema/generated/authentication.v1.ts'
import { badValue } from '#events/meta/faults.ts'
import { badRequest, conflict, invalid, notFound, type FieldError } from '#events/Refusal.ts'
import type { FieldValidation } from '#events/schema/validate.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { restrictToken, type BoundTo } from '#services/apiserver/admission/nodeRestriction.ts'
import type { Tokens, TokenSubject } from '#services/apiserver/nodes/Tokens.ts'
import { decodeAs, type TypedKind } from '#services/apiserver/request/decode.ts'

const TOKEN_REQUEST: TypedKind<TokenRequest> = { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }
const USUAL_S = 3600
const SHORTEST_S = 600
const LONGEST_S = 2 ** 32

/** The pod a token is to end with. Throws what upstream answers for one that is not there, or runs as somebody else. */
const podOf = (
  view: ObjectsView,
  namespace: string,
  account: string,
  { apiVersion = '', kind = '', name = '', uid = '' }: BoundTo
): TokenSubject['pod'] => {
  if (kind !== 'Pod' || apiVersion !== 'v1')
    throw badRequest(`cannot bind token to object of type ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`)
  const pod = view.get({ ...PODS, namespace, name })?.object
  if (pod === undefined) throw notFound(PODS, name)
  if (pod.spec?.serviceAccountName !== account)
    throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`)
  if (uid !== '' && uid !== pod.metadata.uid)
    throw conflict(
      { group: '', resource: 'Pod' },
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`
    )
  return { name, uid: pod.metadata.uid as string }
}

export interface TokenQuestion {
  readonly namespace: string
  /** The account. */
  readonly name: string
  /** The body, not yet looked at. */
  readonly value: unknown
  readonly user: UserInfo
  readonly fieldValidation?: FieldValidation
}

/** The TokenRequest with its status filled in. */
export const requestToken = async (
  { namespace, name, value, user, fieldValidation }: TokenQuestion,
  view: ObjectsView,
  tokens: Tokens
): Promise<KubeObject> => {
  const { object } = decodeAs(TOKEN_REQUEST, value, fieldValidation)
  const given = object.metadata
  if ((given.namespace ?? '') !== '' && given.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  if ((given.name ?? '') !== '' && given.name !== name)
    throw invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, name, [
      badValue('metadata.name', given.name, 'must match the service account name if specified')
    ])
  const account = view.get({ ...SERVICE_ACCOUNTS, namespace, name })?.object
  if (account === undefined) throw notFound(SERVICE_ACCOUNTS, name)
  const uid = account.metadata.uid as string
  if ((given.uid ?? '') !== '' && given.uid !== uid)
    throw conflict(
      { group: TOKEN_REQUEST.group, resource: TOKEN_REQUEST.kind },
      name,
      `the UID in the token request (${given.uid}) does not match the UID of the service account (${uid})`
    )
  const spec = object.spec ?? {}
  const seconds = spec.expirationSeconds ?? USUAL_S
  const faults: FieldError[] = []
  if (seconds < SHORTEST_S) faults.push(badValue('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes'))
  if (seconds > LONGEST_S) faults.push(badValue('spec.expirationSeconds', seconds, 'may not specify a duration larger than 2^32 seconds'))
  if (faults.length > 0) throw invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, '', faults)
  restrictToken(user, namespace, name, spec.boundObjectRef, view)
  const pod = spec.boundObjectRef === undefined ? undefined : podOf(view, namespace, name, spec.boundObjectRef)
  const { token, expiresAt } = await tokens.issue(
    { namespace, name, uid, ...(pod === undefined ? {} : { pod }) },
    { ...(spec.audiences === undefined ? {} : { audiences: spec.audiences }), seconds }
  )
  return {
    kind: TOKEN_REQUEST.kind,
    apiVersion: `${TOKEN_REQUEST.group}/${TOKEN_REQUEST.version}`,
    metadata: { name, namespace, creationTimestamp: NO_TIME },
    spec: { ...spec, expirationSeconds: seconds },
    status: { token, expirationTimestamp: expiresAt }
  }
}
