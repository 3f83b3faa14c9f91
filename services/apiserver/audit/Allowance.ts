/** How many of one asker's requests are recorded: a flood of them must not push out what was recorded before. */
import type { Clock } from '#services/platform/Clock.ts'

/** Askers known by name; the one who was quiet longest is forgotten first. */
const KNOWN = 4_096

export interface Rate {
  /** Records at once, and then so many a second. */
  readonly burst: number
  readonly perSecond: number
}

interface Account {
  left: number
  at: number
  omitted: number
}

export class Allowance {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #accounts = new Map<string, Account>()

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
  }
  /** Undefined: one too many, and counted. Otherwise how many were left out since the last one that was taken. */
  take(who: string): number | undefined {
    const { burst, perSecond } = this.#rate
    const now = this.#clock.now()
    const before = this.#accounts.get(who) ?? { left: burst, at: now, omitted: 0 }
    const left = Math.min(burst, before.left + ((now - before.at) / 1_000) * perSecond)
    const taken = left >= 1
    this.#accounts.delete(who)
    this.#accounts.set(who, { left: taken ? left - 1 : left, at: now, omitted: taken ? 0 : before.omitted + 1 })
    if (this.#accounts.size > KNOWN) this.#accounts.delete(this.#accounts.keys().next().value as string)
    return taken ? before.omitted : undefined
  }
}
