/** Lets so many tasks run at once; the rest wait in order. */
export class Slots {
  readonly #most: number
  #used = 0
  readonly #waiting: (() => void)[] = []

  constructor(most: number) {
    this.#most = most
  }
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#used >= this.#most) await new Promise<void>((resolve) => void this.#waiting.push(resolve))
    else this.#used++
    try {
      return await task()
    } finally {
      // The slot goes to the next one directly, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#used--
      else next()
    }
  }
}
