/**
 * The recent changes, in order, bounded in number and in bytes: what a watch that starts at a recent resourceVersion is
 * answered from. Older starts are read from the log itself, so a watch is never refused for being late.
 */
import type { ResourceRef } from '#events/Key.ts'
import type { Change } from './Objects.ts'

export interface WindowLimits {
  readonly changes: number
  /** What the changes' objects cost, by `Entry.bytes`. */
  readonly bytes: number
}

export interface Recent {
  readonly changes: readonly Change[]
  /** Every change of the collection up to here is in `changes`, or was before. */
  readonly upTo: number
  /** Nothing is behind them. */
  readonly last: boolean
}

export class Window {
  readonly #limits: WindowLimits
  /** Those before `#head` are gone already: shifting one by one would move the rest each time. */
  #changes: (Change | undefined)[] = []
  #head = 0
  #bytes = 0
  /** Every change after this sequence is in the window. */
  #floor: number

  constructor(limits: WindowLimits, floor = 0) {
    this.#limits = limits
    this.#floor = floor
  }
  get floor(): number {
    return this.#floor
  }
  get bytes(): number {
    return this.#bytes
  }
  push(change: Change): void {
    this.#changes.push(change)
    this.#bytes += change.entry.bytes
    while (this.#changes.length - this.#head > this.#limits.changes || this.#bytes > this.#limits.bytes) {
      const { entry } = this.#changes[this.#head] as Change
      this.#changes[this.#head++] = undefined
      this.#bytes -= entry.bytes
      this.#floor = entry.sequence
    }
    if (this.#head > this.#changes.length / 2) {
      this.#changes = this.#changes.slice(this.#head)
      this.#head = 0
    }
  }
  /**
   * The collection's next changes after `sequence`, about `bytes` of them, or undefined when the window does not reach back
   * that far. In parts, so that a slow reader does not hold changes that the window has let go.
   */
  since({ group, resource }: ResourceRef, sequence: number, bytes: number): Recent | undefined {
    if (sequence < this.#floor) return undefined
    let low = this.#head
    let high = this.#changes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#changes[middle] as Change).entry.sequence <= sequence) low = middle + 1
      else high = middle
    }
    const changes: Change[] = []
    let upTo = sequence
    for (let size = 0; low < this.#changes.length && size < bytes; low++) {
      const change = this.#changes[low] as Change
      const { key, sequence: at, bytes: cost } = change.entry
      upTo = at
      if (key.resource !== resource || key.group !== group) continue
      changes.push(change)
      size += cost
    }
    return { changes, upTo, last: low === this.#changes.length }
  }
  /** Forgets everything up to `sequence`: where a rebuilt view starts. */
  reset(sequence: number): void {
    this.#changes = []
    this.#head = 0
    this.#bytes = 0
    this.#floor = sequence
  }
}
