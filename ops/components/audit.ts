/** The audit trail as a scoped resource: its chain is taken up where it ended, and what waits at the end is still written. */
import type { NatsConnection } from '@nats-io/transport-node'
import * as Effect from 'effect/Effect'
import { loadSeal } from '#ops/log/keys.ts'
import { AuditTrail } from '#services/apiserver/audit/AuditTrail.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { atLeast } from '#services/platform/disk/decide.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { integrityOf } from './connection.ts'
import { LogDisk } from './disk.ts'
import { reading } from './errors.ts'
import { Place } from './place.ts'
import { briefly } from './scoped.ts'

const STREAM = 'AUDIT'

export const auditTrail = (nats: NatsConnection) =>
  Effect.gen(function* () {
    const place = yield* Place
    const disk = yield* LogDisk
    const integrity = yield* integrityOf('audit', loadSeal(place.home), STREAM, { whole: true, expires: true, tail: true })
    const log = new JetStreamLog(nats, STREAM)
    const trail = yield* Effect.acquireRelease(
      reading(async () => {
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
      }),
      (trail) => briefly(() => trail.stop())
    )
    return { trail, log, integrity }
  })
