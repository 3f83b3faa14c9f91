/** The home a process began in, as a scoped resource: who writes into one that is gone writes for nobody, says so and ends. */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import * as Context from 'effect/Context'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import type { Refusal } from '#events/Refusal.ts'
import { configPath, type ClusterConfig } from '#ops/home.ts'
import { storeFolder } from '#ops/nats/store.ts'
import { lookEvery } from '#ops/supervise/looks.ts'
import { homeGone } from '#services/apiserver/gated.ts'
import type { HealthCheck } from '#services/apiserver/http/health.ts'
import { usable } from './errors.ts'
import { Place } from './place.ts'

const LOOK_MS = 500
/** An editor that writes config.json anew takes the name away for a moment. */
const CONFIG_MS = 1_500
/** So long it is answered, with the reason, before the process ends: who asks should hear more than a refused connection. */
const TOLD_MS = 3_000
/** An orderly end may wait for a log that does not come back. */
const END_LIMIT_MS = 20_000

/** Of what is not there; any other error says nothing of that. */
const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

/**
 * A folder as it was. It is held open: a number that is only remembered is given to the next folder as soon as this one is
 * removed (ext4 does), and on some overlays another one after the kernel forgot the folder for a while.
 */
class HeldFolder {
  readonly #path: string
  readonly #file: number
  constructor(path: string) {
    this.#path = path
    this.#file = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  }
  async fault(): Promise<string | undefined> {
    const now = await stat(this.#path, { bigint: true }).catch(absent)
    if (now === undefined) return `${this.#path} is not there any more`
    const { dev, ino } = fstatSync(this.#file, { bigint: true })
    // Comes of a plain removal, too: until nats-server is ended it makes folders of its store anew (removeMadeAnew).
    return now.dev === dev && now.ino === ino ? undefined : `${this.#path} is not there any more, and another folder is in its place`
  }
  close(): void {
    closeSync(this.#file)
  }
}

/**
 * A store that is a file system of its own can't be removed, but its disk may be away for a while (ensureMounted), which is no
 * lost home; and nobody could take it away who is held up by us.
 */
const isMounted = (home: string): boolean => statSync(storeFolder(home)).dev !== statSync(home).dev

export interface HomeWatchOptions {
  readonly home: string
  readonly config: Pick<ClusterConfig, 'instance'>
  /** The log's files are looked after by this process, too. */
  readonly store: boolean
  readonly report: (line: string) => void
  /** Milliseconds, from anywhere. */
  readonly now?: () => number
}

export class HomeWatch {
  readonly #options: HomeWatchOptions
  readonly #now: () => number
  readonly #folders: readonly HeldFolder[]
  readonly #listeners: (() => void)[] = []
  #looks: { stop(): void } | undefined
  #stopped = false
  #unnamed: number | undefined
  #refusal: Refusal | undefined
  #told = ''

  /** Throws when a folder is not there now. */
  constructor(options: HomeWatchOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    const { home, store } = options
    this.#folders = [home, ...(store && !isMounted(home) ? [storeFolder(home)] : [])].map((path) => new HeldFolder(path))
  }
  start(): void {
    this.#looks = lookEvery(
      LOOK_MS,
      () => this.look(),
      (error) => this.#tell(error)
    )
  }
  stop(): void {
    this.#stopped = true
    this.#looks?.stop()
    for (const folder of this.#folders) folder.close()
  }
  /**
   * Why nothing may be written; undefined as long as the home is there. Once gone it stays so: what was written meanwhile is in no
   * home.
   */
  readonly closed = (): Refusal | undefined => this.#refusal
  /** `home` */
  readonly check: HealthCheck = {
    name: 'home',
    check: () => {
      if (this.#refusal !== undefined) throw new Error(this.#refusal.message)
    }
  }
  /** Called once, at once if the home is gone already. */
  onGone(listener: () => void): void {
    if (this.#refusal === undefined) this.#listeners.push(listener)
    else listener()
  }
  /** Rejects when it can't be looked at, which says nothing of whether it is there. */
  async look(): Promise<void> {
    if (this.#stopped || this.#refusal !== undefined) return
    const fault = await this.#fault()
    // Meanwhile somebody else may have seen it.
    if (fault === undefined || this.#stopped || this.#refusal !== undefined) return
    this.#refusal = homeGone(this.#options.home, fault)
    for (const listener of this.#listeners.splice(0)) listener()
  }
  async #fault(): Promise<string | undefined> {
    for (const folder of this.#folders) {
      if (this.#stopped) return undefined
      const fault = await folder.fault()
      if (fault !== undefined) return fault
    }
    return this.#configFault()
  }
  /** By what it says, not by its inode: who changes a setting writes another file. */
  async #configFault(): Promise<string | undefined> {
    const path = configPath(this.#options.home)
    const text = await readFile(path, 'utf8').catch(absent)
    if (text === undefined) {
      this.#unnamed ??= this.#now()
      return this.#now() - this.#unnamed >= CONFIG_MS ? `${path} is not there any more` : undefined
    }
    this.#unnamed = undefined
    const instance = instanceIn(text)
    return instance === undefined || instance === this.#options.config.instance ? undefined : `${path} is of another cluster (${instance})`
  }
  #tell(error: unknown): void {
    const line = `the home can't be looked at: ${error instanceof Error ? error.message : String(error)}`
    if (line !== this.#told) this.#options.report(line)
    this.#told = line
  }
}

/** Undefined for a text that is half written, or has a mistake, which the next start tells of. */
const instanceIn = (text: string): string | undefined => {
  try {
    const { instance } = JSON.parse(text) as Partial<ClusterConfig>
    return typeof instance === 'string' ? instance : undefined
  } catch {
    return undefined
  }
}

const watched = (store: boolean) =>
  Effect.gen(function* () {
    const { home, config, warn, fatal } = yield* Place
    const watch = yield* usable(() => new HomeWatch({ home, config, store, report: (line) => warn('the home', line) }))
    // Not fibers of this scope: they are what ends the process when closing the scope does not.
    watch.onGone(() => {
      const { message = '' } = watch.closed() ?? {}
      warn('the home', message)
      setTimeout(() => fatal('the process', new Error(message)), TOLD_MS)
      setTimeout(() => process.exit(1), END_LIMIT_MS).unref()
    })
    return yield* Effect.acquireRelease(
      Effect.sync(() => {
        watch.start()
        return watch
      }),
      () => Effect.sync(() => watch.stop())
    )
  })

/** Watched from now on; when it is gone the process ends. */
export class OwnHome extends Context.Service<OwnHome, HomeWatch>()('reckon/ops/OwnHome') {
  /** `store`: its log's files as well, which are there. */
  static readonly layer = (store: boolean) => Layer.effect(OwnHome, watched(store))
}
