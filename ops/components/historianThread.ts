/**
 * The historian's own thread: it follows the log beside the API server's views, with a connection of its own, and writes
 * the index. A thread, so that years of history that are indexed anew hold nobody up; not a process, for the API
 * server that reads the index and the one that writes it begin and end together.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { Damage } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { readConfig } from '#ops/home.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { Historian } from '#services/historian/Historian.ts'
import { SqlitePast } from '#services/historian/SqlitePast.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { INDEXED } from './history.ts'

/** What the thread tells. */
export type Told =
  | { readonly type: 'reached'; readonly stream: StreamName; readonly sequence: number; readonly file: string }
  | { readonly type: 'damaged'; readonly stream: StreamName; readonly damage: Damage }
  | { readonly type: 'warn'; readonly message: string }

/** What it is told: an index was found to be unreadable by who reads it, in this file. */
export interface Asked {
  readonly remake: StreamName
  readonly file: string
}

const { home, folder } = workerData as { readonly home: string; readonly folder: string }
const port = parentPort as NonNullable<typeof parentPort>
const tell = (told: Told): void => port.postMessage(told)
const warn = (error: unknown): void => tell({ type: 'warn', message: error instanceof Error ? error.message : String(error) })

/** The home's memory of a stream as it is now; it is kept by the API server's views. */
const remembered = (stream: StreamName): ReturnType<typeof watching> => {
  const ledger = new FileLedger(ledgerFolder(home), stream)
  try {
    return watching(ledger)
  } finally {
    ledger.close()
  }
}

const main = async (): Promise<void> => {
  const config = readConfig(home)
  if (config === undefined) throw new Error(`there is no cluster in ${home}`)
  const seal = loadSeal(home)
  const connection = await connectNats(home, config, 'apiserver')
  const stores = new Map<StreamName, SqlitePast>()
  for (const [stream, { expires }] of INDEXED) {
    const store = new SqlitePast(folder, stream, systemClock, (file) => tell({ type: 'reached', stream, sequence: 0, file }))
    stores.set(stream, store)
    const integrity = (from: Place | undefined): Integrity => new Integrity({ seal, ledger: remembered(stream), whole: true, expires, ...(from === undefined ? {} : { from }) })
    const historian = new Historian({
      log: new JetStreamLog(connection, stream),
      store,
      clock: systemClock,
      integrity,
      expires,
      onReached: (sequence) => tell({ type: 'reached', stream, sequence, file: store.file }),
      onDamaged: (damage) => tell({ type: 'damaged', stream, damage }),
      onError: warn
    })
    port.on('message', ({ remake, file }: Asked) => remake === stream && file === store.file && historian.remake())
    historian.start()
  }
}

main().catch((error: unknown) => {
  warn(error)
  process.exit(1)
})
