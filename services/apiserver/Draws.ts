/**
 * The chance of one intent, drawn once and told again in every round and try: an object that is decided anew has the uid it had,
 * so that what was asked outside about it is what would be asked again.
 */
import type { Clock } from '#services/platform/Clock.ts'

export class Draws {
  readonly #clock: Clock
  readonly #numbers: number[] = []
  readonly #uuids: string[] = []
  #number = 0
  #uuid = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }
  /** From the first one on again. */
  rewind(): void {
    this.#number = 0
    this.#uuid = 0
  }
  random(): number {
    return (this.#numbers[this.#number++] ??= this.#clock.random())
  }
  uuid(): string {
    return (this.#uuids[this.#uuid++] ??= this.#clock.uuid())
  }
}
