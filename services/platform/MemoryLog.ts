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
import { MemoryStream, type MemoryStreamOptions } from './MemoryStream.ts'

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

export interface MemoryLogOptions extends MemoryStreamOptions {
  readonly faults?: Faults
}

/** What of the log one process reaches. */
export interface Reach {
  /** False: it follows a part, whose sequences have gaps. */
  readonly gapless?: boolean
  /** The subjects it follows, NATS wildcards allowed; all when there is none. */
  readonly filters?: readonly string[]
}

/** A consumer that is being served. */
interface Live {
  /** There is something new, on these subjects. */
  wake(appends: readonly Append[]): void
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
  readonly #stored: MemoryStream
  readonly #consumers = new Set<Live>()
  #lives = 0

  constructor(stream: string, clock: Clock, options: MemoryLogOptions = {}) {
    this.stream = stream
    this.#clock = clock
    this.#options = options
    this.#faults = options.faults ?? {}
    this.#stored = new MemoryStream(() => clock.now(), options)
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
    const result = this.#stored.store(appends)
    if (result.ok) for (const { wake } of this.#consumers) wake(appends)
    return result
  }
  follow(follow: Follow): Subscription {
    return this.#followBy(() => this.#faults.away?.() === true, follow)
  }
  #followBy(away: () => boolean, follow: Follow, { gapless = true, filters = [] }: Reach = {}): Subscription {
    const options = { clock: this.#clock, gapless: gapless && this.#options.keepLastOnly !== true }
    return followSource(this.#source(away, filters.map(subjectPattern)), options, follow)
  }
  /**
   * The log as one process reaches it. While `isCut` it sends and hears nothing, and others go on; an append that was stored
   * before is then never acknowledged to it. A process that is dead is cut off for ever.
   */
  reachedBy(isCut: () => boolean, reach: Reach = {}): Log {
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
      follow: (follow) => this.#followBy(away, follow, reach),
      get: (sequence) => asked(() => this.get(sequence))(),
      read: (range) => this.#readBy(away, range),
      lastOn: (subject, upTo) => asked(() => this.lastOn(subject, upTo))(),
      lastSequence: asked(() => this.lastSequence()),
      state: asked(() => this.state())
    }
  }
  #source(away: () => boolean, filters: readonly RegExp[]): Source {
    return {
      stream: this.stream,
      closed: false,
      verdict: () => 'again',
      open: async (from, newest) => {
        if (away() || this.#faults.gone?.() === true) throw new LogAway(`${this.stream} does not answer`)
        return this.#consumer(from, newest, away, filters)
      }
    }
  }
  #consumer(from: number, newest: boolean, away: () => boolean, filters: readonly RegExp[]): Consumer {
    const stored = this.#stored
    const { deliver, skip, double, forget } = this.#faults
    let next = from
    let count = 0
    let scheduled = false
    let over = false
    const kept = from <= stored.floor && from < stored.begins
    const end = kept ? stored.begins - 1 : undefined
    // What comes behind the newest entries comes whole, as from a server's consumer.
    let latest = newest && !kept
    const follows = ({ subject }: Pick<LogEntry, 'subject'>): boolean => filters.length === 0 || filters.some((one) => one.test(subject))
    const isWanted = (entry: LogEntry): boolean => follows(entry) && (!latest || stored.isLast(entry))
    const has = (): LogEntry[] => stored.between(Math.max(next, kept ? 1 : stored.begins), end ?? stored.end).filter(isWanted)
    let live: Live | undefined
    const close = (): void => {
      over = true
      if (live !== undefined) this.#consumers.delete(live)
    }
    return {
      state: stored.state(),
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
          next = stored.end + 1
          for (const [at, entry] of batch.entries()) if (!over) send({ entry, count: ++count, pending: batch.length - 1 - at })
          if (!over && forget?.() === true) finish()
        }
        const wake = (appends?: readonly Append[]): void => {
          if (scheduled || over || appends?.some(follows) === false) return
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
  async get(sequence: number): Promise<LogEntry | undefined> {
    await this.#reached()
    this.#stored.expire()
    return this.#stored.at(sequence)
  }
  read(range: ReadRange): AsyncGenerator<readonly LogEntry[]> {
    return this.#readBy(() => this.#faults.away?.() === true, range)
  }
  async *#readBy(away: () => boolean, { from, to, filter }: ReadRange): AsyncGenerator<readonly LogEntry[]> {
    const wanted = filter === undefined ? undefined : subjectPattern(filter)
    let batch: LogEntry[] = []
    for (let sequence = Math.max(1, from); sequence <= Math.min(to, this.#stored.end); sequence++) {
      const entry = this.#stored.at(sequence)
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
    this.#stored.expire()
    return this.#stored.lastOn(subject, upTo)
  }
  async lastSequence(): Promise<number> {
    await this.#reached()
    return this.#stored.end
  }
  async state(): Promise<LogState> {
    await this.#reached()
    return this.#stored.state()
  }
  /** A question to a log that is away is answered by nobody. */
  async #reached(away = (): boolean => this.#faults.away?.() === true): Promise<void> {
    const gone = this.#faults.gone?.() === true
    if (gone || away()) await this.#after(gone ? CONNECT_MS : ACK_TIMEOUT_MS, () => new LogAway(`${this.stream} does not answer`))
  }
  raiseFloor(floor: number): void {
    this.#stored.raiseFloor(floor)
  }
  compact(): void {
    this.#stored.compact()
  }
  /** What a disk can do to it. Consumers end with it. */
  damage(what: Parameters<MemoryStream['damage']>[0]): void {
    this.#stored.damage(what)
    for (const { end } of [...this.#consumers]) end()
  }
  accept(losses: readonly Range[]): void {
    this.#stored.accept(losses)
  }
}
