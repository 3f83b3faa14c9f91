/**
 * The NATS door: intents by request/reply on `intent.<user>`. Who asks is what the server let them publish on, so
 * the subject is the identity; what is asked goes to the same decider as a request over HTTPS.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { ACT_AS, type Intent, type IntentResult, type UserInfo } from '#events/Intent.ts'
import { badRequest, Refusal, unauthorized } from '#events/Refusal.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Decider } from '../Decider.ts'

/** Requests decided at once; the rest wait in the subscription, which the server bounds. */
const PARALLEL = 256
const VERBS = new Set(['create', 'update', 'patch', 'delete'])

/** The user behind `intent.<token>`. */
export const userOf = (token: string, actAs?: string): UserInfo => {
  if (token === 'admin') return { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }
  if (token === 'scheduler') return { username: 'system:kube-scheduler', groups: ['system:authenticated'] }
  if (token === 'controller-manager') {
    if (actAs !== undefined && /^system:serviceaccount:kube-system:[a-z0-9-]+$/.test(actAs))
      return { username: actAs, groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'] }
    return { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }
  }
  if (token.startsWith('node-')) return { username: `system:node:${decodeToken(token.slice('node-'.length))}`, groups: ['system:nodes', 'system:authenticated'] }
  throw unauthorized()
}

/** What a message must look like before the decider sees it. */
export const intentOf = (body: unknown): Intent => {
  if (typeof body !== 'object' || body === null) throw badRequest('the intent is not a JSON object')
  const { id, verb, ref, version, namespace = '', name = '', source } = body as Partial<Intent>
  if (typeof id !== 'string' || id === '' || id.length > 128) throw badRequest('the intent has no id')
  if (typeof verb !== 'string' || !VERBS.has(verb)) throw badRequest(`the intent's verb must be one of ${[...VERBS].join(', ')}`)
  if (typeof ref?.group !== 'string' || typeof ref.resource !== 'string' || typeof version !== 'string') throw badRequest('the intent names no resource: ref.group, ref.resource and version are strings')
  if (typeof namespace !== 'string' || typeof name !== 'string') throw badRequest("the intent's namespace and name must be strings")
  if (typeof source !== 'string' || source === '') throw badRequest('the intent has no source')
  return body as Intent
}

export const serveIntents = (connection: NatsConnection, decider: Decider, onError: (error: unknown) => void): { close(): Promise<void> } => {
  const subscription: Subscription = connection.subscribe('intent.*', { queue: 'apiserver' })
  let running = 0
  let resume: (() => void) | undefined
  const loop = async (): Promise<void> => {
    for await (const message of subscription) {
      running += 1
      void answer(message, decider)
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

const answer = async (message: Msg, decider: Decider): Promise<void> => {
  let results: IntentResult[]
  try {
    const user = userOf(message.subject.slice('intent.'.length), message.headers?.get(ACT_AS) || undefined)
    const body = parse(message)
    const intents = Array.isArray(body) ? body : [body]
    if (intents.length > 1_000) throw badRequest('a message holds at most 1000 intents')
    results = await Promise.all(intents.map((intent) => submit(decider, intent, user)))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    results = [{ ok: false, status: error.status }]
  }
  // `text` is the object again; sending it twice would double the answer.
  message.respond(JSON.stringify(results.map((result) => (result.ok ? { ...result, text: undefined } : result))))
}

const submit = async (decider: Decider, body: unknown, user: UserInfo): Promise<IntentResult> => {
  try {
    return await decider.submit(intentOf(body), user)
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, status: error.status }
    throw error
  }
}

const parse = (message: Msg): unknown => {
  try {
    return message.json()
  } catch {
    throw badRequest('the intent is not valid JSON')
  }
}

