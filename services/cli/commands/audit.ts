/** `reckon audit`: the trail of what makes no event, as it was written. Whether it is what was written, `reckon log verify` says. */
import type { NatsConnection } from '@nats-io/transport-node'
import { LogAway, type Follow, type LogState } from '#events/Log.ts'
import { askedConsumers } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { filterOf, sinceOf, type AuditWords } from '#services/cli/audit/filter.ts'
import { Reader, type Shown } from '#services/cli/audit/Reader.ts'
import { recordIn, timeOf } from '#services/cli/audit/record.ts'
import { HEADER, notesOf, rowsOf, textOf } from '#services/cli/audit/rows.ts'
import type { Environment } from '#services/cli/Environment.ts'
import { dim, err, growingTable, out, outTaken } from '#services/cli/print.ts'

export interface AuditOptions extends AuditWords {
  /** An RFC 3339 time, `-5m`, `start`. */
  readonly since: string
  /** Go on with what comes. */
  readonly follow: boolean
  readonly format: 'table' | 'json' | 'yaml'
}

const STREAM = 'AUDIT'

export const audit = async (environment: Environment['Service'], options: AuditOptions, signal: AbortSignal): Promise<void> => {
  const filter = filterOf(await environment.api(), options)
  const since = sinceOf(options.since, Date.now())
  const connection = await environment.connect({ patient: options.follow })
  try {
    const log = trailOn(connection)
    const state = await log.state()
    const from = await placeOf(log, state, since)
    if (from === state.first && from > 1) await sayBeginning(log, from, since)
    const reader = new Reader({ filter, since, from, isFirst: from === state.first, quarantined: state.quarantined })
    const show = showing(options.format)
    const say = (): void => notesOf(reader.missing()).forEach((note) => err(dim(note)))
    let shown = 0
    try {
      // A reader that is slow, as a pager is, holds one batch; a consumer would push all there is into this process.
      for await (const entries of log.read({ from, to: state.last })) {
        if (signal.aborted) return
        shown += show(reader.take(entries))
        await outTaken()
      }
      reader.reaches(state.last)
    } catch (error) {
      // Who follows waits for the log as long as it takes.
      if (!options.follow || !(error instanceof LogAway)) throw error
    }
    say()
    if (!options.follow) {
      const when = since === 0 ? '' : ` since ${new Date(since).toISOString()}`
      if (shown === 0 && options.format === 'table') err(`No records found${when}.`)
      return
    }
    await following(log, reader.next, signal, (entries) => {
      show(reader.take(entries))
      say()
    })
  } finally {
    await connection.close()
  }
}

const trailOn = (connection: NatsConnection): JetStreamLog =>
  new JetStreamLog(connection, STREAM, { consumers: askedConsumers(connection, 'admin', STREAM) })

/** Where to begin; behind the last one when nothing is as young. */
const placeOf = async (log: JetStreamLog, { first, last }: LogState, since: number): Promise<number> =>
  since === 0 ? first : Math.max(first, (await log.firstSince(since)) ?? last + 1)

/** Records expire: who asks for more than is kept is told. */
const sayBeginning = async (log: JetStreamLog, first: number, since: number): Promise<void> => {
  const record = recordIn((await log.get(first))?.text ?? '')
  const time = record === undefined ? Number.NaN : timeOf(record)
  if (!Number.isNaN(time) && time > since) err(dim(`(the trail begins at ${new Date(time).toISOString()}: older records have expired)`))
}

/** Prints, and says how many lines that were. */
const showing = (format: AuditOptions['format']): ((shown: readonly Shown[]) => number) => {
  const lines = growingTable(HEADER)
  return (shown) => {
    const texts = format === 'table' ? lines(shown.flatMap(rowsOf)) : shown.flatMap((one) => textOf(one, format) ?? [])
    if (texts.length > 0) out(texts.join('\n'))
    return texts.length
  }
}

/** Ends when it is told to. Rejects with LogDamaged when the trail is not any more what was followed. */
const following = (log: JetStreamLog, from: number, signal: AbortSignal, onEntries: Follow['onEntries']): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return resolve()
    const subscription = log.follow({ from, onEntries, onFailed: reject })
    signal.addEventListener('abort', () => {
      subscription.close()
      resolve()
    })
  })
