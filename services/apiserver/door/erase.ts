/** Serves `erase.<user>`: a person's word that what a deleted Secret said is to be read by nobody any more. Not an intent: it makes no event, but a record in the audit trail. */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { badRequest, forbidden, Refusal, type Status } from '#events/Refusal.ts'
import { authorize } from '#projections/Rbac.ts'
import type { Clock } from '../../platform/Clock.ts'
import type { ObjectKeys } from '../../platform/secrets/ObjectKeys.ts'
import type { Views } from '../../platform/View.ts'
import type { Recorder } from '../audit/RequestAudit.ts'
import { statusOf } from '../http/respond.ts'
import { deniedMessage } from '../request/denied.ts'
import { eraseSecrets, SECRETS, type Erased } from '../secrets/erase.ts'
import { userOf } from './door.ts'

const LARGEST_REQUEST = 4 * 1024

export type EraseAnswer = { readonly erased: readonly Erased[] } | { readonly status: Status }

export interface EraseDoorOptions {
  readonly views: Views
  readonly keys: ObjectKeys
  readonly connection: NatsConnection
  readonly recorder: Recorder
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

export const serveErase = ({ views, keys, connection, recorder, clock, onError }: EraseDoorOptions): { close(): Promise<void> } => {
  const subscription: Subscription = connection.subscribe('erase.*', { queue: 'apiserver' })
  const erase = async (message: Msg): Promise<readonly Erased[]> => {
    const user = userOf(message.subject.slice('erase.'.length))
    const { namespace, name } = requestOf(message)
    const attributes = { verb: 'erase', ...SECRETS, subresource: '', namespace, name }
    const asked = { id: clock.uuid(), verb: 'erase', requestURI: `nats:${message.subject}`, user, object: attributes, received: clock.now() }
    const recorded = (status: Pick<Status, 'code' | 'reason' | 'message'>, annotations = {}): void => recorder.record(asked, { stage: 'ResponseComplete', status, annotations, at: clock.now() })
    try {
      if (!authorize(views, user, attributes).allowed) throw forbidden(SECRETS, name, deniedMessage(user, attributes))
      const erased = await eraseSecrets(views, keys, namespace, name)
      recorded({ code: 200 }, { 'reckon.io/erased': erased.map(({ uid }) => uid).join(',') })
      return erased
    } catch (error) {
      recorded(error instanceof Refusal ? error.status : { code: 500, reason: 'InternalError' })
      throw error
    }
  }
  const serve = async (message: Msg): Promise<void> => {
    let answer: EraseAnswer
    try {
      answer = { erased: await erase(message) }
    } catch (error) {
      answer = { status: statusOf(error, onError) }
    }
    message.respond(JSON.stringify(answer))
  }
  const loop = async (): Promise<void> => {
    for await (const message of subscription) await serve(message).catch(onError)
  }
  void loop().catch(onError)
  return { close: () => subscription.drain() }
}

const requestOf = (message: Msg): { readonly namespace: string; readonly name: string } => {
  if (message.data.length > LARGEST_REQUEST) throw badRequest(`the request has at most ${LARGEST_REQUEST} bytes`)
  let body: unknown
  try {
    body = message.json()
  } catch {
    throw badRequest('the request is not valid JSON')
  }
  const { namespace, name } = (body ?? {}) as Record<string, unknown>
  if (typeof namespace !== 'string' || typeof name !== 'string' || namespace === '' || name === '') throw badRequest('the request names no Secret: namespace and name are strings')
  return { namespace, name }
}
