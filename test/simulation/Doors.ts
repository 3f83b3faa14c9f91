/**
 * The way of intents to an API server and back, as over NATS: whoever of them is given it answers, or nobody does, and it is asked again.
 */
import { NoAnswer, type Intent, type IntentResult, type Intents, type UserInfo } from '#events/Intent.ts'
import type { Term } from '#events/coordination/term.ts'
import { streamOf } from '#test/support/builtIns.ts'
import { sleep } from '#services/platform/Clock.ts'
import type { Process } from './Process.ts'
import type { Served } from './Served.ts'
import type { VirtualClock } from './VirtualClock.ts'

/** As `platform/NatsIntents.ts`. */
const ANSWER_MS = 5_000
const NOBODY_MS = 250
const ASKS = 6
/** A person, who belongs to no process of the cluster. */
const OUTSIDE = 'a person'

export interface Acknowledged {
  readonly intent: Intent
  readonly sequence: number
}

export interface DoorsOptions {
  readonly clock: VirtualClock
  /** Milliseconds a message takes. */
  readonly delay: () => number
  readonly lost: (from: string, to: string) => boolean
  /** It comes twice. */
  readonly doubled: () => boolean
  readonly servers: () => readonly Served[]
  /** An answer named the place of its event. */
  readonly onAnswered: (stream: string, sequence: number, intentId: string) => void
  readonly onError: (error: unknown) => void
}

export class Doors {
  /** What was answered positively, and made an event. */
  readonly acknowledged: Acknowledged[] = []
  /** By intent: the term it was asked under. */
  readonly terms = new Map<string, Term>()
  readonly #options: DoorsOptions

  constructor(options: DoorsOptions) {
    this.#options = options
  }
  /** Rejects with NoAnswer. */
  async ask(intent: Intent, user: UserInfo, from?: Process): Promise<IntentResult> {
    for (let tries = 1; ; tries++) {
      const attempt = this.#attempt(tries === 1 ? intent : { ...intent, again: true }, user, from)
      const answer = await (from === undefined ? attempt : from.entered(attempt))
      if (answer !== undefined) {
        this.#note(intent, answer)
        return answer
      }
      if (tries >= ASKS) throw new NoAnswer('no answer from the API server')
    }
  }
  #note(intent: Intent, answer: IntentResult): void {
    if (!answer.ok || answer.unchanged === true || answer.sequence === 0 || intent.options?.dryRun === true) return
    this.acknowledged.push({ intent, sequence: answer.sequence })
    this.#options.onAnswered(streamOf(intent.ref), answer.sequence, intent.id)
  }
  async #attempt(intent: Intent, user: UserInfo, from: Process | undefined): Promise<IntentResult | undefined> {
    const { clock, delay, lost, doubled, servers, onError } = this.#options
    const up = servers()
    // A message doubled on its way comes to the same server; asked again, perhaps another answers.
    const server = up[Math.floor(clock.random() * up.length)]
    if (server === undefined) return sleep(clock, NOBODY_MS).then(() => undefined)
    const [here, there] = [from?.name ?? OUTSIDE, server.process.name]
    return new Promise((resolve) => {
      const timeout = clock.after(ANSWER_MS, () => resolve(undefined))
      const answered = (result: IntentResult): void => {
        // Nothing is heard of a process that died meanwhile.
        if (!server.process.alive || lost(there, here)) return
        clock.after(delay(), () => {
          timeout.cancel()
          resolve(result)
        })
      }
      const decide = (): void => void server.decider.submit(intent, user).then(answered, onError)
      const send = (): void => {
        if (!lost(here, there)) clock.after(delay(), () => server.process.enter(decide))
      }
      send()
      if (doubled()) send()
    })
  }
  /** For one process. `fenced` false: the term is not told. */
  intents(user: UserInfo, from: Process, fenced: boolean): Intents {
    return {
      submit: (intent) => {
        const { term, ...told } = intent
        if (term !== undefined) this.terms.set(intent.id, term)
        return this.ask(fenced ? intent : told, user, from)
      }
    }
  }
}
