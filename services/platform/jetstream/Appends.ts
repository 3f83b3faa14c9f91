/**
 * What became of the latest appends to a server's streams: whether the log takes writes can't be asked, only seen. A server
 * whose disk was full answers every question and no append.
 */

export type AppendOutcome =
  | 'stored'
  /** The log said that there is no room. */
  | 'full'
  /** The connection stood, and no answer came. */
  | 'unanswered'

export class Appends {
  #last: AppendOutcome | undefined
  #failures = 0

  note(outcome: AppendOutcome): void {
    this.#last = outcome
    this.#failures = outcome === 'stored' ? 0 : this.#failures + 1
  }
  /** Undefined before the first. */
  get last(): AppendOutcome | undefined {
    return this.#last
  }
  /** In a row, since the last one that was stored. */
  get failures(): number {
    return this.#failures
  }
  /** The server is another one now: what the last one did says nothing of it. */
  reset(): void {
    this.#last = undefined
    this.#failures = 0
  }
}
