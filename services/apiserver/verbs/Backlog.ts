/** What all watchers of a server together may keep waiting in memory, and how many of them are read for at once. */

export interface BacklogLimits {
  /** Bytes of lines that are kept for one watcher. */
  readonly behind: number
  /** Bytes of lines that are kept for anybody. */
  readonly together: number
  readonly replays: number
}

/** Measured: more reads at a time are no quicker, and their garbage lives long enough to be expensive. */
const READS = 2

/** A watcher who is behind. */
export interface Straggler {
  readonly behind: number
  /** Nothing is kept for it afterwards. */
  leave(): void
}

export class Backlog {
  readonly behind: number
  readonly #together: number
  readonly #slowest: (() => Straggler | undefined)[] = []
  /** Batches of the log that their readers take. */
  readonly replays: Turns
  /** Batches being read and made into lines. */
  readonly reads = new Turns(READS)
  #held = 0

  constructor({ behind, together, replays }: BacklogLimits) {
    this.behind = behind
    this.#together = together
    this.replays = new Turns(replays)
  }
  /** `slowest` of those who share this backlog. */
  add(slowest: () => Straggler | undefined): void {
    this.#slowest.push(slowest)
  }
  held(bytes: number): void {
    this.#held += bytes
  }
  get bytes(): number {
    return this.#held
  }
  /** Lets the slowest watchers go until what is kept fits. */
  settle(): void {
    while (this.#held > this.#together) {
      let worst: Straggler | undefined
      for (const slowest of this.#slowest) {
        const candidate = slowest()
        if (candidate !== undefined && candidate.behind > (worst?.behind ?? 0)) worst = candidate
      }
      if (worst === undefined) return
      worst.leave()
    }
  }
}

/** So many at a time; the others wait in line. */
class Turns {
  readonly #waiting: (() => void)[] = []
  #left: number

  constructor(count: number) {
    this.#left = count
  }
  async take(): Promise<{ release(): void }> {
    if (this.#left > 0) this.#left -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return {
      release: () => {
        const next = this.#waiting.shift()
        if (next === undefined) this.#left += 1
        else next()
      }
    }
  }
  async during<Result>(task: () => Promise<Result>): Promise<Result> {
    const turn = await this.take()
    try {
      return await task()
    } finally {
      turn.release()
    }
  }
}
