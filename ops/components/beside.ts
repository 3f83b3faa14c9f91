/**
 * An API server beside the home's own: what is the log's keeper's stays the home's process's. Of the disk it only looks how much
 * room there is, and of the log it remembers in a ledger of its own, begun where the home's stands: two writers of one would each
 * undo what the other remembers. So it is with the index of the past: each has one, for the same entry in one file twice is a fault.
 */
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import { isFree, privateFolder } from '#ops/home.ts'
import { Complaints } from '#ops/nats/complaints.ts'
import { natsLogFile } from '#ops/nats/server.ts'
import { storeFolder } from '#ops/nats/store.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { FileReserve, FolderDisk } from '#services/platform/disk/Disk.ts'
import { DiskWatch } from '#services/platform/disk/DiskWatch.ts'
import { Appends } from '#services/platform/jetstream/Appends.ts'
import { LogDisk, reserveFile, seen, watching } from './disk.ts'
import { NotStarted } from './errors.ts'
import { OpenLog } from './openLog.ts'
import { Place } from './place.ts'

const ledgersOf = (home: string, port: number): string => join(home, 'run', `ledger-${port}`)

/** Begun anew with each start: what is remembered for good, the home's own process remembers. */
const ownLedgers = (home: string, port: number): string => {
  const folder = ledgersOf(home, port)
  rmSync(folder, { recursive: true, force: true })
  privateFolder(folder)
  for (const name of readdirSync(ledgerFolder(home))) {
    if (!name.endsWith('.new')) copyFileSync(join(ledgerFolder(home), name), join(folder, name))
  }
  return folder
}

/** Kept until the cluster is stopped: it is compared with the log when it is opened, and years of history are long to read. */
const ownHistory = (home: string, port: number): string => {
  const folder = join(home, 'run', `history-${port}`)
  privateFolder(folder)
  return folder
}

/** Takes away what API servers beside the home's own have left: of those whose port nobody has. */
export const removeBeside = async (home: string): Promise<void> => {
  const folder = join(home, 'run')
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const port = /^(?:ledger|history)-(\d+)$/.exec(name)?.[1]
    if (port !== undefined && (await isFree(Number(port)))) rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/** The reserve as it is; giving it up and taking it back is for who keeps the log. */
class SeenReserve extends FileReserve {
  override async take(): Promise<void> {}
  override async give(): Promise<void> {}
}

/** The log that the home's own process keeps open. */
export const besideLog = (port: number) =>
  Layer.effect(
    OpenLog,
    Effect.gen(function* () {
      const { home } = yield* Place
      const ledgers = yield* Effect.acquireRelease(
        Effect.try({
          try: () => ownLedgers(home, port),
          catch: (cause) => new NotStarted({ message: `the log of ${home} is not there yet; start the cluster with \`reckon up\``, cause })
        }),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      return { own: false, ledgers, history: ownHistory(home, port) }
    })
  )

export const besideDisk = Layer.effect(
  LogDisk,
  Effect.gen(function* () {
    const { home, config, warn } = yield* Place
    const appends = new Appends()
    const watch = new DiskWatch({
      disk: new FolderDisk(storeFolder(home)),
      reserve: new SeenReserve(reserveFile(home)),
      clock: systemClock,
      ...(config.settings?.disk === undefined ? {} : { settings: config.settings.disk }),
      appends,
      complaint: () => false,
      answers: async () => true,
      restart: async () => {},
      report: (line) => warn('the disk', line)
    })
    yield* watching(watch)
    return seen({ keeper: undefined }, { appends, watch, complaints: new Complaints(natsLogFile(home)) })
  })
)
