/**
 * Follows a stream into an index of the past: checked as views check it, from where the index stands, so that a start costs what
 * was written meanwhile. An index that does not fit the log is dropped and made anew; a log that does not fit itself is told.
 */
import { isCompaction } from '#events/compaction.ts'
import { decodeFacts, UnreadableEvent } from '#events/Event.ts'
import { LogDamaged, type Damage, type Log, type LogEntry, type LogState, type Subscription } from '#events/Log.ts'
import { keyOfSubject, type StreamName } from '#events/Subject.ts'
import { sleep, type Clock, type Timer } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import type { PastStore, Reached, Taken } from '#services/platform/past/PastIndex.ts'

export interface HistorianOptions {
  readonly log: Log
  readonly store: PastStore
  readonly clock: Clock
  /** Made anew for each reading of the log, behind a place or from the beginning. Without it what can't be read is passed over. */
  readonly integrity?: (from: Place | undefined) => Integrity
  /** Entries leave the stream by themselves. */
  readonly expires: boolean
  /**
   * Between two steps, milliseconds, while what comes is new: each costs as much as some ten entries, for who writes it and for who is
   * told of it. What comes after a pause is taken at once. 0 unless told.
   */
  readonly gatherMs?: number
  /** Asked while the index is empty: it may be given what stood somewhere, to go on from there. False: nothing is to be indexed. */
  readonly seed?: (state: LogState) => Promise<boolean>
  /** Told after each step forward, with the place. `caughtUp`: what comes now is new. */
  readonly onReached?: (reached: Reached, caughtUp: boolean) => void
  /** The log is not what it was: nothing more is indexed. */
  readonly onDamaged: (damage: Damage) => void
  readonly onError: (error: unknown) => void
}

const RETRY_MS = 1_000
/** How often an expiring stream is asked what is left of it: what has left it takes room, and nothing else. */
const EXPIRY_MS = 600_000
/** Entries, and characters of them, in one step while there is more to read. */
const TOGETHER = 1_000
const TOGETHER_BYTES = 4 * 1024 * 1024
/** Between two slices of giving back room: what comes in has its turn. */
const TRIM_MS = 20

export class Historian {
  readonly #options: HistorianOptions
  readonly #ending = new AbortController()
  #subscription: Subscription | undefined
  #end: (() => void) | undefined
  #trimming: Timer | undefined
  #gathering: Timer | undefined
  #expiry: Timer | undefined
  /** The last reading began at the beginning: what does not fit then is not the index. */
  #anew = false
  /** Where history began when this reading did. */
  #floor = 0

  constructor(options: HistorianOptions) {
    this.#options = options
  }
  start(): void {
    void this.#run()
  }
  stop(): void {
    this.#ending.abort()
    this.#subscription?.close()
    this.#trimming?.cancel()
    this.#gathering?.cancel()
    this.#expiry?.cancel()
    this.#end?.()
  }
  /** The index can't be read: it is made anew. */
  remake(): void {
    this.#options.store.clear()
    this.#subscription?.close()
    this.#end?.()
  }
  get #stopped(): boolean {
    return this.#ending.signal.aborted
  }
  async #run(): Promise<void> {
    const { clock, onError } = this.#options
    while (!this.#stopped) {
      try {
        await this.#read()
      } catch (error) {
        if (this.#stopped) return
        if (error instanceof LogDamaged) {
          const damage = await this.#judged(error)
          if (damage !== undefined) return this.#options.onDamaged(damage)
          continue
        }
        onError(error)
      }
      if (!this.#stopped) await sleep(clock, RETRY_MS, this.#ending.signal)
    }
  }
  /** Damage, when it is the log's own: not that of an index that was gone on from, and not that history was compacted meanwhile. */
  async #judged({ damage }: LogDamaged): Promise<Damage | undefined> {
    const now = await this.#options.log.state().catch(() => undefined)
    if (now !== undefined && now.floor > this.#floor) return undefined
    // Only hashes that were gone on from can be wrong by the index's fault.
    if (this.#anew || damage.kind !== 'altered') return damage
    this.#options.store.clear()
    return undefined
  }
  /** Reads on until something ends it, which it rejects with. */
  async #read(): Promise<void> {
    const { log, store, integrity: checking, expires } = this.#options
    const from = await this.#seeded(await log.state())
    if (from === undefined) return this.stop()
    this.#anew = from.sequence === 0
    // What is remembered is looked at before the log is asked how far it is: in between it only grows.
    const integrity = checking?.(from.chain)
    const state = await log.state()
    if (this.#stopped) return
    this.#floor = state.floor
    integrity?.begin(state)
    if (from.sequence > 0) this.#raise(state)
    if (expires && this.#expiry === undefined) this.#watchExpiry()
    const first = from.sequence > 0 ? Math.max(from.sequence + 1, expires ? state.first : 1) : state.floor > 0 ? 1 : state.first
    let seen = from.sequence
    let [taken, bytes, caughtUp]: [Taken[], number, boolean] = [[], 0, false]
    let steppedAt = Number.NEGATIVE_INFINITY
    const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
    const guarded = (work: () => void): void => {
      try {
        work()
      } catch (error) {
        this.#subscription?.close()
        reject(error)
      }
    }
    const step = (): void => {
      this.#gathering?.cancel()
      this.#gathering = undefined
      steppedAt = this.#options.clock.now()
      const chain = integrity?.place
      const together = taken
      ;[taken, bytes] = [[], 0]
      const reached: Reached = { sequence: seen, ...(chain?.hash === undefined ? {} : { chain }) }
      store.take(together, reached)
      this.#options.onReached?.(reached, caughtUp)
    }
    /** A step on disk costs as much as ten entries: while there is much to read, many go together. */
    const take = (entries: readonly LogEntry[], last: number): void => {
      seen = Math.max(seen, last)
      for (const entry of entries) {
        taken.push({ entry, event: isEvent(log.stream as StreamName, entry, integrity) })
        bytes += entry.text.length
      }
      if (taken.length >= TOGETHER || bytes >= TOGETHER_BYTES) return step()
      if (!caughtUp) return
      const { clock, gatherMs = 0 } = this.#options
      const rest = Math.min(gatherMs, steppedAt + gatherMs - clock.now())
      if (rest <= 0) return step()
      this.#gathering ??= clock.after(rest, () => guarded(step))
    }
    this.#end = resolve
    this.#subscription = log.follow({
      from: first,
      onEntries: (entries) =>
        guarded(() => {
          take(entries, entries.at(-1)?.sequence ?? 0)
          if (!entries.some(({ subject }) => isWordOfCompaction(log.stream as StreamName, subject))) return
          if (taken.length > 0) step()
          this.#look()
        }),
      onCaughtUp: (last) =>
        guarded(() => {
          caughtUp = true
          seen = Math.max(seen, last)
          step()
          this.#raise(state)
          this.#look()
        }),
      onFailed: reject
    })
    await ended.finally(() => {
      this.#gathering?.cancel()
      this.#gathering = undefined
      this.#subscription?.close()
    })
  }
  async #seeded(state: LogState): Promise<Reached | undefined> {
    const { store, seed } = this.#options
    const from = this.#begin(state)
    if (seed === undefined || from.sequence > 0) return from
    return (await seed(state)) && !this.#stopped ? store.begin(state.identity ?? '') : undefined
  }
  /** What was compacted away from under the index, or cut off behind it, is not gone on from. */
  #begin({ identity = '', last, floor }: LogState): Reached {
    const { store, expires } = this.#options
    const reached = store.begin(identity)
    if (reached.sequence === 0 || (reached.sequence <= last && (expires || reached.sequence >= floor))) return reached
    store.clear()
    return store.begin(identity)
  }
  #look(): void {
    if (this.#options.expires) return
    this.#options.log
      .state()
      .then((state) => this.#stopped || this.#raise(state))
      .catch(this.#options.onError)
  }
  #raise({ floor, base }: LogState): void {
    const { store, expires } = this.#options
    if (expires) return
    if (floor > Math.max(store.floor, store.begins ?? 0) && floor <= store.lastSequence) store.raise(floor, base?.time ?? 0)
    this.#trim()
  }
  #trim(): void {
    this.#trimming?.cancel()
    try {
      if (!this.#options.store.trim()) return
    } catch (error) {
      return this.#options.onError(error)
    }
    this.#trimming = this.#options.clock.after(TRIM_MS, () => this.#trim())
  }
  #watchExpiry(): void {
    const { log, store, clock, onError } = this.#options
    this.#expiry = clock.after(EXPIRY_MS, () => {
      log
        .state()
        .then(({ first }) => {
          if (this.#stopped) return
          store.expire(first)
          this.#trim()
        })
        .catch(onError)
        .finally(() => this.#stopped || this.#watchExpiry())
    })
  }
}

const isWordOfCompaction = (stream: StreamName, subject: string): boolean => {
  const key = subject.includes('compactions') ? keyOfSubject(stream, subject) : undefined
  return key !== undefined && isCompaction(key)
}

const isEvent = (stream: StreamName, entry: LogEntry, integrity: Integrity | undefined): boolean => {
  if (integrity !== undefined) return integrity.take(entry) === 'event'
  try {
    decodeFacts(stream, entry)
    return true
  } catch (error) {
    if (!(error instanceof UnreadableEvent)) throw error
    return false
  }
}
