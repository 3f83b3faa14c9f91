/**
 * The log in memory: JetStream's twin for tests, benchmarks without a disk, and the simulation. What JetStream and a network
 * can do to a reader or a writer, it can do too (`Faults`), so that nothing above it believes more than it may.
 */
import {
  AppendUncertain,
  LogAway,
  LogRefused,
  type Append,
  type AppendResult,
  type Follow,
  type Log,
  type LogEntry,
  type LogState,
  type Range,
  type ReadRange,
  type Subscription
} from '#events/Log.ts'
import type { Clock } from './Clock.ts'
import { followSource, type Consumer, type Delivery, type Source } from './Follower.ts'

/** What goes wrong, asked at each occasion. Absent ones go right, and at once. */
export interface Faults {
  /** Milliseconds until an append is acknowledged. */
  append?(): number
  /** Milliseconds until a follower sees an entry; entries never overtake one another. */
  deliver?(): number
  /** The append is stored but its acknowledgement is lost. */
  lose?(): boolean
  /** The append is not stored, and nobody says so. */
  swallow?(): boolean
  /** The log says no: no room. */
  refuse?(): boolean
  /** A message is lost on its way to a follower; the connection breaks soon after. */
  skip?(): boolean
  /** It comes twice. */
  double?(): boolean
  /** The consumer ends: the server was started again, or has forgotten it. */
  forget?(): boolean
  /** The log does not answer: appends and questions time out, followers hear nothing. */
  away?(): boolean
  /** There is nobody to connect to: appends are not sent, and followers know. */
  gone?(): boolean
}

export interface MemoryLogOptions {
  readonly faults?: Faults
  /** As a stream with one message per subject. */
  readonly keepLastOnly?: boolean
  /** As a stream with `max_age`, milliseconds: older entries leave by themselves. */
  readonly maxAge?: number
  readonly identity?: string
  /** Told of everything that is stored, as it is stored. */
  readonly onStored?: (entry: LogEntry) => void
}

/** A consumer that is being served. */
interface Live {
  /** There is something new. */
  wake(): void
  /** Its connection breaks. */
  end(): void
}

const ACK_TIMEOUT_MS = 5_000
/** A writer waits so long for a connection. */
const CONNECT_MS = 1_000
/** Small, so that readers meet the end of a batch in tests as they do on a server. */
const READ_BATCH = 64
/** A consumer that hears nothing because the log is away notices after so long. */
const HEARTBEATS_MS = 2_000

/** `*` is one token, `>` the rest. */
export const subjectPattern = (filter: string): RegExp =>
  new RegExp(
    `^${filter
      .replace(/[.$+?()[\]{}|\\^]/g, '\\$&')
      .replaceAll('*', '[^.]+')
      .replace(/>$/, '.+')}$`
  )

export class MemoryLog implements Log {
  readonly stream: string
  readonly #clock: Clock
  readonly #options: MemoryLogOptions
  readonly #faults: Faults
  readonly #entries: (LogEntry | undefined)[] = []
  readonly #last = new Map<string, number>()
  readonly #consumers = new Set<Live>()
  #expired = 0
  #identity: string | undefined
  #losses: readonly Range[] = []
  #epoch = 0
  #lives = 0
  #floor = 0
  /** What is before stands outside of the stream: the version each object had at the floor. */
  #begins = 1

  constructor(stream: string, clock: Clock, options: MemoryLogOptions = {}) {
    this.stream = stream
    this.#clock = clock
    this.#options = options
    this.#faults = options.faults ?? {}
    this.#identity = options.identity
  }
  append(appends: readonly Append[], waitMs = CONNECT_MS): Promise<AppendResult> {
    const { away, gone, swallow, refuse, lose, append } = this.#faults
    if (gone?.() === true)
      return this.#after(waitMs, () => new LogAway(`${this.stream}: there is no connection to the log; nothing was stored`))
    if (away?.() === true || swallow?.() === true) return this.#unanswered()
    if (refuse?.() === true)
      return Promise.reject(new LogRefused(`${this.stream} refused the write: insufficient resources (10023)`, 'full'))
    const result = this.#store(appends)
    if (lose?.() === true) return this.#unanswered()
    const ms = append?.() ?? 0
    if (ms === 0) return Promise.resolve(result)
    const life = this.#lives
    return new Promise((resolve, reject) => {
      this.#clock.after(ms, () => {
        if (life === this.#lives) resolve(result)
        else reject(new AppendUncertain(`${this.stream}: the connection was lost before the acknowledgement`))
      })
    })
  }
  #after(ms: number, error: () => Error): Promise<never> {
    return new Promise((_, reject) => void this.#clock.after(ms, () => reject(error())))
  }
  #unanswered(): Promise<never> {
    return this.#after(ACK_TIMEOUT_MS, () => new AppendUncertain(`${this.stream}: no acknowledgement`))
  }
  /** The server is started again: consumers end, and acknowledgements on their way are lost. */
  restart(): void {
    this.#lives += 1
    for (const { end } of [...this.#consumers]) end()
  }
  #store(appends: readonly Append[]): AppendResult {
    this.#expire()
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
      const entry = { subject, sequence, headers, text, time: this.#clock.now() }
      this.#entries.push(entry)
      this.#last.set(subject, sequence)
      this.#options.onStored?.(entry)
    }
    for (const { wake } of this.#consumers) wake()
    return { ok: true, first, last: this.#entries.length }
  }
  follow(follow: Follow): Subscription {
    return this.#followBy(() => this.#faults.away?.() === true, follow)
  }
  #followBy(away: () => boolean, follow: Follow, gapless = true): Subscription {
    return followSource(this.#source(away), { clock: this.#clock, gapless: gapless && this.#options.keepLastOnly !== true }, follow)
  }
  /**
   * The log as one process reaches it. While `isCut` it sends and hears nothing, and others go on; an append that was stored
   * before is then never acknowledged to it. A process that is dead is cut off for ever. `gapless` false: it follows a part.
   */
  reachedBy(isCut: () => boolean, gapless = true): Log {
    const away = (): boolean => isCut() || this.#faults.away?.() === true
    const asked =
      <Answer>(question: () => Promise<Answer>) =>
      (): Promise<Answer> =>
        this.#reached(isCut).then(question)
    const { stream } = this
    return {
      stream,
      append: async (appends, waitMs) => {
        if (isCut()) return this.#unanswered()
        const result = await this.append(appends, waitMs)
        return isCut() ? this.#unanswered() : result
      },
      follow: (follow) => this.#followBy(away, follow, gapless),
      get: (sequence) => asked(() => this.get(sequence))(),
      read: (range) => this.#readBy(away, range),
      lastOn: (subject, upTo) => asked(() => this.lastOn(subject, upTo))(),
      lastSequence: asked(() => this.lastSequence()),
      state: asked(() => this.state())
    }
  }
  #source(away: () => boolean): Source {
    return {
      stream: this.stream,
      closed: false,
      verdict: () => 'again',
      open: async (from, newest) => {
        if (away() || this.#faults.gone?.() === true) throw new LogAway(`${this.stream} does not answer`)
        return this.#consumer(from, newest, away)
      }
    }
  }
  #consumer(from: number, newest: boolean, away: () => boolean): Consumer {
    const { deliver, skip, double, forget } = this.#faults
    let next = from
    let count = 0
    let scheduled = false
    let over = false
    const kept = from <= this.#floor && from < this.#begins
    const end = kept ? this.#begins - 1 : undefined
    // What comes behind the newest entries comes whole, as from a server's consumer.
    let latest = newest && !kept
    const isWanted = (entry: LogEntry | undefined): entry is LogEntry =>
      entry !== undefined && (!latest || this.#last.get(entry.subject) === entry.sequence)
    const has = (): LogEntry[] => this.#entries.slice(Math.max(next, kept ? 1 : this.#begins) - 1, end).filter(isWanted)
    let live: Live | undefined
    const close = (): void => {
      over = true
      if (live !== undefined) this.#consumers.delete(live)
    }
    return {
      state: this.#state(),
      pending: has().length,
      kept,
      newest: latest,
      run: (onDelivery, onEnd) => {
        const finish = (): void => {
          close()
          onEnd()
        }
        const send = (delivery: Delivery): void => {
          if (skip?.() === true) return void this.#clock.after(HEARTBEATS_MS, finish)
          onDelivery(delivery)
          if (double?.() === true) onDelivery(delivery)
        }
        const turn = (): void => {
          scheduled = false
          if (over) return
          if (this.#faults.gone?.() === true) return finish()
          if (away()) return void this.#clock.after(HEARTBEATS_MS, finish)
          const batch = has()
          latest = false
          next = this.#entries.length + 1
          for (const [at, entry] of batch.entries()) if (!over) send({ entry, count: ++count, pending: batch.length - 1 - at })
          if (!over && forget?.() === true) finish()
        }
        const wake = (): void => {
          if (scheduled || over) return
          scheduled = true
          const ms = deliver?.() ?? 0
          if (ms === 0) queueMicrotask(turn)
          else this.#clock.after(ms, turn)
        }
        live = { wake, end: () => over || finish() }
        this.#consumers.add(live)
        wake()
      },
      close: async () => close()
    }
  }
  /** Entries that are too old leave: the stream then begins later, and their subjects are empty. */
  #expire(): void {
    const { maxAge } = this.#options
    if (maxAge === undefined) return
    const oldest = this.#clock.now() - maxAge
    for (; this.#expired < this.#entries.length; this.#expired++) {
      const entry = this.#entries[this.#expired]
      if (entry === undefined) continue
      if (entry.time >= oldest) return
      this.#take(entry)
    }
  }
  #take({ sequence, subject }: LogEntry): void {
    this.#entries[sequence - 1] = undefined
    if (this.#last.get(subject) === sequence) this.#last.delete(subject)
  }
  async get(sequence: number): Promise<LogEntry | undefined> {
    await this.#reached()
    this.#expire()
    return this.#entries[sequence - 1]
  }
  read(range: ReadRange): AsyncGenerator<readonly LogEntry[]> {
    return this.#readBy(() => this.#faults.away?.() === true, range)
  }
  async *#readBy(away: () => boolean, { from, to, filter }: ReadRange): AsyncGenerator<readonly LogEntry[]> {
    const wanted = filter === undefined ? undefined : subjectPattern(filter)
    let batch: LogEntry[] = []
    for (let sequence = Math.max(1, from); sequence <= Math.min(to, this.#entries.length); sequence++) {
      const entry = this.#entries[sequence - 1]
      if (entry === undefined || wanted?.test(entry.subject) === false) continue
      batch.push(entry)
      if (batch.length < READ_BATCH) continue
      yield batch
      await this.#reached(away)
      batch = []
    }
    if (batch.length > 0) yield batch
  }
  async lastOn(subject: string, upTo = Number.MAX_SAFE_INTEGER): Promise<LogEntry | undefined> {
    await this.#reached()
    this.#expire()
    const last = this.#last.get(subject)
    if (last !== undefined && last <= upTo) return this.#entries[last - 1]
    for (let at = Math.min(upTo, this.#entries.length) - 1; at >= 0; at--)
      if (this.#entries[at]?.subject === subject) return this.#entries[at]
    return undefined
  }
  async lastSequence(): Promise<number> {
    await this.#reached()
    return this.#entries.length
  }
  async state(): Promise<LogState> {
    await this.#reached()
    return this.#state()
  }
  /** A question to a log that is away is answered by nobody. */
  async #reached(away = (): boolean => this.#faults.away?.() === true): Promise<void> {
    const gone = this.#faults.gone?.() === true
    if (gone || away()) await this.#after(gone ? CONNECT_MS : ACK_TIMEOUT_MS, () => new LogAway(`${this.stream} does not answer`))
  }
  #state(): LogState {
    this.#expire()
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
    const before = this.#entries.slice(0, this.#floor).filter((entry) => entry !== undefined)
    for (const { subject, sequence } of before) newest.set(subject, sequence)
    for (const { subject, sequence, headers } of before) {
      if (newest.get(subject) !== sequence || headers['reckon-deleted'] === 'true') this.#entries[sequence - 1] = undefined
      if (this.#last.get(subject) === sequence) this.#last.delete(subject)
    }
    this.#begins = this.#floor + 1
  }
  /** What a disk can do: entries go from the middle, the end is cut off, another stream takes the place. Consumers end with it. */
  damage(what: { readonly remove?: Range; readonly cut?: number; readonly identity?: string }): void {
    const { remove, cut, identity } = what
    for (const entry of [...this.#entries])
      if (entry !== undefined && remove !== undefined && remove.first <= entry.sequence && entry.sequence <= remove.last) this.#take(entry)
    if (cut !== undefined) for (const entry of this.#entries.splice(cut)) if (entry !== undefined) this.#last.delete(entry.subject)
    if (identity !== undefined) this.#identity = identity
    for (const { end } of [...this.#consumers]) end()
  }
  /** A person's word that what is missing is lost. */
  accept(losses: readonly Range[]): void {
    this.#losses = losses
    this.#epoch += 1
  }
}
