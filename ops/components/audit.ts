/** The audit trail as a scoped resource: its chain is taken up where it ended, and what waits at the end is still written. */
import type { NatsConnection } from '@nats-io/transport-node'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import { loadSeal } from '#ops/log/keys.ts'
import { AuditTrail } from '#services/apiserver/audit/AuditTrail.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { atLeast } from '#services/platform/disk/decide.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { integrityOf, type Place } from './connection.ts'
import type { LogDisk } from './disk.ts'
import type { Checked } from './scrub.ts'

const STREAM = 'AUDIT'

export const auditTrail = (place: Place, nats: NatsConnection, disk: LogDisk): Effect.Effect<Checked & { readonly trail: AuditTrail }, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const integrity = yield* integrityOf(place, 'audit', loadSeal(place.home), STREAM, { whole: true, expires: true, tail: true })
    const log = new JetStreamLog(nats, STREAM)
    const trail = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          const trail = new AuditTrail({
            log,
            clock: systemClock,
            integrity,
            sheds: () => atLeast(disk.shortage()?.room ?? 'plenty', 'no-creates'),
            onError: (error) => place.warn('audit', error),
            onFailed: (error) => place.fatal('audit', error)
          })
          await trail.start()
          return trail
        },
        catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
      }),
      (trail) => Effect.promise(() => trail.stop()).pipe(Effect.timeout('2 seconds'), Effect.ignore)
    )
    return { trail, log, integrity }
  })
