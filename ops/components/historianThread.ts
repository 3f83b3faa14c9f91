/**
 * The historian's own thread: it follows the log beside the API server's views, with a connection of its own, and writes
 * the index. A thread, so that years of history that are indexed anew hold nobody up; not a process, for the API
 * server that reads the index and the one that writes it begin and end together.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { builtInApi } from '#events/scheme.ts'
import type { StreamName } from '#events/Subject.ts'
import { readConfig } from '#ops/home.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { Indexing, NEAR } from '#services/historian/Indexing.ts'
import { KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { SqlitePast } from '#services/historian/SqlitePast.ts'
import { describing } from '#services/historian/traits.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { ObjectStoreKeyframes } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { INDEXED, type Asked, type Given, type Told } from './indexed.ts'

/** Who asks for the past of this moment waits so long at most; under load it spares nine steps of ten. */
const GATHER_MS = 25

const { home, folder, every } = workerData as Given
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
  const keyframes = new ObjectStoreKeyframes(connection)
  const describe = describing(builtInApi())
  for (const [stream, { expires }] of INDEXED) {
    const whole = new SqlitePast(folder, stream, systemClock, describe, () => indexing.made())
    const since = join(folder, `since-${stream}`)
    const integrity = (from: Place | undefined): Integrity =>
      new Integrity({ seal, ledger: remembered(stream), whole: true, expires, ...(from === undefined ? {} : { from }) })
    const onRefused = (sequence: number, why: string): void => warn(new Error(`${stream}: the keyframe of ${sequence} is not used: ${why}`))
    const indexing: Indexing<SqlitePast> = new Indexing({
      log: new JetStreamLog(connection, stream),
      whole,
      brief: {
        open: () => new SqlitePast(since, stream, systemClock, describe),
        remove: () => rmSync(since, { recursive: true, force: true })
      },
      keyframes: new KeyframeStore({ stream, keyframes, seal, clock: systemClock, onRefused }),
      // Who asks for keyframes that are nearer to one another wants them used.
      ...(every === undefined ? {} : { every, near: Math.min(NEAR, every) }),
      clock: systemClock,
      integrity,
      expires,
      gatherMs: GATHER_MS,
      onReached: ({ file }, sequence, filled) =>
        tell({ type: 'reached', stream, sequence, file, ...(filled === undefined ? {} : { filled }) }),
      onDamaged: (damage) => tell({ type: 'damaged', stream, damage }),
      onError: warn
    })
    port.on('message', ({ remake, file }: Asked) => remake === stream && file === indexing.serving.file && indexing.remake())
    indexing.start()
  }
}

main().catch((error: unknown) => {
  warn(error)
  process.exit(1)
})
