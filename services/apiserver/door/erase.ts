/**
 * Serves `erase.<user>`: a person's word that what a deleted Secret said is to be read by nobody any more. Not an intent: it makes no
 * event, but a record in the audit trail.
 */
import { SECRETS } from '#events/collections.ts'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { badRequest, forbidden, Refusal, type Status } from '#events/Refusal.ts'
import { authorize } from '#projections/Rbac.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Recorder } from '#services/apiserver/audit/RequestAudit.ts'
import { statusOf } from '#services/apiserver/http/respond.ts'
import { deniedMessage } from '#services/apiserver/request/denied.ts'
import { eraseSecrets, type Erased } from '#services/apiserver/secrets/erase.ts'
import { userOf } from './door.ts'
import { requestIn, serveDoor, type Door, type DoorLimits } from './serve.ts'

const LARGEST_REQUEST = 4 * 1024
/** They are worked off one by one: a person names a few. */
const LIMITS: DoorLimits = { requests: { total: 16, perUser: 16 }, bytes: { total: 16 * LARGEST_REQUEST, perUser: 16 * LARGEST_REQUEST } }

export type EraseAnswer = { readonly erased: readonly Erased[] } | { readonly status: Status }

export interface EraseDoorOptions {
  readonly views: Views
  readonly keys: ObjectKeys
  readonly connection: NatsConnection
  readonly recorder: Recorder
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

export const serveErase = ({ views, keys, connection, recorder, clock, onError }: EraseDoorOptions): Door => {
  const erase = async (token: string, message: Msg): Promise<readonly Erased[]> => {
    const user = userOf(token)
    const { namespace, name } = requestOf(message)
    const attributes = { verb: 'erase', ...SECRETS, subresource: '', namespace, name }
    const asked = {
      id: clock.uuid(),
      verb: 'erase',
      requestURI: `nats:${message.subject}`,
      user,
      object: attributes,
      received: clock.now()
    }
    const recorded = (status: Pick<Status, 'code' | 'reason' | 'message'>, annotations = {}): void =>
      recorder.record(asked, { stage: 'ResponseComplete', status, annotations, at: clock.now() })
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
  const answer = async (token: string, message: Msg): Promise<string> => {
    let said: EraseAnswer
    try {
      said = { erased: await erase(token, message) }
    } catch (error) {
      said = { status: statusOf(error, onError) }
    }
    return JSON.stringify(said)
  }
  let last: Promise<unknown> = Promise.resolve()
  return serveDoor({
    connection,
    subject: 'erase.*',
    limits: LIMITS,
    largest: LARGEST_REQUEST,
    answer: (token, message) => {
      const mine = last.then(() => answer(token, message))
      last = mine.catch(() => {})
      return mine
    },
    refuse: (status) => JSON.stringify({ status } satisfies EraseAnswer),
    onError
  })
}

const requestOf = (message: Msg): { readonly namespace: string; readonly name: string } => {
  const { namespace, name } = requestIn(message)
  if (typeof namespace !== 'string' || typeof name !== 'string' || namespace === '' || name === '')
    throw badRequest('the request names no Secret: namespace and name are strings')
  return { namespace, name }
}
