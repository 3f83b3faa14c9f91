/** Objects that left their stream by themselves: no event tells of it, so neither the window nor the log knows. */
import { expired } from '#events/Refusal.ts'
import type { Change } from '#projections/Objects.ts'

const KEPT = 4_096

export class Expiries {
  readonly #last: Change[] = []
  #count = 0

  /** How many there ever were. */
  get count(): number {
    return this.#count
  }
  add(change: Change): void {
    this.#count += 1
    if (this.#last.push(change) > KEPT) this.#last.splice(0, KEPT / 2)
  }
  /** Those behind a count; after too many of them the client is refused with 410, and lists again. */
  since(count: number): readonly Change[] {
    const missed = this.#count - count
    if (missed > this.#last.length) throw expired(`too old resource version: ${missed} objects have expired meanwhile`)
    return this.#last.slice(this.#last.length - missed)
  }
}
