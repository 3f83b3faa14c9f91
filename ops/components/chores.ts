/**
 * What a cluster does for its own log now and then, where its settings say so: backups, and the compaction of history. Each run
 * is a `reckon` command in a process of its own, at low priority: it reads all that is new of the log, compresses and encrypts
 * it, which beside the API server's own work would be felt in every answer.
 */
import { NAMESPACES } from '#events/collections.ts'
import { timestamp } from '#events/meta/time.ts'
import { spawn, type ChildProcess } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { isAbsolute, join } from 'node:path'
import * as Effect from 'effect/Effect'
import * as Layer from 'effect/Layer'
import { noticeDraft } from '#events/core/notice.ts'
import type { UserInfo } from '#events/Intent.ts'
import { durationOf, type ClusterConfig } from '#ops/home.ts'
import { sleep, systemClock, type Timer } from '#services/platform/Clock.ts'
import { ApiServer } from './apiserver.ts'
import { Place } from './place.ts'

export interface Chore {
  /** In notices: `Backup`, `Compaction`. */
  readonly name: string
  readonly words: readonly string[]
  /** Infinity: once, or again after a failure. */
  readonly everyMs: number
  readonly firstMs: number
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const ONCE = Number.POSITIVE_INFINITY
const SHORTEST_BACKUP = MINUTE
/** After a failure. */
const RETRY = 10 * MINUTE
const MAIN = join(import.meta.dirname, '../main.ts')
/** Of the kinds that live in EVENTS. */
const SELF: UserInfo = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }
/** Of what a run says, the end is kept. */
const SAID = 4_096
/** A run that does not end when it is told to is ended. */
const PATIENCE_MS = 5_000

/** What the settings ask for. Throws for settings that make no sense, naming them. Plain. */
export const choresOf = ({ settings = {} }: Pick<ClusterConfig, 'settings'>): readonly Chore[] => {
  const chores: Chore[] = []
  const { backup, keepHistory } = settings
  if (backup !== undefined) {
    const { folder, every, passphraseFile } = backup
    if (typeof folder !== 'string' || !isAbsolute(folder)) throw new Error('settings.backup.folder: must be an absolute path')
    if (passphraseFile !== undefined && !isAbsolute(passphraseFile))
      throw new Error('settings.backup.passphraseFile: must be an absolute path')
    const everyMs = durationOf(every ?? '', 'backup.every')
    if (everyMs < SHORTEST_BACKUP || everyMs === Number.POSITIVE_INFINITY)
      throw new Error(`settings.backup.every: "${every}" is not usable: at least 1m`)
    chores.push({
      name: 'Backup',
      words: ['backup', folder, ...(passphraseFile === undefined ? [] : ['--encrypt', '--passphrase-file', passphraseFile])],
      everyMs,
      firstMs: 10_000
    })
  }
  const keepMs = durationOf(keepHistory ?? 'forever', 'keepHistory')
  if (keepMs !== Number.POSITIVE_INFINITY) {
    // Often enough that what is kept is not much more than what is asked for.
    chores.push({
      name: 'Compaction',
      words: ['log', 'compact'],
      everyMs: Math.min(DAY, Math.max(10 * MINUTE, keepMs / 20)),
      firstMs: 10 * MINUTE
    })
  }
  return chores
}

export interface ChoresOptions {
  readonly home: string
  readonly chores: readonly Chore[]
  readonly onFailed: (chore: Chore, why: string) => void
  /** After a failure. */
  readonly onMended: (chore: Chore) => void
}

/** One after the other: each wants the log for itself. */
export class Chores {
  readonly #options: ChoresOptions
  readonly #timers = new Set<Timer>()
  readonly #failing = new Set<string>()
  #queue: Promise<void> = Promise.resolve()
  #child: ChildProcess | undefined
  #stopped = false

  constructor(options: ChoresOptions) {
    this.#options = options
  }
  start(): void {
    for (const chore of this.#options.chores) this.#schedule(chore, chore.firstMs)
  }
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) timer.cancel()
    this.#child?.kill('SIGTERM')
    await Promise.race([this.#queue, sleep(systemClock, PATIENCE_MS)])
    this.#child?.kill('SIGKILL')
  }
  #schedule(chore: Chore, ms: number): void {
    const timer = systemClock.after(ms, () => {
      this.#timers.delete(timer)
      this.#queue = this.#queue.then(() => this.#do(chore))
    })
    this.#timers.add(timer)
  }
  async #do(chore: Chore): Promise<void> {
    if (this.#stopped) return
    const why = await this.#run(chore.words)
    if (this.#stopped) return
    if (why !== undefined) {
      this.#failing.add(chore.name)
      this.#options.onFailed(chore, why)
    } else if (this.#failing.delete(chore.name)) this.#options.onMended(chore)
    const next = why === undefined ? chore.everyMs : Math.min(chore.everyMs, RETRY)
    if (next !== Number.POSITIVE_INFINITY) this.#schedule(chore, next)
  }
  /** What went wrong, or undefined. */
  #run(words: readonly string[]): Promise<string | undefined> {
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [MAIN, ...words], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, RECKON_HOME: this.#options.home }
      })
      this.#child = child
      let said = ''
      child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-SAID)))
      child.on('error', (error) => resolve(error.message))
      child.on('exit', (code, signal) => {
        this.#child = undefined
        resolve(
          code === 0 ? undefined : (said.trim().split('\n').at(-1) ?? '').replace(/^error: /, '') || `it ended with ${code ?? signal}`
        )
      })
      if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
    })
  }
}

/** Runs them; who fails is told in the log, and as a Warning about the node. */
export const chores = (asked: readonly Chore[]) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { home, config, warn } = yield* Place
      const { views, decider } = yield* ApiServer
      const { floor, begins } = views.of(NAMESPACES)
      const end: Chore = { name: 'Compaction', words: ['log', 'compact', '--before', String(floor)], firstMs: MINUTE, everyMs: ONCE }
      // One that was cut short is ended, whether or not the settings ask for more.
      const wanted = [...asked, ...(floor > 0 && begins <= floor ? [end] : [])]
      const tell = (type: 'Normal' | 'Warning', reason: string, message: string): void => {
        const { nodeName } = config
        const time = timestamp(Date.now())
        const about = { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName, uid: nodeName } }
        const draft = noticeDraft(views, { about, type, reason, message, component: 'reckon', host: nodeName, time })
        decider.submit({ ...draft, id: crypto.randomUUID(), source: 'reckon' }, SELF).catch((error: unknown) => warn('chores', error))
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const running = new Chores({
            home,
            chores: wanted,
            onFailed: ({ name, words }, why) => {
              warn(`reckon ${words[0]}`, new Error(why))
              tell('Warning', `${name}Failed`, why)
            },
            onMended: ({ name }) => tell('Normal', `${name}Completed`, `${name} works again`)
          })
          running.start()
          return running
        }),
        (running) => Effect.promise(() => running.stop())
      )
    })
  )
