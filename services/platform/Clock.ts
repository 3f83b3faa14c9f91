/**
 * Time and chance as a port: shells take a Clock instead of reading the machine's, so that the simulation can run
 * the same code on a virtual clock from one seed.
 */
import { randomUUID } from 'node:crypto'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Runs `task` once after `ms`. An exception in it is the caller's bug. */
  after(ms: number, task: () => void): Timer
  /** In [0, 1). */
  random(): number
  /** RFC 4122 version 4. */
  uuid(): string
}

/** Node keeps a timer's time in 31 bits, and one that is further off fires at once: that is gone to in steps. */
const LONGEST_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    let handle: NodeJS.Timeout
    const arm = (left: number): void => {
      handle = left > LONGEST_MS ? setTimeout(() => arm(left - LONGEST_MS), LONGEST_MS) : setTimeout(task, left)
    }
    arm(ms)
    return { cancel: () => clearTimeout(handle) }
  },
  random: () => Math.random(),
  uuid: () => randomUUID()
}

/** Resolves after `ms`, or as soon as `signal` aborts; no timer is left then. */
export const sleep = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const finish = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = clock.after(ms, finish)
    signal?.addEventListener('abort', finish)
  })
