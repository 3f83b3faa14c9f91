/**
 * The NATS door: intents by request/reply on `intent.<user>`. Who asks is what the server let them publish on, so
 * the subject is the identity; what is asked goes to the same decider as a request over HTTPS.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import { UnencodableEvent } from '#events/Event.ts'
import { ACT_AS, type IntentResult, type UserInfo } from '#events/Intent.ts'
import { badRequest, forbidden, Refusal, unauthorized } from '#events/Refusal.ts'
import { decodeToken } from '#events/Subject.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { statusOf } from '#services/apiserver/http/respond.ts'
import { parseJson } from '#services/apiserver/request/body.ts'
import { intentOf } from './check.ts'
import { serveDoor, type Door, type DoorLimits, type Place } from './serve.ts'

const MIB = 1024 * 1024
/**
 * A controller that makes thousands of Pods asks for them all at once. Bytes are the bound that counts: an object takes
 * several times the bytes it was said in.
 */
const LIMITS: DoorLimits = { requests: { total: 8_000, perUser: 4_000 }, bytes: { total: 32 * MIB, perUser: 16 * MIB } }
/** A message's bytes: as much as an object over HTTPS, and what an intent says around it. */
const LARGEST = 4 * MIB
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

/** Whose Lease it is. A write waits for the term it names, in turn with others of the object: nobody else makes them wait. */
const LEASE_OF = new Map([
  ['scheduler', 'kube-scheduler'],
  ['controller-manager', 'kube-controller-manager']
])

const nodeNamed = (token: string): string | undefined => {
  try {
    return decodeToken(token)
  } catch {
    return undefined
  }
}

export const serveIntents = (connection: NatsConnection, decider: Decider, onError: (error: unknown) => void): Door =>
  serveDoor({
    connection,
    subject: 'intent.*',
    limits: LIMITS,
    largest: LARGEST,
    answer: (token, { headers, data }, place) => answerIntents(token, headers?.get(ACT_AS) || undefined, data, decider, onError, place),
    refuse: (status) => textOf([{ ok: false, status }]),
    onError
  })

/**
 * One message: who sent it, and what it says. Resolves with the answer's text; rejects when an outcome is unknown, which only asking again
 * can tell.
 */
export const answerIntents = async (
  token: string,
  actAs: string | undefined,
  bytes: Uint8Array,
  decider: Decider,
  onError: (error: unknown) => void,
  place?: Place
): Promise<string> => {
  let results: readonly IntentResult[]
  try {
    const user = userOf(token, actAs)
    const body = parse(bytes)
    const intents = Array.isArray(body) ? (body as readonly unknown[]) : [body]
    if (intents.length > MOST_INTENTS) throw badRequest(`a message holds at most ${MOST_INTENTS} intents`)
    if (intents.length > 1) place?.more(intents.length - 1)
    results = await Promise.all(intents.map((intent) => submit(decider, intent, token, user, onError)))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    results = [{ ok: false, status: error.status }]
  }
  return textOf(results)
}

/** `text` is the object again; sending it twice would double the answer. `audit` is not for who asked. */
const textOf = (results: readonly IntentResult[]): string =>
  JSON.stringify(results.map((result) => ({ ...result, text: undefined, audit: undefined })))

/** What a mistake in our own code throws, before anything is stored: no reason to let the client wait and ask again. */
const isMistake = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof RangeError || error instanceof URIError || error instanceof UnencodableEvent

const submit = async (
  decider: Decider,
  body: unknown,
  token: string,
  user: UserInfo,
  onError: (error: unknown) => void
): Promise<IntentResult> => {
  try {
    const intent = intentOf(body)
    const { ref, name, term } = intent
    if (term !== undefined && LEASE_OF.get(token) !== term.lease)
      throw forbidden(ref, name, `${user.username} does not lead by the Lease ${term.lease}`)
    return await decider.submit(intent, user)
  } catch (error) {
    if (!(error instanceof Refusal) && !isMistake(error)) throw error
    return { ok: false, status: statusOf(error, onError) }
  }
}

const parse = (bytes: Uint8Array): unknown =>
  parseJson(new TextDecoder().decode(bytes), (why) => badRequest(`the intent is not valid JSON: ${why}`))
