/** Who waits until a sequence is reached. */
import type { Clock, Timer } from './Clock.ts'

interface Waiter {
  readonly sequence: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

export class Waiters {
  readonly #clock: Clock
  #waiting: Waiter[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }
  /** Rejects with what `late` says after `timeoutMs`. */
  until(sequence: number, timeoutMs: number, late: () => Error): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        sequence,
        resolve,
        reject,
        timer: this.#clock.after(timeoutMs, () => {
          this.#waiting = this.#waiting.filter((other) => other !== waiter)
          reject(late())
        })
      }
      this.#waiting.push(waiter)
    })
  }
  reached(sequence: number): void {
    const due = this.#waiting.filter((waiter) => waiter.sequence <= sequence)
    if (due.length === 0) return
    this.#waiting = this.#waiting.filter((waiter) => waiter.sequence > sequence)
    for (const { timer, resolve } of due) {
      timer.cancel()
      resolve()
    }
  }
  fail(error: Error): void {
    for (const { timer, reject } of this.#waiting.splice(0)) {
      timer.cancel()
      reject(error)
    }
  }
}
