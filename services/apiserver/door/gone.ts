/** Serves `gone.<user>`: an agent stops nothing because it has no binding of it; it asks what the log says. */
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { FateAnswer, Stray } from '#events/node/messages.ts'
import { STRAYS_ASKED } from '#events/node/messages.ts'
import { badRequest, forbidden, Refusal } from '#events/Refusal.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Views } from '#services/platform/Views.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { requestIn, serveDoor, type Door, type DoorLimits } from './serve.ts'

const LARGEST_REQUEST = 512 * 1024
/** Each is many reads of the log. An agent asks once at a time, and again when it did not hear. */
const LIMITS: DoorLimits = { requests: { total: 8, perUser: 2 }, bytes: { total: 8 * LARGEST_REQUEST, perUser: 2 * LARGEST_REQUEST } }
const USER = /^node-(.+)$/

export interface GoneDoorOptions {
  readonly views: Views
  readonly connection: NatsConnection
  /** A pod is alive, and its node has no binding of it. */
  readonly onUnbound: (pod: Stray) => void
  readonly onError: (error: unknown) => void
}

export const serveGone = ({ views, connection, onUnbound, onError }: GoneDoorOptions): Door => {
  const answer = async (user: string, message: Msg): Promise<FateAnswer> => {
    const pods = podsOf(message)
    const fates = await fatesIn(views, nodeOf(user), pods)
    for (const [at, fate] of fates.entries()) if (fate === 'alive') onUnbound(pods[at] as Stray)
    return { origin: await originIn(views), fates }
  }
  const refusalOf = (error: unknown): Refusal => {
    if (error instanceof Refusal) return error
    onError(error)
    return new Refusal(503, 'ServiceUnavailable', 'the log can not be asked now; ask again')
  }
  return serveDoor({
    connection,
    subject: 'gone.*',
    limits: LIMITS,
    largest: LARGEST_REQUEST,
    answer: async (user, message) =>
      JSON.stringify(await answer(user, message).catch((error: unknown) => ({ status: refusalOf(error).status }))),
    refuse: (status) => JSON.stringify({ status }),
    onError
  })
}

const nodeOf = (user: string): string => {
  const token = USER.exec(user)?.[1]
  if (token === undefined) throw forbidden({ group: '', resource: 'pods' }, '', `user "${user}" is no node`)
  return decodeToken(token)
}

const podsOf = (message: Msg): readonly Stray[] => {
  const { pods } = requestIn(message)
  if (!Array.isArray(pods) || pods.length > STRAYS_ASKED) throw badRequest(`pods: must be a list of at most ${STRAYS_ASKED}`)
  for (const pod of pods as unknown[]) {
    const { namespace, name, uid, since } = (pod ?? {}) as Record<string, unknown>
    const complete = [namespace, name, uid].every((text) => typeof text === 'string') && typeof since === 'number'
    if (!complete) throw badRequest('pods: each has a namespace, a name, a uid and since when it is known')
  }
  return pods as readonly Stray[]
}
