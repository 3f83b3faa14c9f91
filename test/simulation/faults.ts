/** What goes wrong in one seed, and how often: each seed draws its own mixture, so that some have none of a fault and some have much. */
import type { Clock } from '#services/platform/Clock.ts'
import type { Faults } from '#services/platform/MemoryLog.ts'
import { generator } from './VirtualClock.ts'

/** The truncated tail, a hole, another stream: what ends a seed instead of quiet. */
export type Ending = 'quiet' | 'tail' | 'hole' | 'replaced'

export interface Mixture {
  /** Parts of all occasions. */
  readonly lose: number
  readonly swallow: number
  readonly skip: number
  readonly double: number
  readonly forget: number
  /** Of intents and their answers, and of what agents say. */
  readonly message: number
  /** One append in so many takes seconds; some of these longer than anybody waits. */
  readonly slow: number
  /**
   * Parts of the script's steps: a way is cut, a process stands still, the disk is full, an agent is gone for long, a machine loses power.
   */
  readonly partition: number
  readonly pause: number
  readonly full: number
  readonly nodeLoss: number
  readonly power: number
  /** How much clocks of machines differ: milliseconds at the beginning, and of each second. */
  readonly skew: number
  readonly drift: number
  /** How many there are. */
  readonly apiServers: number
  readonly schedulers: number
  readonly managers: number
  /** How long streams that forget keep entries, milliseconds. */
  readonly keeps: number
  /** How many names of objects that are gone a process remembers: with few, it has to ask the log for others. */
  readonly names: number
  /** Of texts for a node's packet filter some are refused, and of the script's steps some are somebody's who flushes its rules. */
  readonly filter: number
  /** API servers seal what they write and remember how far the log went, as a home does. */
  readonly sealed: boolean
  readonly ending: Ending
}

const HOUR_MS = 3_600_000

/** Drawn beside the script's own chance: another fault does not make another script. */
export const mixtureOf = (seed: number): Mixture => {
  const random = generator(seed ^ 0x5eed)
  const one = <Item>(...items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
  const ending = random() < 0.12 ? one('tail', 'tail', 'hole', 'replaced') : 'quiet'
  return {
    lose: one(0, 0.01, 0.01, 0.04),
    swallow: one(0, 0.003, 0.003, 0.01),
    skip: one(0, 0.001, 0.005),
    double: one(0, 0.001, 0.01),
    forget: one(0, 0.002, 0.01),
    message: one(0, 0.02, 0.02, 0.06),
    slow: one(0, 0, 0.005, 0.02),
    partition: one(0, 0.1, 0.2),
    full: one(0, 0, 0.1),
    nodeLoss: one(0, 0, 0.08),
    pause: one(0, 0.1, 0.2),
    power: one(0, 0, 0.05),
    skew: one(0, 0, 300, 5_000, 120_000),
    drift: one(0, 0, 0.0005, 0.01),
    apiServers: one(1, 2, 2, 3),
    schedulers: one(1, 2, 2, 3),
    managers: one(1, 2, 2),
    keeps: one(HOUR_MS, 240_000, 120_000),
    sealed: ending !== 'quiet' || random() < 0.1,
    ending,
    names: one(16_384, 16_384, 4),
    filter: one(0, 0.03, 0.1)
  }
}

/** Over when `on` says so; times still differ then, and nothing is lost any more. */
export const logFaults = (
  mixture: Mixture,
  clock: Clock,
  on: () => boolean,
  { away, gone, full }: Record<'away' | 'gone' | 'full', () => boolean>
): Faults => {
  const chance = (part: number) => (): boolean => on() && part > 0 && clock.random() < part
  const slow = chance(mixture.slow)
  return {
    append: () => (slow() ? 500 + clock.random() * 7_000 : 1 + clock.random() * 5),
    deliver: () => 1 + clock.random() * (on() ? 40 : 5),
    lose: chance(mixture.lose),
    swallow: chance(mixture.swallow),
    skip: chance(mixture.skip),
    double: chance(mixture.double),
    forget: chance(mixture.forget),
    refuse: () => on() && full(),
    away,
    gone
  }
}
