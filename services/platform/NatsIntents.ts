/**
 * Intents over NATS: what components in another process than the API server, and the command line, submit through.
 * A lost answer is asked for again with the same intent id, which the decider recognises; so is one that says when to come
 * again, as Kubernetes' own clients do.
 */
import { headers as newHeaders, type NatsConnection } from '@nats-io/transport-node'
import { ACT_AS, NoAnswer, type Intent, type IntentResult, type Intents } from '#events/Intent.ts'
import { isPassing } from '#events/Refusal.ts'
import { ConnectionLost, untilLost, whenConnected } from './jetstream/link.ts'

/** What was sent to an API server that was killed meanwhile goes to another one after this. */
const TIMEOUT_MS = 5_000
const TRIES = 6
const NOBODY_MS = 250

export interface NatsIntentsOptions {
  /** The NATS user: `scheduler`, `admin`, `node-<name>`. */
  readonly user: string
  /** Identity to act under, for the controller manager's controllers. */
  readonly actAs?: string
}

export class NatsIntents implements Intents {
  readonly #connection: NatsConnection
  readonly #options: NatsIntentsOptions

  constructor(connection: NatsConnection, options: NatsIntentsOptions) {
    this.#connection = connection
    this.#options = options
  }
  async submit(intent: Intent): Promise<IntentResult> {
    const { user, actAs } = this.#options
    const headers = newHeaders()
    if (actAs !== undefined) headers.set(ACT_AS, actAs)
    const until = Date.now() + TIMEOUT_MS * TRIES
    let asked = false
    for (let tries = 1; ;) {
      if (!(await whenConnected(this.#connection, until - Date.now())))
        throw new NoAnswer(`there is no connection to NATS to ask the API server on (intent.${user})`)
      const body = JSON.stringify(asked ? { ...intent, again: true } : intent)
      asked = true
      try {
        const answer = await untilLost(this.#connection, () =>
          this.#connection.request(`intent.${user}`, body, { timeout: TIMEOUT_MS, headers })
        )
        const [result] = answer.json<IntentResult[]>()
        if (result === undefined) throw new NoAnswer('the API server answered nothing')
        const pauseMs = againAfter(result)
        if (pauseMs === undefined || Date.now() + pauseMs > until) return result
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      } catch (error) {
        // An answer that died with its connection is asked for as soon as there is one.
        if (error instanceof ConnectionLost && Date.now() < until) continue
        if (tries >= TRIES)
          throw new NoAnswer(
            `the API server does not answer on NATS (intent.${user}): ${error instanceof Error ? error.message : String(error)}`,
            { cause: error }
          )
        tries += 1
        // Nobody serves intents yet: the API server is back a moment after its log.
        if (error instanceof Error && /no responders/i.test(error.message)) await new Promise((resolve) => setTimeout(resolve, NOBODY_MS))
      }
    }
  }
}

/** Milliseconds after which the same may be asked again; undefined for an answer that stands. */
const againAfter = (result: IntentResult): number | undefined => {
  const seconds = result.ok || !isPassing(result.status) ? undefined : result.status.details?.retryAfterSeconds
  return seconds === undefined ? undefined : seconds * 1_000
}
