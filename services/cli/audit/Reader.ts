/** From the trail's entries to what is shown of them, with a count of what is not there to be shown. Plain. */
import type { LogEntry, Range } from '#events/Log.ts'
import type { AuditFilter } from './filter.ts'
import { leftOutIn, lostIn, recordIn, timeOf, type AuditRecord } from './record.ts'

export interface Shown {
  readonly record: AuditRecord
  /** Otherwise only what it says of others is: that they were lost, or left out. */
  readonly itself: boolean
  readonly lost: number
  readonly leftOut: number
}

/** What is not in the trail, of what was read since the last time this was asked. */
export interface Missing {
  /** Never stored: the log was away or short of room. */
  readonly lost: number
  /** Never stored: too many at once of one asker. */
  readonly leftOut: number
  /** Places of the trail where nothing is any more. */
  readonly holes: readonly Range[]
  /** Places where something else is than a record, or what somebody has put aside. */
  readonly strange: readonly number[]
}

export interface ReaderOptions {
  readonly filter: AuditFilter
  /** Milliseconds: what happened before is not shown, though it was stored later. */
  readonly since: number
  /** The first sequence that is to come. */
  readonly from: number
  /** Nothing is before it: records expire, and it may be gone when it is read. */
  readonly isFirst: boolean
  readonly quarantined: readonly number[]
}

/** An append whose outcome was not known is written again behind itself: a batch of at most 100, and a count. */
const REMEMBERED = 256

export class Reader {
  readonly #options: ReaderOptions
  readonly #quarantined: ReadonlySet<number>
  /**
   * The last ones, word for word. By their id alone would be less to remember; but a client may choose that, and would
   * hide a request behind another.
   */
  readonly #seen = new Set<string>()
  #next: number
  #begun = false
  #lost = 0
  #leftOut = 0
  #holes: Range[] = []
  #strange: number[] = []

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#quarantined = new Set(options.quarantined)
    this.#next = options.from
  }
  /** The sequence that is to come. */
  get next(): number {
    return this.#next
  }
  take(entries: readonly LogEntry[]): Shown[] {
    return entries.flatMap((entry) => this.#take(entry) ?? [])
  }
  /** Everything up to here was asked for, and nothing more comes of it. */
  reaches(last: number): void {
    if (last < this.#next) return
    this.#holes.push({ first: this.#next, last })
    this.#next = last + 1
  }
  missing(): Missing {
    const missing = { lost: this.#lost, leftOut: this.#leftOut, holes: this.#holes, strange: this.#strange }
    ;[this.#lost, this.#leftOut, this.#holes, this.#strange] = [0, 0, [], []]
    return missing
  }
  #take({ sequence, text }: LogEntry): Shown | undefined {
    const { filter, since, isFirst } = this.#options
    if (sequence < this.#next) return undefined
    if (this.#begun || !isFirst) this.reaches(sequence - 1)
    this.#begun = true
    this.#next = sequence + 1
    const record = this.#quarantined.has(sequence) ? undefined : recordIn(text)
    if (record === undefined) return void this.#strange.push(sequence)
    if (this.#seen.has(text)) return undefined
    this.#seen.add(text)
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string)
    if (timeOf(record) < since) return undefined
    // Whatever is asked for: it may have been among them.
    const lost = lostIn(record)
    const leftOut = filter.mayMatchOthersOf(record) ? leftOutIn(record) : 0
    this.#lost += lost
    this.#leftOut += leftOut
    const itself = lost === 0 && filter.matches(record)
    return itself || lost > 0 || leftOut > 0 ? { record, itself, lost, leftOut } : undefined
  }
}
