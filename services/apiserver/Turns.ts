/**
 * Turns at objects: who decides about some objects holds them until what was decided is folded, so that within one API server
 * nobody decides on what is about to change. Between API servers the log's expectations do that; here it spares the tries.
 *
 * Whoever waits holds only keys that come before the one waited for, in the order of their text: nobody waits in a circle.
 */

export class Turns {
  /** A key is there while somebody holds it; with whoever waits for it, first come, first served. */
  readonly #held = new Map<string, (() => void)[]>()

  get size(): number {
    return this.#held.size
  }
  isHeld(key: string): boolean {
    return this.#held.has(key)
  }
  /** Takes all of them, or none and says false: without waiting, any number may be held meanwhile. */
  tryTake(keys: readonly string[]): boolean {
    if (keys.some((key) => this.#held.has(key))) return false
    for (const key of keys) this.#held.set(key, [])
    return true
  }
  /** Takes all of them, waiting where somebody else has one. Who calls holds none. */
  async take(keys: readonly string[]): Promise<void> {
    // One is no set to order: the usual case.
    for (const key of keys.length < 2 ? keys : [...new Set(keys)].sort()) {
      const waiting = this.#held.get(key)
      if (waiting === undefined) this.#held.set(key, [])
      else await new Promise<void>((resolve) => void waiting.push(resolve))
    }
  }
  /** Each goes to whoever has waited longest. */
  release(keys: readonly string[]): void {
    for (const key of keys) {
      const next = this.#held.get(key)?.shift()
      if (next === undefined) this.#held.delete(key)
      else next()
    }
  }
}
