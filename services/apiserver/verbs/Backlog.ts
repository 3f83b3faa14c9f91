/** What all watchers of a server together may keep waiting in memory, and how many are read from the log at once. */

export interface BacklogLimits {
  /** Bytes of lines that are kept for one watcher. */
  readonly behind: number
  /** Bytes of lines that are kept for anybody. */
  readonly together: number
  readonly replays: number
}

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
  readonly #waiting: (() => void)[] = []
  #replays: number
  #held = 0

  constructor({ behind, together, replays }: BacklogLimits) {
    this.behind = behind
    this.#together = together
    this.#replays = replays
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
  /** A turn to read from the log, given back when done: each holds a batch while its client takes it. */
  async replay(): Promise<{ release(): void }> {
    if (this.#replays > 0) this.#replays -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return {
      release: () => {
        const next = this.#waiting.shift()
        if (next === undefined) this.#replays += 1
        else next()
      }
    }
  }
}
