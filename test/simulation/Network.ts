/** Who reaches whom: everybody reaches everybody until a way is cut, in one direction or both. */
import type { Clock } from '#services/platform/Clock.ts'

/** The log as a place in the network. */
export const LOG = 'the log'

export class Network {
  readonly #clock: Clock
  /** By way: until when it is cut. */
  readonly #cuts = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }
  /** Nothing passes from one to the other for a while. */
  cut(from: string, to: string, ms: number): void {
    const way = `${from} → ${to}`
    this.#cuts.set(way, Math.max(this.#cuts.get(way) ?? 0, this.#clock.now() + ms))
  }
  passes(from: string, to: string): boolean {
    return (this.#cuts.get(`${from} → ${to}`) ?? 0) <= this.#clock.now()
  }
  /** The log works by questions and answers: what passes one way only is as good as cut. */
  reachesLog(name: string): boolean {
    return this.passes(name, LOG) && this.passes(LOG, name)
  }
  heal(): void {
    this.#cuts.clear()
  }
}
