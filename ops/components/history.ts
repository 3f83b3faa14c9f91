/** Where the past is, as a scoped resource: the historian's thread writes it, this process reads it. */
import { Worker } from 'node:worker_threads'
import * as Effect from 'effect/Effect'
import type { Damage } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { SqliteReader } from '#services/historian/SqliteReader.ts'
import { systemClock, type Timer } from '#services/platform/Clock.ts'
import { INDEXED, type Asked, type Given, type Told } from './indexed.ts'
import { OpenLog } from './openLog.ts'
import { Place } from './place.ts'

/** A keyframe each so many events: what a bare disk reads before it answers for what came since. */
const EVERY = 50_000

/** What the thread may hold in memory, besides SQLite's pages: its work is bounded, whatever the log's length. */
const HEAP_MB = 256
/** A thread that ended is begun again after this. */
const AGAIN_MS = 1_000

/** `onDamaged`: the historian found the log to be other than it was written. Of several for one log, the home's own makes the keyframes. */
export const history = (onDamaged: (damage: Damage) => void) =>
  Effect.gen(function* () {
    const place = yield* Place
    const { own, history: folder } = yield* OpenLog
    const given: Given = { home: place.home, folder, ...(own ? { every: place.config.settings?.keyframes?.every ?? EVERY } : {}) }
    const { readers } = yield* Effect.acquireRelease(
      Effect.sync(() => new HistorianThread(given, place.warn, onDamaged)),
      (thread) => Effect.promise(() => thread.stop())
    )
    return readers
  })

class HistorianThread {
  readonly readers: ReadonlyMap<StreamName, SqliteReader>
  readonly #given: Given
  readonly #warn: Place['Service']['warn']
  readonly #onDamaged: (damage: Damage) => void
  #worker: Worker | undefined
  #again: Timer | undefined
  #stopped = false

  constructor(given: Given, warn: Place['Service']['warn'], onDamaged: (damage: Damage) => void) {
    this.#given = given
    this.#warn = warn
    this.#onDamaged = onDamaged
    this.readers = new Map(
      INDEXED.map(([stream]) => {
        const remake = (file: string): void => this.#worker?.postMessage({ remake: stream, file } satisfies Asked)
        return [stream, new SqliteReader(stream, systemClock, remake)]
      })
    )
    this.#begin()
  }
  #begin(): void {
    const warn = this.#warn
    const worker = new Worker(new URL('./historianThread.ts', import.meta.url), {
      workerData: this.#given,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB }
    })
    this.#worker = worker
    worker.on('message', (told: Told) => {
      if (told.type === 'reached') this.readers.get(told.stream)?.reached(told.sequence, told.file, told.filled)
      else if (told.type === 'damaged') this.#onDamaged(told.damage)
      else warn('historian', new Error(told.message))
    })
    worker.on('error', (error) => warn('historian', error))
    worker.on('exit', () => {
      if (!this.#stopped) this.#again = systemClock.after(AGAIN_MS, () => this.#begin())
    })
  }
  /** At any moment: what was not written whole is not there. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#again?.cancel()
    await this.#worker?.terminate()
    for (const reader of this.readers.values()) reader.close()
  }
}
