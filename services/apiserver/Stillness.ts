/**
 * Notices that this process stood still (a machine that slept, a debugger, SIGSTOP), or was too busy to look. What reaches it then
 * may have been sent long ago: who asked has had no answer, has asked another API server, and the world has gone on since. Such an
 * intent is the first asking by its own word, so only the one who receives it can know that it is late. A time in the intent would
 * be simpler, but no two machines' clocks are compared here.
 */
import type { Clock, Timer } from '#services/platform/Clock.ts'

const LOOK_MS = 500
/** So late a look has not been for want of a turn; far less than anybody waits for an answer. */
const STILL_MS = 2_000
/** What had come meanwhile is read by then. */
const READ_MS = 10_000

export class Stillness {
  readonly #clock: Clock
  #looked: number
  #ended = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#looked = clock.now()
  }
  start(): void {
    this.#look()
    this.#timer = this.#clock.after(LOOK_MS, () => this.start())
  }
  stop(): void {
    this.#timer?.cancel()
  }
  #look(): void {
    const now = this.#clock.now()
    // A clock that was set back tells nothing; from there on it is looked at anew.
    if (now - this.#looked > STILL_MS) this.#ended = now
    this.#looked = now
  }
  /** Whether what comes now may have been waiting for long. */
  readonly lately = (): boolean => {
    this.#look()
    return this.#clock.now() - this.#ended < READ_MS
  }
}
