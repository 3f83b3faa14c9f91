/**
 * Time as a machine and as a process has it: a clock that is wrong and runs fast or slow, and timers that stand still with their process.
 */
import type { Clock, Timer } from '#services/platform/Clock.ts'

/** How a machine's clock differs. */
export interface Skew {
  /** Milliseconds it is ahead at the beginning. */
  readonly offset: number
  /** Of its seconds to true ones. */
  readonly rate: number
}

export class SkewedClock implements Clock {
  readonly #base: Clock
  readonly #skew: Skew
  readonly #began: number

  constructor(base: Clock, skew: Skew) {
    this.#base = base
    this.#skew = skew
    this.#began = base.now()
  }
  now(): number {
    const { offset, rate } = this.#skew
    return this.#began + offset + (this.#base.now() - this.#began) * rate
  }
  after(ms: number, task: () => void): Timer {
    return this.#base.after(ms / this.#skew.rate, task)
  }
  random(): number {
    return this.#base.random()
  }
  uuid(): string {
    return this.#base.uuid()
  }
}

/** A process' timers: they fire by way of `enter`, which knows whether it runs. */
export class ProcessClock implements Clock {
  readonly #machine: Clock
  readonly #enter: (task: () => void) => void

  constructor(machine: Clock, enter: (task: () => void) => void) {
    this.#machine = machine
    this.#enter = enter
  }
  now(): number {
    return this.#machine.now()
  }
  after(ms: number, task: () => void): Timer {
    let cancelled = false
    const timer = this.#machine.after(ms, () => this.#enter(() => cancelled || task()))
    return {
      cancel: () => {
        cancelled = true
        timer.cancel()
      }
    }
  }
  random(): number {
    return this.#machine.random()
  }
  uuid(): string {
    return this.#machine.uuid()
  }
}
