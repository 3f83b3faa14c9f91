/** The keyframes of one stream: which is to be believed, when another one is made, which go. */
import type { LogState } from '#events/Log.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Seal } from '#services/platform/ledger/Seal.ts'
import { decodeKeyframe, encodeKeyframe, misfitOf, type Keyframe } from '#services/platform/past/Keyframe.ts'
import { superfluous, type Keyframes } from '#services/platform/past/Keyframes.ts'
import { tallyOf } from '#services/platform/past/Tally.ts'
import type { PastStore, Reached } from '#services/platform/past/PastIndex.ts'

export interface KeyframeStoreOptions {
  readonly stream: string
  readonly keyframes: Keyframes
  readonly seal: Seal
  readonly clock: Clock
  /** A keyframe is not believed; what it was for goes on without it. */
  readonly onRefused: (sequence: number, why: string) => void
}

/** What an index holds is not what was folded into it: it has rotted. */
export class IndexAltered extends Error {
  override readonly name = 'IndexAltered'
}

/** So many times as long as one took, none is made. */
const REST = 10

export interface Keeping {
  readonly store: PastStore
  readonly reached: Reached
  readonly every: number
  readonly state: () => Promise<LogState>
}

type Making = Pick<Keeping, 'store' | 'state'> & Pick<Keyframe, 'sequence' | 'hash'> & { readonly tally: Uint8Array | undefined }

export class KeyframeStore {
  readonly #options: KeyframeStoreOptions
  /** The last one there is; undefined before it was looked. */
  #last: number | undefined
  /** Milliseconds: before this none is made, so that they take no more than a part of the time. */
  #notBefore = 0

  constructor(options: KeyframeStoreOptions) {
    this.#options = options
  }
  /** The newest one from `from` on, up to a place, that fits this log; those that do not are refused on the way. */
  async newest(state: LogState, from: number, upTo = Number.POSITIVE_INFINITY): Promise<Keyframe | undefined> {
    const { stream, keyframes, seal } = this.#options
    const found = await keyframes.list(stream)
    for (const { sequence } of found.toReversed()) {
      if (sequence > upTo) continue
      if (sequence < Math.max(from, state.floor)) return undefined
      const read = await this.#read(sequence)
      const keyframe = typeof read === 'string' ? undefined : await decodeKeyframe(read, seal)
      const misfit = keyframe === undefined ? undefined : misfitOf(keyframe, { stream, sequence }, state)
      if (keyframe !== undefined && misfit === undefined) return keyframe
      await this.refuse(sequence, misfit ?? (typeof read === 'string' ? read : "it does not have this cluster's seal, or is damaged"))
    }
    return undefined
  }
  /** What is there, or why it can't be read. A connection that is lost is nothing against it. */
  async #read(sequence: number): Promise<Uint8Array | string> {
    const { stream, keyframes } = this.#options
    try {
      return (await keyframes.get(stream, sequence)) ?? 'it is gone'
    } catch (error) {
      await keyframes.list(stream)
      return error instanceof Error ? error.message : String(error)
    }
  }
  /** It is told, and taken away: it would be refused each time. */
  async refuse(sequence: number, why: string): Promise<void> {
    const { stream, keyframes, onRefused } = this.#options
    onRefused(sequence, why)
    if (this.#last === sequence) this.#last = undefined
    await keyframes.remove(stream, sequence)
  }
  /**
   * Makes one of the place the index has reached, when the last one is `every` entries or more before it. Those not needed go. Rejects
   * with IndexAltered when what the index holds is not what was folded: a keyframe is the present for who starts at it.
   */
  async keep({ store, reached: { sequence, chain }, every, state }: Keeping): Promise<void> {
    const { stream, keyframes, clock } = this.#options
    const began = clock.now()
    const { tally } = store
    if (store.lastSequence !== sequence) return
    if (chain?.hash === undefined || chain.sequence !== sequence || began < this.#notBefore) return
    if (this.#last === undefined) this.#last = (await keyframes.list(stream)).at(-1)?.sequence ?? 0
    // One of behind the log's end is of a log that lost its end: it counts for nothing, and goes.
    if (this.#last <= sequence && sequence - this.#last < every) return
    // One that can't be made is not tried again with each entry that comes.
    this.#last = sequence
    try {
      await this.#make({ store, sequence, hash: chain.hash, state, tally })
    } finally {
      this.#notBefore = clock.now() + REST * (clock.now() - began)
    }
  }
  async #make({ store, sequence, hash, state, tally }: Making): Promise<void> {
    const { stream, keyframes, seal, clock } = this.#options
    const { identity = '', epoch, quarantined } = await state()
    const { making } = store
    const standing = await store.standingAt(sequence)
    const time = store.timeOf(sequence)
    const now = await state()
    // What it was read from may have been begun anew, or compacted up to a later place, meanwhile.
    if (store.making !== making || store.lastSequence < sequence || time === undefined) return
    if (now.floor > sequence || now.identity !== identity || now.epoch !== epoch) return
    if (tally !== undefined && Buffer.compare(tallyOf(standing).bytes, tally) !== 0)
      throw new IndexAltered(`${stream}: the index does not hold what was folded into it up to ${sequence}; it is made anew`)
    const aside = quarantined.filter((one) => one <= sequence)
    const keyframe: Keyframe = { stream, identity, epoch, quarantined: aside, sequence, hash, time, standing }
    await keyframes.put(stream, sequence, await encodeKeyframe(keyframe, seal))
    const kept = await keyframes.list(stream)
    const ahead = kept.filter((one) => one.sequence > now.last).map((one) => one.sequence)
    for (const one of new Set([...ahead, ...superfluous(kept, now.floor, clock.now())])) await keyframes.remove(stream, one)
  }
}
