/** Many events in a cluster's log without a request for each: as an API server writes them, sealed, chained and remembered. */
import { encodeEvent, type NewEvent } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Api } from './support.ts'

const BATCH = 500

/**
 * `events`: how many; `eventOf`: the nth, on the last sequence of its object, of which no two among 500 may be the same. While no API
 * server runs. Resolves with the log's last sequence.
 */
export const fill = async (
  { home, config }: Pick<Api, 'home' | 'config'>,
  events: number,
  eventOf: (n: number, lastOf: (name: string) => number) => NewEvent
): Promise<number> => {
  const connection = await connectNats(home, config, 'apiserver')
  const log = new JetStreamLog(connection, 'EVENTS')
  const ledger = new FileLedger(ledgerFolder(home), 'EVENTS')
  const integrity = new Integrity({ seal: loadSeal(home), ledger, whole: true, expires: false })
  integrity.begin(await log.state())
  await new Promise<void>((resolve, reject) => {
    const subscription = log.follow({
      from: 1,
      onEntries: (entries) => entries.forEach((entry) => integrity.take(entry)),
      onCaughtUp: () => (subscription.close(), resolve()),
      onFailed: reject
    })
  })
  const heads = new Map<string, number>()
  const lastOf = (name: string): number => heads.get(name) ?? 0
  let last = 0
  for (let n = 0; n < events; n += BATCH) {
    const made = Array.from({ length: Math.min(BATCH, events - n) }, (_, at) => eventOf(n + at, lastOf))
    const appends = made.map((event) =>
      integrity.seal({ subject: subjectOf('EVENTS', event.key), ...encodeEvent(event), expected: event.expected })
    )
    const result = await log.append(appends)
    if (!result.ok) throw new Error('the bench lost a race with itself')
    for (const [at, { subject, headers, text }] of appends.entries()) {
      heads.set((made[at] as NewEvent).key.name, result.first + at)
      integrity.take({ subject, headers, text, sequence: result.first + at, time: 0 } satisfies LogEntry)
    }
    integrity.settle()
    last = result.last
  }
  ledger.close()
  await connection.close()
  return last
}
