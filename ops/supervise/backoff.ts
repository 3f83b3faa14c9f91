/**
 * How long to wait before something that ended is started again. Plain: time is an argument.
 *
 * At once after a long life, since most ends are single ones; further apart with each short life in a row, so that what
 * can't live does not take the machine with it. A fixed pause loses either way.
 */

/** A life of so many milliseconds is a good one: what ends after it is started as if it had never ended before. */
export const STEADY_MS = 10_000
/** The same for what did not end by itself: somebody, or the kernel, has killed it, which says nothing of its health. */
export const STEADY_IF_KILLED_MS = 2_000
/** Before the first start after a good life, the second in a row that was short, and so on; the last one repeats. */
export const PAUSES_MS: readonly number[] = [0, 100, 250, 500, 1_000, 2_000, 5_000]

export interface End {
  /** Milliseconds it lived; 0 for one that never began to work. */
  readonly lived: number
  readonly killed: boolean
}

export class Backoff {
  #short = 0
  /** Milliseconds to wait now that a life has ended. */
  after({ lived, killed }: End): number {
    this.#short = lived >= (killed ? STEADY_IF_KILLED_MS : STEADY_MS) ? 0 : this.#short + 1
    return PAUSES_MS[Math.min(this.#short, PAUSES_MS.length - 1)] as number
  }
}
