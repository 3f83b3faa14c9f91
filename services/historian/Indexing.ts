/**
 * One stream's index of the past, and the keyframes beside it. While the index is far behind (a new disk, one that was damaged), a brief
 * one that begins at the newest keyframe serves what came since; the whole one is made meanwhile, and then takes its place.
 *
 * Two indexes rather than one that is filled from both ends: each is written in order, so that all there is to say of
 * kills, compaction, expiry and damage is said once. What comes in meanwhile is indexed twice.
 */
import type { Damage, Log, LogState } from '#events/Log.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import type { PastStore, Reached } from '#services/platform/past/PastIndex.ts'
import { Historian } from './Historian.ts'
import { IndexAltered, type KeyframeStore } from './KeyframeStore.ts'

/** Where a brief index is kept. */
export interface Brief<Store extends PastStore> {
  open(): Store
  /** What is left of one, by this process or another. */
  remove(): void
}

export interface IndexingOptions<Store extends PastStore> {
  readonly log: Log
  readonly clock: Clock
  readonly expires: boolean
  readonly integrity: (from: Place | undefined) => Integrity
  readonly whole: Store
  readonly brief: Brief<Store>
  readonly keyframes: KeyframeStore
  /** A keyframe each so many events; undefined: another process makes them. */
  readonly every?: number
  /** A brief index is made for more entries than these. NEAR unless told. */
  readonly near?: number
  /** Between two steps while what comes is new. */
  readonly gatherMs?: number
  /** Which index is to be read, and how far it is; `filled`: how far the whole one is, while that is not it. */
  readonly onReached: (serving: Store, sequence: number, filled?: number) => void
  readonly onDamaged: (damage: Damage) => void
  readonly onError: (error: unknown) => void
}

/** Fewer entries are indexed as soon as a brief index is made. */
export const NEAR = 20_000
/** So long who reads a brief index may be at it after another one was named. */
const LINGER_MS = 5_000

export class Indexing<Store extends PastStore> {
  readonly #options: IndexingOptions<Store>
  readonly #historian: Historian
  #brief: { readonly store: Store; readonly historian: Historian } | undefined
  /** How far the whole index is. */
  #filled = 0
  /** The keyframe that the brief index began with. */
  #seeded: number | undefined
  /** What it came to was found to be the chain's: it is read from now on. */
  #believed = false
  #making = false
  #lingering: Timer | undefined
  #stopped = false

  constructor(options: IndexingOptions<Store>) {
    this.#options = options
    const { log, whole, clock, integrity, expires, gatherMs = 0, onDamaged, onError } = options
    const onReached = (reached: Reached, caughtUp: boolean): void => this.#onWhole(reached, caughtUp)
    this.#historian = new Historian({ log, store: whole, clock, integrity, expires, gatherMs, onReached, onDamaged, onError })
  }
  get serving(): Store {
    return (this.#believed ? this.#brief?.store : undefined) ?? this.#options.whole
  }
  start(): void {
    this.#historian.start()
    void this.#shorten().catch((error: unknown) => this.#stopped || this.#options.onError(error))
  }
  stop(): void {
    this.#stopped = true
    this.#historian.stop()
    this.#brief?.historian.stop()
    this.#lingering?.cancel()
  }
  /** The whole index was begun anew: what is read is another one. */
  made(): void {
    this.#filled = 0
    this.#tell(this.serving.lastSequence)
  }
  /** What is read now can't be. */
  remake(): void {
    if (!this.#believed) this.#historian.remake()
    else this.#end()
  }
  async #shorten(): Promise<void> {
    const { log, whole, brief, clock, integrity, expires, gatherMs = 0, near = NEAR, onError } = this.#options
    // One of before may be older than the newest keyframe, and is made in less time than it is looked through.
    brief.remove()
    const { last, identity = '' } = await log.state()
    if (this.#stopped) return
    this.#filled = Math.max(this.#filled, whole.begin(identity).sequence)
    if (last - this.#filled <= near) return
    const store = brief.open()
    const historian = new Historian({
      log,
      store,
      clock,
      integrity,
      expires,
      gatherMs,
      seed: (state) => this.#seed(store, state),
      onReached: (reached, caughtUp) => this.#onBrief(store, reached, caughtUp),
      // Of a log that is not what it was, the whole index tells, which has read it from its beginning.
      onDamaged: () => this.#end(),
      onError
    })
    this.#brief = { store, historian }
    historian.start()
  }
  /** From the newest keyframe that can be trusted and spares some reading. */
  async #seed(store: Store, state: LogState): Promise<boolean> {
    const { keyframes, expires, near = NEAR } = this.#options
    const before = this.#seeded
    this.#seeded = undefined
    this.#believed = false
    this.#tell(this.#filled)
    // It was begun with before, and then the chain came to something else.
    if (before !== undefined) await keyframes.refuse(before, "its hash is not the chain's")
    const keyframe = await keyframes.newest(state, this.#filled + near)
    if (keyframe === undefined || this.#stopped || this.#brief?.store !== store) {
      if (this.#brief?.store === store) this.#end()
      return false
    }
    const standing = expires ? keyframe.standing.filter(({ version }) => version >= state.first) : keyframe.standing
    this.#seeded = keyframe.sequence
    store.begin(state.identity ?? '')
    store.seed({ ...keyframe, standing })
    return true
  }
  /** The whole index serves from now on. */
  #end(): void {
    if (this.#brief === undefined) return
    const { store, historian } = this.#brief
    historian.stop()
    this.#brief = undefined
    this.#seeded = undefined
    this.#believed = false
    this.#tell(this.#filled)
    this.#lingering = this.#options.clock.after(LINGER_MS, () => {
      store.close()
      this.#options.brief.remove()
    })
  }
  #onWhole(reached: Reached, caughtUp: boolean): void {
    this.#filled = reached.sequence
    const { store } = this.#brief ?? {}
    if (store !== undefined && (caughtUp || (this.#seeded !== undefined && this.#filled >= store.lastSequence))) this.#end()
    this.#tell(this.serving.lastSequence)
    if (this.#brief === undefined && caughtUp) this.#keep(reached)
  }
  #onBrief(store: Store, reached: Reached, caughtUp: boolean): void {
    if (this.#brief?.store !== store) return
    this.#believed ||= caughtUp
    this.#tell(reached.sequence)
    if (caughtUp) this.#keep(reached)
  }
  #tell(sequence: number): void {
    const { whole, onReached } = this.#options
    if (this.#brief === undefined || !this.#believed) onReached(whole, this.#filled)
    else onReached(this.#brief.store, sequence, this.#filled)
  }
  /** A keyframe of here, when it is time for one. Nobody waits for it. */
  #keep(reached: Reached): void {
    const { every, log, keyframes, onError } = this.#options
    if (every === undefined || this.#making || this.#stopped) return
    this.#making = true
    keyframes
      .keep({ store: this.serving, reached, every, state: () => log.state() })
      .catch((error: unknown) => {
        if (this.#stopped) return
        onError(error)
        if (error instanceof IndexAltered) this.remake()
      })
      .finally(() => (this.#making = false))
  }
}
