/** The scrubbers as scoped resources: they read the log again at work, and close the gate for writes when it is not what it was. */
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Damage } from '#events/Log.ts'
import type { Refusal } from '#events/Refusal.ts'
import { durationOf } from '#ops/home.ts'
import { damageLines } from '#ops/log/damage.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { logDamaged } from '#services/apiserver/gated.ts'
import type { HealthCheck } from '#services/apiserver/http/health.ts'
import { Scrubber } from '#services/apiserver/Scrubber.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/View.ts'
import type { Place } from './connection.ts'

/** A year of a busy cluster's history (60 GB) in eight hours, and a hundredth of what a disk can read. */
const BYTES_PER_SECOND = 2 * 1024 * 1024
const EVERY = '1h'

export interface Damages {
  /** What the scrubbers have found. */
  readonly found: readonly Damage[]
  /** Why nothing may be written; undefined as long as nothing is known to be wrong. */
  closed(): Refusal | undefined
  /** `log-integrity`: as far as it was read, the log is what was written. */
  readonly check: HealthCheck
}

export interface FoundDamages extends Damages {
  add(damage: Damage): void
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

/** One scrubber for each stream with a chain. What they find is in the ledger at once, so that the next start knows it, too. */
export const scrub = (place: Place, views: Views, damages: FoundDamages): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { megabytesPerSecond, every = EVERY } = place.config.settings?.scrub ?? {}
    const pauseMs = durationOf(every, 'scrub.every')
    if (pauseMs === Number.POSITIVE_INFINITY) return
    const seal = loadSeal(place.home)
    for (const { log, integrity } of views.byStream.values()) {
      if (integrity?.whole !== true) continue
      const { ledger } = integrity
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const scrubber = new Scrubber({
            log,
            ledger,
            seal,
            clock: systemClock,
            bytesPerSecond: megabytesPerSecond === undefined ? BYTES_PER_SECOND : megabytesPerSecond * 1024 * 1024,
            pauseMs,
            onDamage: (damage) => {
              damages.add(damage)
              ledger.report(damage)
              for (const line of damageLines([damage])) place.warn('the log is damaged', `${line}. Writes are refused from now on; reads go on`)
            }
          })
          scrubber.start()
          return scrubber
        }),
        (scrubber) => Effect.sync(() => scrubber.stop())
      )
    }
  })
