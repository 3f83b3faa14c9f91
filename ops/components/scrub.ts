/** The scrubbers as scoped resources: they read the log again at work, and close the gate for writes when it is not what it was. */
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { Damage, Log } from '#events/Log.ts'
import type { Refusal } from '#events/Refusal.ts'
import { configPath, durationOf } from '#ops/home.ts'
import { damageLines } from '#ops/log/damage.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { logDamaged } from '#services/apiserver/gated.ts'
import type { HealthCheck } from '#services/apiserver/http/health.ts'
import { Scrubber } from '#services/apiserver/Scrubber.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Ledger } from '#services/platform/ledger/Ledger.ts'
import { usable } from './errors.ts'
import { Place } from './place.ts'
import { running } from './scoped.ts'

/** A year of a busy cluster's history (60 GB) in eight hours, and a hundredth of what a disk can read. */
const MEGABYTES_PER_SECOND = 2
const EVERY = '1h'

interface FoundDamages {
  /** What the scrubbers have found. */
  readonly found: readonly Damage[]
  add(damage: Damage): void
  /** Why nothing may be written; undefined as long as nothing is known to be wrong. */
  closed(): Refusal | undefined
  /** `log-integrity`: as far as it was read, the log is what was written. */
  readonly check: HealthCheck
}

/** What was found to be wrong with the log while it is at work. */
export class Damages extends Context.Service<Damages, FoundDamages>()('reckon/ops/Damages') {
  static readonly none = Layer.sync(Damages, () => noDamages())
}

export const noDamages = (): FoundDamages => {
  const found: Damage[] = []
  return {
    found,
    add: (damage) => void found.push(damage),
    closed: () => (found.length === 0 ? undefined : logDamaged(found)),
    check: {
      name: 'log-integrity',
      check: () => {
        if (found.length > 0) throw new Error(damageLines(found).join('; '))
      }
    }
  }
}

/** A stream that is checked as it is followed. */
export interface Checked {
  readonly log: Log
  readonly integrity: Integrity | undefined
}

const paceOf = ({ home, config }: Place['Service']): { readonly bytesPerSecond: number; readonly pauseMs: number } => {
  const { megabytesPerSecond = MEGABYTES_PER_SECOND, every = EVERY } = config.settings?.scrub ?? {}
  if (typeof megabytesPerSecond !== 'number' || !(megabytesPerSecond > 0)) {
    const fault = `settings.scrub.megabytesPerSecond: ${JSON.stringify(megabytesPerSecond)} is no number above 0`
    throw new Error(`${configPath(home)} can't be used: ${fault}. See ops/docs/faults.md.`)
  }
  return { bytesPerSecond: megabytesPerSecond * 1024 * 1024, pauseMs: durationOf(every, 'scrub.every') }
}

/** Of one of the streams: writes are refused from now on, and the next start knows why. */
export const condemn = Effect.gen(function* () {
  const { warn } = yield* Place
  const damages = yield* Damages
  return (damage: Damage, ledger: Ledger | undefined): void => {
    damages.add(damage)
    ledger?.report(damage)
    for (const line of damageLines([damage])) warn('the log is damaged', `${line}. Writes are refused from now on; reads go on`)
  }
})

/** One scrubber for each stream with a chain. What they find is in the ledger at once, so that the next start knows it, too. */
export const scrub = (streams: readonly Checked[]) =>
  Effect.gen(function* () {
    const place = yield* Place
    const found = yield* condemn
    const { bytesPerSecond, pauseMs } = yield* usable(() => paceOf(place))
    if (pauseMs === Number.POSITIVE_INFINITY) return
    const seal = loadSeal(place.home)
    for (const { log, integrity } of streams) {
      if (integrity?.whole !== true) continue
      const { ledger } = integrity
      yield* running(() => {
        const onDamage = (damage: Damage): void => found(damage, ledger)
        const scrubber = new Scrubber({ log, ledger, seal, clock: systemClock, bytesPerSecond, pauseMs, onDamage })
        scrubber.start()
        return scrubber
      })
    }
  })
