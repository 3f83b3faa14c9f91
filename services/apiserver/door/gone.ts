/** Serves `gone.<user>`: an agent stops nothing because it has no binding of it; it asks what the log says. */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import type { FateAnswer, Stray } from '#events/node/messages.ts'
import { STRAYS_ASKED } from '#events/node/messages.ts'
import { badRequest, forbidden, Refusal } from '#events/Refusal.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Views } from '../../platform/View.ts'
import { fatesIn, originIn } from '../nodes/fates.ts'

const LARGEST_REQUEST = 512 * 1024
/** Requests being answered, each of them many reads of the log; more are told to come back. */
const PARALLEL = 8
const USER = /^node-(.+)$/

export interface GoneDoorOptions {
  readonly views: Views
  readonly connection: NatsConnection
  /** A pod is alive, and its node has no binding of it. */
  readonly onUnbound: (pod: Stray) => void
  readonly onError: (error: unknown) => void
}

export const serveGone = ({ views, connection, onUnbound, onError }: GoneDoorOptions): { close(): Promise<void> } => {
  const subscription: Subscription = connection.subscribe('gone.*', { queue: 'apiserver' })
  let busy = 0
  const serve = async (message: Msg): Promise<void> => {
    let answer: FateAnswer | { readonly status: Refusal['status'] }
    busy += 1
    try {
      if (busy > PARALLEL) throw new Refusal(429, 'TooManyRequests', 'too many nodes ask at once; ask again')
      const node = nodeOf(message.subject.slice('gone.'.length))
      const pods = podsOf(message)
      const fates = await fatesIn(views, node, pods)
      answer = { origin: await originIn(views), fates }
      for (const [at, fate] of fates.entries()) if (fate === 'alive') onUnbound(pods[at] as Stray)
    } catch (error) {
      if (!(error instanceof Refusal)) onError(error)
      answer = { status: (error instanceof Refusal ? error : new Refusal(503, 'ServiceUnavailable', 'the log can not be asked now; ask again')).status }
    } finally {
      busy -= 1
    }
    message.respond(JSON.stringify(answer))
  }
  const loop = async (): Promise<void> => {
    for await (const message of subscription) void serve(message).catch(onError)
  }
  void loop().catch(onError)
  return { close: () => subscription.drain() }
}

const nodeOf = (user: string): string => {
  const token = USER.exec(user)?.[1]
  if (token === undefined) throw forbidden({ group: '', resource: 'pods' }, '', `user "${user}" is no node`)
  return decodeToken(token)
}

const podsOf = (message: Msg): readonly Stray[] => {
  if (message.data.length > LARGEST_REQUEST) throw badRequest(`the request has at most ${LARGEST_REQUEST} bytes`)
  let body: unknown
  try {
    body = message.json()
  } catch {
    throw badRequest('the request is not valid JSON')
  }
  const pods = (body as { pods?: unknown } | null)?.pods
  if (!Array.isArray(pods) || pods.length > STRAYS_ASKED) throw badRequest(`pods: must be a list of at most ${STRAYS_ASKED}`)
  for (const pod of pods as unknown[]) {
    const { namespace, name, uid, since } = (pod ?? {}) as Record<string, unknown>
    const complete = [namespace, name, uid].every((text) => typeof text === 'string') && typeof since === 'number'
    if (!complete) throw badRequest('pods: each has a namespace, a name, a uid and since when it is known')
  }
  return pods as readonly Stray[]
}
