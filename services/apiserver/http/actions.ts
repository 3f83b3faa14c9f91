/** Requests that are no plain write of one object: reviews, tokens, and deleting a whole collection. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { Kind } from '#events/Kind.ts'
import { badRequest, methodNotAllowed, notFound, Refusal } from '#events/Refusal.ts'
import type { Authenticator } from '../request/authenticate.ts'
import { parseBody } from '../request/body.ts'
import { answerReview } from '../reviews/reviews.ts'
import { selectionOf } from '../verbs/read.ts'
import type { ApiDeps } from './deps.ts'
import type { Exchange } from './exchange.ts'
import type { ResourcePath } from './paths.ts'
import { permit } from './permit.ts'
import { listFrame } from './representation.ts'
import { sendJson, sendSlices } from './respond.ts'
import { listingSlices } from './slices.ts'
import { deleteOptionsOf, sourceOf } from './writes.ts'
import type { Listing } from '../time-travel/Listing.ts'

/** Requests of one deletecollection in flight. */
const DELETES = 32

export const review = async (deps: ApiDeps, authenticator: Authenticator, exchange: Exchange, kind: Kind, path: ResourcePath): Promise<void> => {
  const { request, user } = exchange
  if (request.method !== 'POST') throw methodNotAllowed()
  const attributes = { verb: 'create', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: '' }
  // Everybody may ask about themselves.
  if (!kind.kind.startsWith('Self')) permit(deps.views, user, attributes)
  const { value } = parseBody(await exchange.readBody(), request.headers['content-type'], kind.kind, false, { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind })
  if (typeof value !== 'object' || value === null) throw badRequest(`the object provided is unrecognized (must be of type ${kind.kind})`)
  sendJson(exchange, 201, await answerReview(kind, value as KubeObject, user, path.namespace, deps.views, authenticator))
}

export const issueToken = async (deps: ApiDeps, exchange: Exchange, path: ResourcePath): Promise<void> => {
  const { request, user } = exchange
  if (request.method !== 'POST') throw methodNotAllowed()
  const ref = { group: '', resource: 'serviceaccounts' }
  permit(deps.views, user, { verb: 'create', ...ref, subresource: 'token', namespace: path.namespace, name: path.name })
  const account = deps.views.get({ ...ref, namespace: path.namespace, name: path.name })
  if (account === undefined) throw notFound(ref, path.name)
  const body = parseBody(await exchange.readBody(), request.headers['content-type'], 'TokenRequest', false, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' }).value as KubeObject
  const spec = (body['spec'] ?? {}) as { audiences?: string[]; expirationSeconds?: number }
  const seconds = spec.expirationSeconds ?? 3600
  if (seconds < 600) throw new Refusal(422, 'Invalid', 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: ' + String(seconds) + ': may not specify a duration less than 10 minutes', {})
  const { token, expiresAt } = await deps.tokens.issue(
    { namespace: path.namespace, name: path.name, uid: account.object.metadata.uid as string },
    { ...(Array.isArray(spec.audiences) ? { audiences: spec.audiences } : {}), seconds }
  )
  sendJson(exchange, 201, { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: { name: path.name, namespace: path.namespace, creationTimestamp: null }, spec: { ...spec, expirationSeconds: seconds }, status: { token, expirationTimestamp: expiresAt } })
}

/** `listing`: the collection as it is now. */
export const deleteCollection = async (deps: ApiDeps, exchange: Exchange, kind: Kind, path: ResourcePath, listing: Listing): Promise<void> => {
  const { request, user, target } = exchange
  if (path.subresource !== '' || !kind.verbs.includes('deletecollection')) throw methodNotAllowed()
  permit(deps.views, user, { verb: 'deletecollection', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: '' })
  const { views, decider, clock } = deps
  const given = deleteOptionsOf(await exchange.readBody(), request, target.query)
  const { matches } = selectionOf(kind, target.query, '')
  let asked: Promise<unknown>[] = []
  for (let index = 0; index < listing.size; index++) {
    const entry = await listing.at(index)
    if (!matches(entry)) continue
    const { namespace, name } = entry.key
    const intent = { ...given, id: clock.uuid(), verb: 'delete', ref: { group: kind.group, resource: kind.resource }, version: kind.version, namespace, name, source: sourceOf(request) } as const
    asked.push(decider.submit(intent, user, true))
    if (asked.length < DELETES) continue
    await Promise.all(asked)
    asked = []
  }
  await Promise.all(asked)
  const frame = listFrame(kind, { resourceVersion: String(views.of(kind).objects.sequence) }, { form: 'object', include: 'Metadata' }, clock.now())
  return sendSlices(exchange, listingSlices({ listing, from: 0, to: listing.size, matches }, { ...frame, between: ',' }, clock), deps.onError)
}
