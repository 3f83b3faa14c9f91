/**
 * The NATS door: intents by request/reply on `intent.<user>`. Who asks is what the server let them publish on, so
 * the subject is the identity; what is asked goes to the same decider as a request over HTTPS.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { UnencodableEvent } from '#events/Event.ts'
import { ACT_AS, type IntentResult, type UserInfo } from '#events/Intent.ts'
import { badRequest, Refusal, tooLarge, unauthorized } from '#events/Refusal.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Decider } from '../Decider.ts'
import { statusOf } from '../http/respond.ts'
import { parseJson } from '../request/body.ts'
import { intentOf } from './check.ts'

/** Requests decided at once; the rest wait in the subscription, which the server bounds. */
const PARALLEL = 256
/** A message's bytes: as much as an object over HTTPS, and what an intent says around it. */
const LARGEST = 4 * 1024 * 1024
const MOST_INTENTS = 1_000

/** The user behind `intent.<token>`. */
export const userOf = (token: string, actAs?: string): UserInfo => {
  if (token === 'admin') return { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }
  if (token === 'scheduler') return { username: 'system:kube-scheduler', groups: ['system:authenticated'] }
  if (token === 'controller-manager') {
    if (actAs !== undefined && /^system:serviceaccount:kube-system:[a-z0-9-]+$/.test(actAs))
      return { username: actAs, groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'] }
    return { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }
  }
  const node = token.startsWith('node-') ? nodeNamed(token.slice('node-'.length)) : undefined
  if (node === undefined) throw unauthorized()
  return { username: `system:node:${node}`, groups: ['system:nodes', 'system:authenticated'] }
}

const nodeNamed = (token: string): string | undefined => {
  try {
    return decodeToken(token)
  } catch {
    return undefined
  }
}

export const serveIntents = (connection: NatsConnection, decider: Decider, onError: (error: unknown) => void): { close(): Promise<void> } => {
  const subscription: Subscription = connection.subscribe('intent.*', { queue: 'apiserver' })
  let running = 0
  let resume: (() => void) | undefined
  const loop = async (): Promise<void> => {
    for await (const message of subscription) {
      running += 1
      void answer(message, decider, onError)
        .catch(onError)
        .finally(() => {
          running -= 1
          resume?.()
        })
      if (running >= PARALLEL) await new Promise<void>((ready) => (resume = ready))
      resume = undefined
    }
  }
  void loop().catch(onError)
  return { close: () => subscription.drain() }
}

/** One message: who sent it, and what it says. Resolves with the answer's text; rejects when an outcome is unknown, which only asking again can tell. */
export const answerIntents = async (token: string, actAs: string | undefined, bytes: Uint8Array, decider: Decider, onError: (error: unknown) => void): Promise<string> => {
  let results: readonly IntentResult[]
  try {
    const user = userOf(token, actAs)
    const body = parse(bytes)
    const intents = Array.isArray(body) ? (body as readonly unknown[]) : [body]
    if (intents.length > MOST_INTENTS) throw badRequest(`a message holds at most ${MOST_INTENTS} intents`)
    results = await Promise.all(intents.map((intent) => submit(decider, intent, user, onError)))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    results = [{ ok: false, status: error.status }]
  }
  // `text` is the object again; sending it twice would double the answer. `audit` is not for who asked.
  return JSON.stringify(results.map((result) => ({ ...result, text: undefined, audit: undefined })))
}

const answer = async (message: Msg, decider: Decider, onError: (error: unknown) => void): Promise<void> => {
  const token = message.subject.slice('intent.'.length)
  message.respond(await answerIntents(token, message.headers?.get(ACT_AS) || undefined, message.data, decider, onError))
}

/** What a mistake in our own code throws, before anything is stored: no reason to let the client wait and ask again. */
const isMistake = (error: unknown): boolean => error instanceof TypeError || error instanceof RangeError || error instanceof URIError || error instanceof UnencodableEvent

const submit = async (decider: Decider, body: unknown, user: UserInfo, onError: (error: unknown) => void): Promise<IntentResult> => {
  try {
    return await decider.submit(intentOf(body), user)
  } catch (error) {
    if (!(error instanceof Refusal) && !isMistake(error)) throw error
    return { ok: false, status: statusOf(error, onError) }
  }
}

const parse = (bytes: Uint8Array): unknown => {
  if (bytes.length > LARGEST) throw tooLarge(`Request entity too large: limit is ${LARGEST}`)
  return parseJson(new TextDecoder().decode(bytes), (why) => badRequest(`the intent is not valid JSON: ${why}`))
}
