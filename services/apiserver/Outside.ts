/**
 * What decisions ask of the world outside the log: a port, and the questions of one intent with their answers. Asked once,
 * bounded in time and number; no answer is an answer too.
 */
import type { Clock } from '#services/platform/Clock.ts'
import type { Answered, Need } from './decision.ts'

export interface Outside {
  /** Resolves with JSON; rejects when there is no answer. `signal` aborts when nobody waits for it any more. */
  ask(need: Need, signal: AbortSignal): Promise<unknown>
}

/** Who answers which kind of need; what nobody answers is refused at once. */
export const outside = (answerers: Readonly<Record<string, Outside>> = {}): Outside => ({
  ask: (need, signal) =>
    answerers[need.kind]?.ask(need, signal) ?? Promise.reject(new Error(`nobody here answers what is asked of a ${need.kind}`))
})

/** As upstream's longest webhook time-out. */
const LONGEST_MS = 30_000
/** Of one intent at once; upstream asks as many webhooks as there are. */
const PARALLEL = 64
/** Rounds of one intent: each changing webhook takes one, or two when it is asked again. */
export const MOST_ROUNDS = 100

export class Inquiry {
  readonly #outside: Outside
  readonly #clock: Clock
  readonly #answers = new Map<string, Answered>()
  #rounds = 0

  constructor(outside: Outside, clock: Clock) {
    this.#outside = outside
    this.#clock = clock
  }
  /** By the need's id. */
  get answers(): ReadonlyMap<string, Answered> {
    return this.#answers
  }
  /** False when there were too many rounds: nothing is asked then. */
  async ask(needs: readonly Need[]): Promise<boolean> {
    this.#rounds += 1
    if (this.#rounds > MOST_ROUNDS) return false
    const open = [...new Map(needs.filter(({ id }) => !this.#answers.has(id)).map((need) => [need.id, need])).values()]
    for (let from = 0; from < open.length; from += PARALLEL)
      await Promise.all(open.slice(from, from + PARALLEL).map((need) => this.#askOne(need)))
    return true
  }
  async #askOne(need: Need): Promise<void> {
    const { id, kind, name } = need
    const ms = Math.min(need.timeoutMs ?? LONGEST_MS, LONGEST_MS)
    const aborting = new AbortController()
    let timer: { cancel(): void } | undefined
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.after(ms, () => {
        reject(new Error(`no answer within ${ms / 1000} s`))
        aborting.abort()
      })
    })
    try {
      const value = await Promise.race([this.#outside.ask(need, aborting.signal), late])
      this.#answers.set(id, { kind, name, answer: { ok: true, value } })
    } catch (error) {
      this.#answers.set(id, { kind, name, answer: { ok: false, error: error instanceof Error ? error.message : String(error) } })
    } finally {
      timer?.cancel()
    }
  }
}
