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

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    const handle = setTimeout(task, ms)
    return { cancel: () => clearTimeout(handle) }
  },
  random: () => Math.random(),
  uuid: () => randomUUID()
}

export const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve))
