/** The log's disk as a scoped resource: watched, told of, and the reason for refusals. */
import { timestamp } from '#events/meta/time.ts'
import { join } from 'node:path'
import * as Effect from 'effect/Effect'
import type * as Scope from 'effect/Scope'
import type { Intent } from '#events/Intent.ts'
import { configPath } from '#ops/home.ts'
import { Complaints } from '#ops/nats/complaints.ts'
import { isAnswering, type LogKeeper } from '#ops/nats/keeper.ts'
import { natsLogFile } from '#ops/nats/server.ts'
import { ensureMounted, storeFolder } from '#ops/nats/store.ts'
import type { HealthCheck } from '#services/apiserver/http/health.ts'
import type { Shortage } from '#services/apiserver/room/decide.ts'
import { tell } from '#services/apiserver/room/tell.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { amount, atLeast, thresholdsOf, wordsOf } from '#services/platform/disk/decide.ts'
import { FileReserve, FolderDisk } from '#services/platform/disk/Disk.ts'
import { DiskWatch, type DiskState } from '#services/platform/disk/DiskWatch.ts'
import { Appends } from '#services/platform/jetstream/Appends.ts'
import type { RunningApiServer } from './apiserver.ts'
import type { Place } from './connection.ts'

/** On the same file system as the log. */
export const reserveFile = (home: string): string => join(storeFolder(home), 'reserve')

/** The reserve, but not on what lies under a mount that is missing. */
class StoreReserve extends FileReserve {
  readonly #home: string
  constructor(home: string) {
    super(reserveFile(home))
    this.#home = home
  }
  override async take(bytes: number): Promise<void> {
    ensureMounted(this.#home)
    await super.take(bytes)
  }
}

/** What the API server needs to know of the log's disk. */
export interface LogDisk {
  readonly appends: Appends
  readonly watch: DiskWatch
  readonly complaints: Complaints
  /** Whose server is started again; there is none at first. */
  keeper: LogKeeper | undefined
  shortage(): Shortage | undefined
  /** `disk`: nothing is refused for want of room. */
  readonly check: HealthCheck
}

const shortageIn = (state: DiskState | undefined): Shortage | undefined =>
  state === undefined || state.room === 'plenty' ? undefined : { room: state.room, words: wordsOf(state.room, state.thresholds) }

const checkOf = (watch: DiskWatch): HealthCheck => ({
  name: 'disk',
  check: () => {
    const { state } = watch
    if (state === undefined || !atLeast(state.room, 'no-creates')) return
    throw new Error(`${wordsOf(state.room, state.thresholds)} (${amount(state.usage.free)} of ${amount(state.usage.total)} free${state.fault === undefined ? '' : `; ${state.fault}`})`)
  }
})

export const watched = (self: Pick<LogDisk, 'keeper'>, { appends, watch, complaints }: Pick<LogDisk, 'appends' | 'watch' | 'complaints'>): LogDisk =>
  Object.assign(self, { appends, watch, complaints, shortage: () => shortageIn(watch.state), check: checkOf(watch) })

/** Looked at before the log is opened: a server that is started on a full disk should find the reserve given up. */
export const logDisk = (place: Place): Effect.Effect<LogDisk, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { home, config } = place
    const appends = new Appends()
    const complaints = new Complaints(natsLogFile(home))
    const self: { keeper: LogKeeper | undefined } = { keeper: undefined }
    yield* Effect.try({
      try: () => thresholdsOf(Number.MAX_SAFE_INTEGER, config.settings?.disk),
      catch: (cause) => new Error(`${configPath(home)} can't be used: settings.${(cause as Error).message}. See ops/docs/faults.md.`)
    })
    const watch = new DiskWatch({
      disk: new FolderDisk(storeFolder(home)),
      reserve: new StoreReserve(home),
      clock: systemClock,
      ...(config.settings?.disk === undefined ? {} : { settings: config.settings.disk }),
      appends,
      complaint: () => complaints.heard(),
      answers: () => isAnswering(home, config, 'EVENTS'),
      restart: async (why) => self.keeper?.restart(why),
      report: (line) => place.warn('the disk', line)
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => watch.start()),
      () => Effect.sync(() => watch.stop())
    )
    return watched(self, { appends, watch, complaints })
  })

const TELL_EVERY_MS = 2_000
const USER = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }

/** Keeps the node's condition as the disk is. What could not be told, for want of a log that takes it, is told later. */
export const tellOfDisk = (place: Place, disk: LogDisk, { views, decider }: RunningApiServer): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    let telling = false
    const tellNow = async (): Promise<void> => {
      const { state } = disk.watch
      // Before the first shortage, or without room for a word, there is nothing to tell.
      if (telling || state === undefined || state.room === 'none') return
      telling = true
      try {
        const now = timestamp(systemClock.now())
        for (const draft of tell(views, place.config.nodeName, { room: state.room, words: wordsOf(state.room, state.thresholds) }, now)) {
          const intent: Intent = { ...draft, id: systemClock.uuid(), source: 'apiserver' }
          const result = await decider.submit(intent, USER)
          if (!result.ok) place.warn('the disk', result.status.message)
        }
      } catch (error) {
        place.warn('the disk', error)
      } finally {
        telling = false
      }
    }
    disk.watch.onChange(() => void tellNow())
    yield* Effect.acquireRelease(
      Effect.sync(() => setInterval(() => void tellNow(), TELL_EVERY_MS)),
      (timer) => Effect.sync(() => clearInterval(timer))
    )
  })
