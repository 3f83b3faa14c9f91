/** Where a stream begins, as a view sees it: entries leave by themselves, where they are kept for a time only, or by a compaction. */
import type { LogState } from '#events/Log.ts'
import type { Clock, Timer } from './Clock.ts'

/** How often an expiring stream is asked what is left of it. */
const EXPIRY_MS = 10_000

export interface RecedingOptions {
  readonly clock: Clock
  state(): Promise<LogState>
  /** Entries leave the stream by themselves; of one that keeps everything nothing does, but by compaction. */
  readonly expires: boolean
  /** Nothing is folded any more. */
  failed(): boolean
  /** Subjects whose last entry was before `first` are empty now. */
  forget(first: number): void
  /** Everything up to here is folded. */
  folded(): number
  /** What stands before `first`, with everything folded that was there with it, has left the stream by itself. */
  leave(first: number): void
}

export class Receding {
  readonly #options: RecedingOptions
  #first = 1
  /** Where the stream began and ended, at a time when not all of that was folded. */
  #seen: Pick<LogState, 'first' | 'last'> | undefined
  #expiry: Timer | undefined
  #compaction: Timer | undefined
  /** History before this is compacted; 0 when all of it is there. */
  floor = 0
  /** When that was, milliseconds. */
  floorTime = 0
  /** Where the stream itself begins. */
  begins = 1

  constructor(options: RecedingOptions) {
    this.#options = options
  }
  /** The stream as it was before it was read. */
  begin({ first }: LogState): void {
    this.#first = first
  }
  /** It is read up to its end. */
  start(state: LogState): void {
    this.#raise(state)
    if (this.#options.expires) this.#watchExpiry()
  }
  close(): void {
    this.#expiry?.cancel()
    this.#compaction?.cancel()
  }
  async look(): Promise<void> {
    this.#raise(await this.#options.state())
  }
  #raise({ first, floor, base }: LogState): void {
    if (this.#options.expires || floor === 0) return
    if (floor > this.floor) [this.floor, this.floorTime] = [floor, base?.time ?? 0]
    if (first <= this.begins) return
    this.begins = first
    this.#options.forget(first)
  }
  /** After word of a compaction: looks until what was compacted has left the stream. */
  watchCompaction(): void {
    this.#compaction?.cancel()
    const again = (): void => {
      if (!this.#options.failed() && this.begins <= this.floor)
        this.#compaction = this.#options.clock.after(EXPIRY_MS, () => this.watchCompaction())
    }
    this.look().then(again, again)
  }
  /** Resolves to where the stream begins now. */
  async expire(): Promise<number> {
    const { expires, state, failed, folded } = this.#options
    // Of a stream that keeps everything nothing leaves by itself: a beginning that is gone is damage, and nothing to follow.
    if (!expires) return 1
    const { first, last } = await state()
    if (failed()) return this.#first
    // An object's entry is gone as well when a newer one has taken its place, which is stored and perhaps not folded yet: only what is
    // there without it is gone. Who follows a part of the stream is past its end when something comes from behind it.
    if (this.#seen !== undefined && folded() >= this.#seen.last) {
      this.#leave(this.#seen.first)
      this.#seen = undefined
    }
    if (folded() >= last) this.#leave(first)
    else if (first > this.#first) this.#seen ??= { first, last }
    return first
  }
  #leave(first: number): void {
    if (first <= this.#first) return
    this.#first = first
    this.#options.leave(first)
  }
  #watchExpiry(): void {
    this.#expiry = this.#options.clock.after(EXPIRY_MS, () => {
      // A stream that can't be asked now is asked again.
      void this.expire()
        .catch(() => {})
        .finally(() => this.#options.failed() || this.#watchExpiry())
    })
  }
}
