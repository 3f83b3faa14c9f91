/** A stream as it is stored, in memory: entries and the last of each subject, what expectations say of them, and what time and disks do. */
import type { Append, AppendResult, LogEntry, LogState, Range } from '#events/Log.ts'

export interface MemoryStreamOptions {
  /** As a stream with one message per subject. */
  readonly keepLastOnly?: boolean
  /** As a stream with `max_age`, milliseconds: older entries leave by themselves. */
  readonly maxAge?: number
  readonly identity?: string
  /** Told of everything that is stored, as it is stored. */
  readonly onStored?: (entry: LogEntry) => void
}

export class MemoryStream {
  readonly #now: () => number
  readonly #options: MemoryStreamOptions
  readonly #entries: (LogEntry | undefined)[] = []
  readonly #last = new Map<string, number>()
  #expired = 0
  #identity: string | undefined
  #losses: readonly Range[] = []
  #epoch = 0
  #floor = 0
  /** What is before stands outside of the stream: the version each object had at the floor. */
  #begins = 1

  constructor(now: () => number, options: MemoryStreamOptions) {
    this.#now = now
    this.#options = options
    this.#identity = options.identity
  }
  /** Sequence of the last entry there ever was. */
  get end(): number {
    return this.#entries.length
  }
  /** Where the stream itself begins: 1 until history is compacted. */
  get begins(): number {
    return this.#begins
  }
  get floor(): number {
    return this.#floor
  }
  at(sequence: number): LogEntry | undefined {
    return this.#entries[sequence - 1]
  }
  /** What is there from one sequence to another, both included. */
  between(first: number, last: number): LogEntry[] {
    return this.#entries.slice(first - 1, last).filter((entry) => entry !== undefined)
  }
  isLast({ subject, sequence }: LogEntry): boolean {
    return this.#last.get(subject) === sequence
  }
  lastOn(subject: string, upTo: number): LogEntry | undefined {
    const last = this.#last.get(subject)
    if (last !== undefined && last <= upTo) return this.#entries[last - 1]
    for (let at = Math.min(upTo, this.#entries.length) - 1; at >= 0; at--)
      if (this.#entries[at]?.subject === subject) return this.#entries[at]
    return undefined
  }
  store(appends: readonly Append[]): AppendResult {
    this.expire()
    const written = new Set<string>()
    const { after } = appends[0] as Append
    if (after !== undefined && after !== this.#entries.length) return { ok: false, conflict: true, lastSequence: this.#entries.length }
    for (const { subject, expected, on = subject } of appends) {
      const lastSequence = this.#last.get(on) ?? 0
      if (expected !== undefined && expected !== lastSequence) return { ok: false, conflict: true, lastSequence }
      // As nats-server: what the same batch has written before can't be expected any more.
      if (expected !== undefined && written.has(on)) return { ok: false, conflict: true }
      written.add(subject)
    }
    const first = this.#entries.length + 1
    for (const { subject, headers, text } of appends) {
      const sequence = this.#entries.length + 1
      const before = this.#last.get(subject)
      if (this.#options.keepLastOnly === true && before !== undefined) this.#entries[before - 1] = undefined
      const entry = { subject, sequence, headers, text, time: this.#now() }
      this.#entries.push(entry)
      this.#last.set(subject, sequence)
      this.#options.onStored?.(entry)
    }
    return { ok: true, first, last: this.#entries.length }
  }
  /** Entries that are too old leave: the stream then begins later, and their subjects are empty. */
  expire(): void {
    const { maxAge } = this.#options
    if (maxAge === undefined) return
    const oldest = this.#now() - maxAge
    for (; this.#expired < this.#entries.length; this.#expired++) {
      const entry = this.#entries[this.#expired]
      if (entry === undefined) continue
      if (entry.time >= oldest) return
      this.#take(entry)
    }
  }
  #take(entry: LogEntry): void {
    this.#entries[entry.sequence - 1] = undefined
    if (this.isLast(entry)) this.#last.delete(entry.subject)
  }
  state(): LogState {
    this.expire()
    const inside = this.#entries.slice(this.#begins - 1)
    const first = inside.findIndex((entry) => entry !== undefined)
    const there = inside.filter((entry) => entry !== undefined)
    return {
      ...(this.#identity === undefined ? {} : { identity: this.#identity }),
      first: (first < 0 ? this.#entries.length : this.#begins - 1 + first) + 1,
      last: this.#entries.length,
      messages: there.length,
      bytes: there.reduce((sum, { text }) => sum + text.length, 0),
      sealedFrom: 1,
      epoch: this.#epoch,
      losses: this.#losses,
      quarantined: [],
      floor: this.#floor,
      ...(this.#floor === 0
        ? {}
        : { base: { hash: '', digest: '', entries: 0, time: Date.parse(this.#entries[this.#floor - 1]?.headers['ce-time'] ?? '') || 0 } })
    }
  }
  /** As a compaction says first: history before is no longer read. */
  raiseFloor(floor: number): void {
    this.#floor = floor
  }
  /** As it does then: of before, only the version each object had is kept, outside of the stream, which begins at the floor. */
  compact(): void {
    const newest = new Map<string, number>()
    const before = this.between(1, this.#floor)
    for (const { subject, sequence } of before) newest.set(subject, sequence)
    for (const entry of before) {
      const { subject, sequence, headers } = entry
      if (newest.get(subject) !== sequence || headers['reckon-deleted'] === 'true') this.#entries[sequence - 1] = undefined
      if (this.isLast(entry)) this.#last.delete(subject)
    }
    this.#begins = this.#floor + 1
  }
  /** What a disk can do: entries go from the middle, the end is cut off, another stream takes the place. */
  damage({ remove, cut, identity }: { readonly remove?: Range; readonly cut?: number; readonly identity?: string }): void {
    if (remove !== undefined) for (const entry of this.between(remove.first, remove.last)) this.#take(entry)
    if (cut !== undefined) for (const entry of this.#entries.splice(cut)) if (entry !== undefined) this.#last.delete(entry.subject)
    if (identity !== undefined) this.#identity = identity
  }
  /** A person's word that what is missing is lost. */
  accept(losses: readonly Range[]): void {
    this.#losses = losses
    this.#epoch += 1
  }
}
