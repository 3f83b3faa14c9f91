/**
 * Which entries hold their object parsed: those that were looked at last, bounded by their text. An object takes three or four
 * times its text; who reads all of a large cluster's objects parses most of them again, at some 10 µs each, and who reads the same
 * few finds them ready. Keeping every object both ways would spare that, and take most of the memory.
 */

export interface Holder {
  /** Of its text, about. */
  readonly bytes: number
  /** Forgets the object; it is parsed again when somebody asks. False when it was asked for since the last time: it stays. */
  letGo(): boolean
}

const LIMIT = 32 * 1024 * 1024

export class Parsed {
  readonly #limit: number
  /** In the order in which they go. */
  readonly #held = new Set<Holder>()
  #bytes = 0

  constructor(limit = LIMIT) {
    this.#limit = limit
  }
  get bytes(): number {
    return this.#bytes
  }
  hold(holder: Holder): void {
    if (this.#held.has(holder)) return
    this.#held.add(holder)
    this.#bytes += holder.bytes
    // Each is spared once at most, so this ends.
    for (const oldest of this.#held) {
      if (this.#bytes <= this.#limit || oldest === holder) return
      this.#held.delete(oldest)
      if (oldest.letGo()) this.#bytes -= oldest.bytes
      else this.#held.add(oldest)
    }
  }
  release(holder: Holder): void {
    if (this.#held.delete(holder)) this.#bytes -= holder.bytes
  }
}
