/** The log that an API server works on, open: by this process, which keeps nats-server running, or by another one. */
import { join } from 'node:path'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import * as Schedule from 'effect/Schedule'
import { LogDamaged, type Damage } from '#events/Log.ts'
import { LogKeeper } from '#ops/nats/keeper.ts'
import { noteBlocks } from '#ops/nats/store.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { LogDisk } from './disk.ts'
import { DamagedLog, reading } from './errors.ts'
import { OwnHome } from './ownHome.ts'
import { Place, say } from './place.ts'

const historyFolder = (home: string): string => join(home, 'history')

/** How often finished files of the log are written down. */
const NOTE_EVERY = '1 minute'

const keeping = Effect.gen(function* () {
  const { home, config, fatal } = yield* Place
  const disk = yield* LogDisk
  const own = yield* OwnHome
  const prepare = async (): Promise<void> => {
    // A start would make the folders anew, and an empty log in them.
    await own.look()
    own.check.check()
    disk.complaints.reset()
    await disk.watch.look()
  }
  const onDamaged = (damage: Damage): void => fatal('the log', new LogDamaged(damage))
  const keeper = yield* Effect.acquireRelease(
    Effect.sync(() => new LogKeeper({ home, config, report: say, prepare, onDamaged })),
    // Whatever else fails first in a home that is gone: the server must not outlive it.
    (open) =>
      Effect.promise(async () => {
        await own.look().catch(() => {})
        if (own.closed() !== undefined) await open.abandon()
        open.stop()
      })
  )
  disk.keeper = keeper
  own.onGone(() => void keeper.abandon())
  return keeper
})

/** Keeps nats-server running, once the log is open. Of its own, for it outlives a log that is found to be damaged. */
export class Keeper extends Context.Service<Keeper, LogKeeper>()('reckon/ops/Keeper') {
  static readonly layer = Layer.effect(Keeper, keeping)
}

/** Fails with what is wrong with the log when it can't be opened as it was. */
const kept = Effect.gen(function* () {
  const { home, warn } = yield* Place
  const keeper = yield* Keeper
  const damages = yield* reading(() => keeper.open())
  if (damages.length > 0) return yield* new DamagedLog({ message: damages.map(({ detail }) => detail).join('; '), damages })
  yield* Effect.forkScoped(
    Effect.tryPromise(() => noteBlocks(home, Date.now())).pipe(
      Effect.catch((error) => Effect.sync(() => warn('the log', error))),
      Effect.repeat(Schedule.spaced(NOTE_EVERY))
    )
  )
  return { own: true, ledgers: ledgerFolder(home), history: historyFolder(home) }
})

export class OpenLog extends Context.Service<
  OpenLog,
  {
    /** The home's own process, of which there is one: what is done once for the log is this one's. */
    readonly own: boolean
    /** The folder where it is remembered how far the log went. */
    readonly ledgers: string
    /** The folder where the past is indexed. */
    readonly history: string
  }
>()('reckon/ops/OpenLog') {
  static readonly kept = Layer.effect(OpenLog, kept)
}
