/** Requests that are no plain write of one object: reviews, tokens, and deleting a whole collection. */
import type { IntentResult } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import { methodNotAllowed, type Status } from '#events/Refusal.ts'
import type { Authenticator } from '#services/apiserver/request/authenticate.ts'
import { parseBody } from '#services/apiserver/request/body.ts'
import { optionsOfQuery } from '#services/apiserver/request/options.ts'
import { answerReview } from '#services/apiserver/reviews/reviews.ts'
import { requestToken } from '#services/apiserver/subresources/token.ts'
import { selectionOf } from '#services/apiserver/verbs/read.ts'
import type { ApiDeps } from './deps.ts'
import type { Exchange } from './exchange.ts'
import type { ResourcePath } from './paths.ts'
import { permit } from './permit.ts'
import { listFrame } from './representation.ts'
import { sendJson, sendRefusal, sendSlices } from './respond.ts'
import { listingSlices } from './slices.ts'
import { deletionIn, sourceOf } from './writes.ts'
import type { Listing } from '#services/apiserver/time-travel/Listing.ts'

/** Requests of one deletecollection in flight. */
const DELETES = 32

export const review = async (
  deps: ApiDeps,
  authenticator: Authenticator,
  exchange: Exchange,
  kind: Kind,
  path: ResourcePath
): Promise<void> => {
  const { request, user } = exchange
  if (request.method !== 'POST') throw methodNotAllowed()
  const attributes = { verb: 'create', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: '' }
  // Everybody may ask about themselves.
  if (!kind.kind.startsWith('Self')) permit(deps.views, user, attributes)
  const { fieldValidation = 'Warn' } = optionsOfQuery('CreateOptions', exchange.target.query)
  const { value } = parseBody(await exchange.readBody(), request.headers['content-type'], kind.kind, false, {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind
  })
  sendJson(exchange, 201, await answerReview({ kind, value, user, namespace: path.namespace, fieldValidation }, deps.views, authenticator))
}

export const issueToken = async (deps: ApiDeps, exchange: Exchange, path: ResourcePath): Promise<void> => {
  const { request, user } = exchange
  if (request.method !== 'POST') throw methodNotAllowed()
  const ref = { group: '', resource: 'serviceaccounts' }
  permit(deps.views, user, { verb: 'create', ...ref, subresource: 'token', namespace: path.namespace, name: path.name })
  const { fieldValidation = 'Warn' } = optionsOfQuery('CreateOptions', exchange.target.query)
  const { value } = parseBody(await exchange.readBody(), request.headers['content-type'], 'TokenRequest', false, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest'
  })
  sendJson(
    exchange,
    201,
    await requestToken({ namespace: path.namespace, name: path.name, value, user, fieldValidation }, deps.views, deps.tokens)
  )
}

/** `listing`: the collection as it is now. */
export const deleteCollection = async (
  deps: ApiDeps,
  exchange: Exchange,
  kind: Kind,
  path: ResourcePath,
  listing: Listing
): Promise<void> => {
  const { request, user, target } = exchange
  if (path.subresource !== '' || !kind.verbs.includes('deletecollection')) throw methodNotAllowed()
  permit(deps.views, user, {
    verb: 'deletecollection',
    group: kind.group,
    resource: kind.resource,
    subresource: '',
    namespace: path.namespace,
    name: ''
  })
  const { views, decider, clock } = deps
  const given = deletionIn(await exchange.readBody(), request, target.query)
  const { matches } = selectionOf(kind, target.query, '')
  const asked: Promise<IntentResult>[] = []
  // As upstream: what is gone already is no failure; the first that is one is the answer, whatever went before.
  const failure = async (): Promise<Status | undefined> => {
    const results = await Promise.all(asked.splice(0))
    for (const result of results) if (!result.ok && result.status.code !== 404) return result.status
    return undefined
  }
  for (let index = 0; index < listing.size; index++) {
    const entry = await listing.at(index)
    if (!matches(entry)) continue
    const { namespace, name } = entry.key
    const intent = {
      ...given,
      id: clock.uuid(),
      verb: 'delete',
      ref: { group: kind.group, resource: kind.resource },
      version: kind.version,
      namespace,
      name,
      source: sourceOf(request)
    } as const
    asked.push(decider.submit(intent, user, true))
    const failed = asked.length < DELETES ? undefined : await failure()
    if (failed !== undefined) return sendRefusal(exchange, failed)
  }
  const failed = await failure()
  if (failed !== undefined) return sendRefusal(exchange, failed)
  const frame = listFrame(
    kind,
    { resourceVersion: String(views.of(kind).objects.sequence) },
    { form: 'object', include: 'Metadata' },
    clock.now()
  )
  return sendSlices(
    exchange,
    listingSlices({ listing, from: 0, to: listing.size, matches }, { ...frame, between: ',' }, clock),
    deps.onError
  )
}
