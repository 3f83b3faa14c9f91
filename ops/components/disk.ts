/** The log's disk as a scoped resource: watched, told of, and the reason for refusals. */
import { join } from 'node:path'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import { configPath } from '#ops/home.ts'
import { Complaints } from '#ops/nats/complaints.ts'
import { isAnswering, type LogKeeper } from '#ops/nats/keeper.ts'
import { natsLogFile } from '#ops/nats/server.ts'
import { ensureMounted, storeFolder } from '#ops/nats/store.ts'
import type { HealthCheck } from '#services/apiserver/http/health.ts'
import type { Shortage } from '#services/apiserver/room/decide.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { amount, atLeast, thresholdsOf, wordsOf } from '#services/platform/disk/decide.ts'
import { FileReserve, FolderDisk } from '#services/platform/disk/Disk.ts'
import { DiskWatch, type DiskState } from '#services/platform/disk/DiskWatch.ts'
import { Appends } from '#services/platform/jetstream/Appends.ts'
import { usable } from './errors.ts'
import { Place } from './place.ts'

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

interface DiskSeen {
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
    const free = `${amount(state.usage.free)} of ${amount(state.usage.total)} free`
    throw new Error(`${wordsOf(state.room, state.thresholds)} (${free}${state.fault === undefined ? '' : `; ${state.fault}`})`)
  }
})

export const seen = (
  self: Pick<DiskSeen, 'keeper'>,
  { appends, watch, complaints }: Pick<DiskSeen, 'appends' | 'watch' | 'complaints'>
): DiskSeen => Object.assign(self, { appends, watch, complaints, shortage: () => shortageIn(watch.state), check: checkOf(watch) })

/** At work from here to the scope's end, having looked once. */
export const watching = (watch: DiskWatch) =>
  Effect.acquireRelease(
    Effect.promise(() => watch.start()),
    () => Effect.sync(() => watch.stop())
  )

const kept = Effect.gen(function* () {
  const { home, config, warn } = yield* Place
  const appends = new Appends()
  const complaints = new Complaints(natsLogFile(home))
  const self: { keeper: LogKeeper | undefined } = { keeper: undefined }
  yield* usable(
    () => thresholdsOf(Number.MAX_SAFE_INTEGER, config.settings?.disk),
    (message) => `${configPath(home)} can't be used: settings.${message}. See ops/docs/faults.md.`
  )
  const watch = new DiskWatch({
    disk: new FolderDisk(storeFolder(home)),
    reserve: new StoreReserve(home),
    clock: systemClock,
    ...(config.settings?.disk === undefined ? {} : { settings: config.settings.disk }),
    appends,
    complaint: () => complaints.heard(),
    answers: () => isAnswering(home, config, 'EVENTS'),
    restart: async (why) => self.keeper?.restart(why),
    report: (line) => warn('the disk', line)
  })
  yield* watching(watch)
  return seen(self, { appends, watch, complaints })
})

/** What the API server needs to know of the log's disk. */
export class LogDisk extends Context.Service<LogDisk, DiskSeen>()('reckon/ops/LogDisk') {
  /** Looked at before the log is opened: a server that is started on a full disk should find the reserve given up. */
  static readonly kept = Layer.effect(LogDisk, kept)
}
