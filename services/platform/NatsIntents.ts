/**
 * Intents over NATS: what components in another process than the API server, and the command line, submit through.
 * A lost answer is asked for again with the same intent id, which the decider recognises.
 */
import { headers as newHeaders, type NatsConnection } from '@nats-io/transport-node'
import { ACT_AS, type Intent, type IntentResult, type Intents } from '#events/Intent.ts'

const TIMEOUT_MS = 10_000
const TRIES = 3

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
    for (let tries = 1; ; tries++) {
      const body = JSON.stringify(tries === 1 ? intent : { ...intent, again: true })
      try {
        const answer = await this.#connection.request(`intent.${user}`, body, { timeout: TIMEOUT_MS, headers })
        const [result] = answer.json<IntentResult[]>()
        if (result === undefined) throw new Error('the API server answered nothing')
        return result
      } catch (error) {
        if (tries >= TRIES) throw new Error(`the API server does not answer on NATS (intent.${user}): ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
    }
  }
}
