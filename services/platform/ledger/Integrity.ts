/**
 * Keeps one follower honest: every entry it takes is checked for its seal and linked into the chain, and the chain is
 * held against what the ledger remembers. What was acknowledged once can't be missing, other, or twice in the log without
 * being noticed here.
 */
import {
  LogDamaged,
  type Append,
  type Base as BaseMark,
  type Damage,
  type DamageKind,
  type LogEntry,
  type LogState,
  type Range
} from '#events/Log.ts'
import { Base } from '#projections/Base.ts'
import { anchorOf, Chain, textOfAnchor } from '#projections/Chain.ts'
import { countIn, textOfRanges } from '#services/platform/jetstream/metadata.ts'
import type { Ledger, Place } from './Ledger.ts'
import { CHAIN_HEADER, MAC_HEADER, sha256, type Seal } from './Seal.ts'

/** A mark is set whenever the sequence is a multiple of this. */
export const MARK_EVERY = 4_096

/** What an entry is to its reader. */
export type Verdict =
  /** Ours: to be folded. */
  | 'event'
  /** Not sealed by an API server of this cluster: passed over, and told. */
  | 'foreign'
  /** Stands where an entry was lost, or was put aside by a person: passed over. */
  | 'nothing'

export interface IntegrityOptions {
  readonly seal: Seal
  readonly ledger: Ledger
  /** Every entry of the stream is followed. Where that is not so there is no chain, and only the end is compared. */
  readonly whole: boolean
  /** Old entries leave the stream by themselves. */
  readonly expires: boolean
  /** Only what comes is read: the chain is taken up at the furthest place that is remembered. */
  readonly tail?: boolean
  /** A mark is set at multiples of this; and so much before the remembered end is always verified whole. MARK_EVERY unless told. */
  readonly markEvery?: number
  /** Everything up to here was read before, and the chain is taken up there. */
  readonly from?: Place
  /** Told once of each foreign entry. */
  readonly onForeign?: (entry: LogEntry) => void
}

export class Integrity {
  readonly #options: IntegrityOptions
  #state: LogState | undefined
  #chain: Chain | undefined
  #quarantined: ReadonlySet<number> = new Set()
  /** Marks and the remembered head, by sequence: what the chain must be there. */
  readonly #known = new Map<number, Uint8Array>()
  #agreed = 0
  /** Entries that are not sealed as they should be, since the last place that agreed. */
  #suspects: number[] = []
  #behind = 0
  /** What is read up to the floor, and what it must come to; undefined behind it. */
  #base: { readonly found: Base; readonly mark: BaseMark } | undefined
  /** Up to here only each subject's last entry is read; the chain begins behind it, at a place that is remembered. */
  #resumed: Place | undefined

  constructor(options: IntegrityOptions) {
    this.#options = options
  }
  /** Whether the stream has a chain, every entry of which comes by here. */
  get whole(): boolean {
    return this.#options.whole
  }
  get ledger(): Ledger {
    return this.#options.ledger
  }
  /**
   * Compares the stream's own account of itself with the ledger's. Throws LogDamaged. Returns where reading has to begin.
   * `newest`: of what is long verified, the reader needs each subject's last entry only (`newestUpTo`). `keyframe`: where it has them
   * of already: the chain is taken up there, if not before, and must come to its hash, and to all that is remembered behind it.
   */
  begin(state: LogState, newest = false, keyframe?: Required<Place>): number {
    const { ledger, whole, expires, tail = false, from } = this.#options
    const known = ledger.damage()
    if (known !== undefined) throw new LogDamaged(known)
    const { sequence } = ledger.head()
    if (state.identity !== ledger.identity)
      this.#fail(
        'replaced',
        [{ first: 1, last: sequence }],
        `the stream is not the one this cluster has written (its identity is ${state.identity ?? 'missing'}, not ${ledger.identity})`
      )
    if (state.last < sequence)
      this.#fail(
        'shorter',
        [{ first: state.last + 1, last: sequence }],
        `it ends at ${state.last}, but ${sequence} events were acknowledged`
      )
    const first = expires ? state.first : Math.min(state.first, state.floor + 1)
    const there = Math.max(0, state.last - first + 1) - countIn(state.losses, first, state.last)
    if (whole && state.messages < there)
      this.#fail(
        'hole',
        state.first > first ? [{ first, last: state.first - 1 }] : [],
        `${there - state.messages} of its ${there} events are missing`
      )
    this.#state = state
    this.#last = 0
    this.#agreed = 0
    this.#suspects = []
    this.#chain = undefined
    this.#base = undefined
    this.#known.clear()
    this.#quarantined = new Set(state.quarantined)
    this.#behind = sequence
    if (!whole) return state.first
    for (const { sequence: at, hash } of [...ledger.marks(), ledger.head()])
      if (hash !== undefined && at > state.floor) this.#known.set(at, hash)
    if (from?.hash !== undefined && from.sequence >= Math.max(state.floor, expires ? state.first - 1 : 0)) {
      const known = this.#known.get(from.sequence)
      this.#chain = new Chain(sha256, from.sequence, from.hash)
      this.#agreed = known === undefined ? 0 : from.sequence
      if (known !== undefined && Buffer.compare(known, from.hash) !== 0) this.#altered(from.sequence)
      return from.sequence
    }
    this.#resumed = newest ? this.#placeToResume(state) : undefined
    if (this.#resumed !== undefined && keyframe !== undefined) {
      const remembered = this.#known.get(keyframe.sequence)
      if (remembered !== undefined && Buffer.compare(remembered, keyframe.hash) !== 0) this.#altered(keyframe.sequence)
      this.#known.set(keyframe.sequence, keyframe.hash)
      if (keyframe.sequence < this.#resumed.sequence) this.#resumed = keyframe
    }
    if (this.#resumed !== undefined) {
      this.#chain = new Chain(sha256, this.#resumed.sequence, this.#resumed.hash)
      this.#agreed = this.#resumed.sequence
    }
    if (state.floor > 0) {
      this.#base = { found: new Base(), mark: this.#baseMark(state) }
      return 1
    }
    const head = ledger.head()
    // Where nothing leaves by itself, what is missing at the beginning is missing by somebody's word, and part of the chain.
    const tailed = tail && head.hash !== undefined
    if (this.#resumed !== undefined) return state.first
    if (!tailed && (!expires || state.first === 1)) this.#chain = new Chain(sha256)
    // Everything that is remembered has left the stream; what comes next follows on it all the same.
    else if (head.hash !== undefined && head.sequence === state.first - 1) this.#chain = new Chain(sha256, head.sequence, head.hash)
    return tailed ? Math.max(state.first, head.sequence) : state.first
  }
  /** Up to where each subject's last entry is enough; what stands behind it has to come whole. Undefined: all of it has to. */
  get newestUpTo(): number | undefined {
    return this.#resumed?.sequence
  }
  /**
   * The last mark that is some way before the remembered end: what was written last is what a crash damages. Reading from the
   * end itself would be a little faster, and would see nothing of it.
   */
  #placeToResume({ first, floor }: LogState): Place | undefined {
    const { ledger, expires, markEvery = MARK_EVERY } = this.#options
    // While history is being compacted, or after that was cut short, only the whole says whether all that is kept is there.
    if (floor > 0 && first <= floor) return undefined
    const lowest = expires ? first - 1 : floor
    return ledger
      .marks()
      .findLast(
        ({ sequence, hash }) => hash !== undefined && sequence <= ledger.head().sequence - markEvery && sequence > 0 && sequence >= lowest
      )
  }
  /** What must be left up to the floor, as it was noted when it was raised. */
  #baseMark({ floor, base }: LogState): BaseMark {
    const noted = this.#options.ledger.floors().find((one) => one.floor === floor) ?? base
    if (noted === undefined)
      return this.#fail(
        'altered',
        [{ first: 1, last: floor }],
        `history was compacted up to ${floor}, and what is kept of it was noted nowhere`
      )
    if (base?.digest !== noted.digest || base.hash !== noted.hash)
      this.#fail('altered', [{ first: 1, last: floor }], `what it says of its own beginning, at ${floor}, is not what was noted`)
    return noted
  }
  /** What an entry is. Throws LogDamaged when the chain up to it is not what it was. */
  take(entry: LogEntry): Verdict {
    const { seal, ledger, onForeign } = this.#options
    const { sequence, subject, headers } = entry
    const digest = seal.digest(ledger.stream, entry)
    const sealed = seal.verifies(digest, headers[MAC_HEADER]) || sequence < (this.#state?.sealedFrom ?? 1)
    if (sequence > (this.#state?.floor ?? 0)) this.#beginAtFloor()
    const resumed = sequence <= (this.#resumed?.sequence ?? 0)
    if (this.#base === undefined) {
      if (!resumed) this.#link(sequence, digest)
    } else {
      this.#last = sequence
      if (sealed && headers['reckon-lost'] !== 'true' && !this.#quarantined.has(sequence))
        this.#base.found.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
    }
    if (!sealed && this.#base === undefined && !resumed) this.#suspects.push(sequence)
    const anchor = sealed && !resumed ? anchorOf(headers[CHAIN_HEADER]) : undefined
    if (anchor !== undefined && this.#chain?.agrees(anchor) === false && this.#isComparable(anchor.epoch, anchor.sequence))
      this.#altered(anchor.sequence)
    if (this.#quarantined.has(sequence)) return 'nothing'
    if (sealed) return headers['reckon-lost'] === 'true' ? 'nothing' : 'event'
    onForeign?.(entry)
    return 'foreign'
  }
  /** For an entry that is read alone: the seal, and nothing of the chain. */
  isOurs(entry: LogEntry): boolean {
    const { seal, ledger } = this.#options
    if (this.#quarantined.has(entry.sequence) || entry.headers['reckon-lost'] === 'true') return false
    return entry.sequence < (this.#state?.sealedFrom ?? 1) || seal.verifies(seal.digest(ledger.stream, entry), entry.headers[MAC_HEADER])
  }
  /** How far the entries were taken; with the hash where there is a chain. */
  get place(): Place {
    const chain = this.#chain
    return chain === undefined ? { sequence: this.#last } : { sequence: chain.sequence, hash: chain.head }
  }
  /** Behind a batch: how far the fold is now is remembered. */
  settle(): void {
    const chain = this.#chain
    const { ledger } = this.#options
    const sequence = Math.max(chain?.sequence ?? 0, this.#last)
    if (sequence > this.#behind) ledger.remember({ sequence, ...(chain === undefined ? {} : { hash: chain.head }) })
  }
  /** An append as it goes into the stream: tied to what is folded, and sealed. */
  seal(append: Append): Append {
    const { seal, ledger } = this.#options
    return seal.seal(
      ledger.stream,
      append,
      this.#chain === undefined ? undefined : textOfAnchor(this.#chain.anchor(this.#state?.epoch ?? 0))
    )
  }
  #last = 0
  #link(sequence: number, digest: Uint8Array): void {
    this.#last = sequence
    const known = this.#known.get(sequence)
    if (this.#chain === undefined) {
      // The beginning is gone, or compacted: the chain is taken up at the first place that is remembered.
      if (known !== undefined) this.#chain = new Chain(sha256, sequence, known)
      return
    }
    this.#chain.extend(sequence, digest)
    if (known !== undefined) {
      if (Buffer.compare(known, this.#chain.head) !== 0) this.#altered(sequence)
      this.#agreed = sequence
      this.#suspects = []
    }
    if (sequence % (this.#options.markEvery ?? MARK_EVERY) === 0 && !this.#known.has(sequence))
      this.#options.ledger.mark({ sequence, hash: this.#chain.head })
  }
  /** Everything up to the floor is read: what was kept must be there, and what follows links on to what was there. */
  #beginAtFloor(): void {
    if (this.#base === undefined) return
    const { found, mark } = this.#base
    const { floor = 0 } = this.#state ?? {}
    this.#base = undefined
    if (this.#resumed === undefined) {
      this.#chain = new Chain(sha256, floor, Buffer.from(mark.hash, 'base64url'))
      this.#agreed = floor
    }
    if (Buffer.from(found.digest(sha256)).toString('base64url') === mark.digest) return
    this.#fail(
      found.entries < mark.entries ? 'hole' : 'altered',
      [{ first: 1, last: floor }],
      `${found.entries} of the ${mark.entries} versions that were kept when history was compacted up to ${floor} are there${found.entries === mark.entries ? ', and they are not what they were' : ''}`
    )
  }
  /** Hashes behind an accepted loss are others than those that were seen before it. */
  #isComparable(epoch: number, sequence: number): boolean {
    const { epoch: now = 0, losses = [] } = this.#state ?? {}
    return epoch === now || losses.every(({ first }) => first > sequence)
  }
  #altered(sequence: number): never {
    const suspects = this.#suspects.filter((at) => at <= sequence)
    const ranges = suspects.length > 0 ? suspects.map((at) => ({ first: at, last: at })) : [{ first: this.#agreed + 1, last: sequence }]
    return this.#fail(
      'altered',
      ranges,
      `${suspects.length === 1 ? `event ${suspects[0]} is` : `some of the events ${textOfRanges(ranges)} are`} not what was written`
    )
  }
  #fail(kind: DamageKind, ranges: readonly Range[], detail: string): never {
    const { ledger } = this.#options
    const damage: Damage = {
      stream: ledger.stream,
      kind,
      ranges,
      verified: Math.max(0, (ranges[0]?.first ?? 1) - 1),
      detail: `${ledger.stream}: ${detail}`
    }
    throw new LogDamaged(damage)
  }
}
