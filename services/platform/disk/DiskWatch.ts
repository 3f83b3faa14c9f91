/**
 * Watches the log's disk: says how much room there is, gives the reserve up and takes it back, and has the log's server
 * started again when it was stopped by a full disk and there is room once more, which it does not notice by itself.
 */
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Appends } from '#services/platform/jetstream/Appends.ts'
import type { Disk, Reserve } from './Disk.ts'
import {
  amount,
  atLeast,
  reserveAction,
  roomOf,
  thresholdsOf,
  wordsOf,
  type DiskSettings,
  type DiskUsage,
  type Room,
  type Thresholds
} from './decide.ts'

/** How often the disk is looked at: more often when it is short. */
const LOOK_MS = 1_000
const SHORT_LOOK_MS = 250
const HARDLY_ANYTHING = 1024 * 1024
/** Between restarts of a server that has stored nothing since the last one; the last one repeats. */
const RESTARTS_MS = [0, 2_000, 5_000, 10_000, 30_000]

export interface DiskState {
  readonly room: Room
  readonly usage: DiskUsage
  readonly thresholds: Thresholds
  /** Bytes of the reserve. */
  readonly held: number
  /** Why nothing can be written, when that is so. */
  readonly fault?: string
}

export interface DiskWatchOptions {
  readonly disk: Disk
  readonly reserve: Reserve
  readonly clock: Clock
  readonly settings?: DiskSettings
  readonly appends: Appends
  /** True when the log's server has said, since it was started, that it could not write. */
  readonly complaint: () => boolean
  /** True when the log answers questions: one that takes no writes and answers is stuck; one that does neither is away. */
  readonly answers: () => Promise<boolean>
  /** Ends the server, and has it started again. */
  readonly restart: (why: string) => Promise<void>
  readonly report: (line: string) => void
}

export class DiskWatch {
  readonly #options: DiskWatchOptions
  readonly #listeners = new Set<(state: DiskState) => void>()
  #state: DiskState | undefined
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #stopped = false
  /** Writes that were not stored when the log was first seen to answer questions all the same. */
  #unanswered: number | undefined
  #restarts = 0
  #restarted = Number.NEGATIVE_INFINITY

  constructor(options: DiskWatchOptions) {
    this.#options = options
  }
  /** Undefined until the disk was looked at once. */
  get state(): DiskState | undefined {
    return this.#state
  }
  /** Called when the room changes. */
  onChange(listener: (state: DiskState) => void): void {
    this.#listeners.add(listener)
  }
  /** Looks once, then now and then until `stop`. */
  async start(): Promise<void> {
    await this.look()
    this.#next()
  }
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }
  #next(): void {
    if (this.#stopped) return
    this.#timer = this.#options.clock.after(
      this.#state === undefined || this.#state.room === 'plenty' ? LOOK_MS : SHORT_LOOK_MS,
      () => void this.look().finally(() => this.#next())
    )
  }
  /** Looks at the disk and does what is to be done; never rejects. One look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) =>
        this.#options.report(`the log's disk can't be looked at: ${error instanceof Error ? error.message : String(error)}`)
      )
      .finally(() => (this.#looking = undefined))
    return this.#looking
  }
  async #look(): Promise<void> {
    const { disk, reserve, settings, appends } = this.#options
    if (appends.last === 'stored') this.#restarts = 0
    const stuck = await this.#isStuck()
    let usage = await disk.usage()
    const thresholds = thresholdsOf(usage.total, settings)
    if (await this.#keepReserve(usage, thresholds, stuck)) usage = await disk.usage()
    // With hardly anything left it is tried rather than reckoned whether anything can be written: a server can't even start then.
    const fault = stuck || (usage.free < HARDLY_ANYTHING && reserve.held() === 0) ? await this.#faultOf() : undefined
    if (stuck && fault === undefined) await this.#recover()
    const room = fault === undefined ? roomOf(this.#state?.room ?? 'plenty', usage, thresholds, reserve.held()) : 'none'
    const before = this.#state
    this.#state = { room, usage, thresholds, held: reserve.held(), ...(fault === undefined ? {} : { fault }) }
    if (before?.room === room || (before === undefined && room === 'plenty')) return
    this.#options.report(
      `${wordsOf(room, thresholds)} (${amount(usage.free)} of ${amount(usage.total)} free${fault === undefined ? '' : `: ${fault}`})`
    )
    for (const listener of this.#listeners) listener(this.#state)
  }
  async #isStuck(): Promise<boolean> {
    const { appends, complaint, answers } = this.#options
    if (appends.last === 'full' || complaint()) return true
    if (appends.failures < 2 || !(await answers())) {
      this.#unanswered = undefined
      return false
    }
    // Those of before it answered may be of a time when it was away (frozen, restarted): it is stuck when there are more.
    this.#unanswered ??= appends.failures
    return appends.failures > this.#unanswered
  }
  /** True when what is free is something else now. */
  async #keepReserve(usage: DiskUsage, thresholds: Thresholds, stuck: boolean): Promise<boolean> {
    const { reserve, report } = this.#options
    const held = reserve.held()
    switch (reserveAction(usage, thresholds, held, stuck)) {
      case 'keep':
        return false
      case 'give':
        await reserve.give()
        report(`the log's disk is full: the ${amount(held)} held back for this are given up`)
        return true
      case 'take':
        try {
          await reserve.take(thresholds.reserve)
          // A new cluster's is nothing to tell.
          if (this.#state !== undefined && atLeast(this.#state.room, 'low'))
            report(`${amount(thresholds.reserve)} of the log's disk are held back again`)
        } catch {
          // Somebody was faster; what is free is looked at again soon.
        }
        return true
    }
  }
  /** Why nothing can be written, or undefined. */
  async #faultOf(): Promise<string | undefined> {
    try {
      await this.#options.disk.tryOut()
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  /** A server that has met the end of its disk, or one that was read-only, takes no writes until it is started again. */
  async #recover(): Promise<void> {
    const { restart, clock, appends } = this.#options
    if (clock.now() - this.#restarted < (RESTARTS_MS[Math.min(this.#restarts, RESTARTS_MS.length - 1)] as number)) return
    this.#restarts += 1
    this.#restarted = clock.now()
    await restart('it could not write, and can now')
    appends.reset()
  }
}
