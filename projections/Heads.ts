/**
 * What stands last on subjects that hold no live object: deletions, and entries that are none of ours. The next write there has to
 * expect it. Only the latest are remembered; of a name that was forgotten the log says what it has (`View.learn`). Remembering
 * all of them would be simpler, and costs memory for every pod there ever was.
 */

/** Names that come back (of a StatefulSet's pods, of what is deleted and applied again) come back soon. */
const LIMIT = 16_384

export class Heads {
  readonly #places = new Map<string, number>()
  readonly #limit: number

  /** `limit`: how many are remembered at most. */
  constructor(limit = LIMIT) {
    this.#limit = limit
  }

  get size(): number {
    return this.#places.size
  }
  get(subject: string): number | undefined {
    return this.#places.get(subject)
  }
  set(subject: string, sequence: number): void {
    // Taken out first: a map keeps the place of what it overwrites, and the oldest go first.
    this.#places.delete(subject)
    this.#places.set(subject, sequence)
    if (this.#places.size > this.#limit) this.#places.delete(this.#places.keys().next().value as string)
  }
  delete(subject: string): void {
    this.#places.delete(subject)
  }
  /** Subjects whose last entry was before `first` are empty. */
  forget(first: number): void {
    for (const [subject, sequence] of this.#places) if (sequence < first) this.#places.delete(subject)
  }
  clear(): void {
    this.#places.clear()
  }
}
