/**
 * The recent changes, in order, bounded: what a watch that starts at a recent resourceVersion is answered from.
 * Older starts are read from the log itself, so a watch is never refused for being late.
 */
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { Change } from './Objects.ts'

export class Window {
  readonly #capacity: number
  #changes: Change[] = []
  /** Every change after this sequence is in the window. */
  #floor: number

  constructor(capacity: number, floor = 0) {
    this.#capacity = capacity
    this.#floor = floor
  }
  get floor(): number {
    return this.#floor
  }
  push(change: Change): void {
    this.#changes.push(change)
    // Dropping half at once keeps push O(1) without a ring's index arithmetic.
    if (this.#changes.length >= this.#capacity) {
      const half = this.#changes.length >> 1
      this.#floor = (this.#changes[half - 1] as Change).entry.sequence
      this.#changes = this.#changes.slice(half)
    }
  }
  /** The collection's changes after `sequence`, or undefined when the window does not reach back that far. */
  since(ref: ResourceRef, sequence: number): readonly Change[] | undefined {
    if (sequence < this.#floor) return undefined
    const id = resourceId(ref)
    let low = 0
    let high = this.#changes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#changes[middle] as Change).entry.sequence <= sequence) low = middle + 1
      else high = middle
    }
    return this.#changes.slice(low).filter((change) => resourceId(change.entry.key) === id)
  }
  /** Forgets everything up to `sequence`: where a rebuilt view starts. */
  reset(sequence: number): void {
    this.#changes = []
    this.#floor = sequence
  }
}
