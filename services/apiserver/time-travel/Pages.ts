/** What the first page of a list saw, kept for the pages after it: as names and sequences, a few lists at a time. */
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { Listing } from './Listing.ts'

/** Objects in all kept lists together; lists that share parts are counted as if they did not. */
const OBJECTS = 1_000_000

export class Pages {
  readonly #budget: number
  readonly #kept = new Map<string, Listing>()
  #objects = 0

  constructor(budget = OBJECTS) {
    this.#budget = budget
  }
  /** `selection`: by what the list was narrowed. */
  keep(ref: ResourceRef, namespace: string | undefined, sequence: number, selection: string, listing: Listing): void {
    const key = keyOf(ref, namespace, sequence, selection)
    if (this.#kept.has(key)) return
    this.#kept.set(key, listing.released())
    this.#objects += listing.size
    for (const [oldest, { size }] of this.#kept) {
      if (this.#objects <= this.#budget) break
      this.#kept.delete(oldest)
      this.#objects -= size
    }
  }
  /** Undefined when it is not kept (any more): the log's history tells it as well, only slower. */
  get(ref: ResourceRef, namespace: string | undefined, sequence: number, selection: string): Listing | undefined {
    return this.#kept.get(keyOf(ref, namespace, sequence, selection))?.released()
  }
}

const keyOf = (ref: ResourceRef, namespace: string | undefined, sequence: number, selection: string): string =>
  `${resourceId(ref)}/${namespace ?? '*'}@${sequence} ${selection}`
