/**
 * The log in memory: JetStream's twin for tests, benchmarks without a disk, and the simulation, which makes its
 * acknowledgements and deliveries late (`Latency`) or loses them (`lose`).
 */
import { AppendUncertain, type Append, type AppendResult, type Follow, type Log, type LogEntry, type Range, type Subscription } from '#events/Log.ts'
import type { Clock } from './Clock.ts'

export interface Latency {
  /** Milliseconds until an append is acknowledged. */
  append(): number
  /** Milliseconds until a follower sees an entry; entries never overtake one another. */
  deliver(): number
  /** True: the append is stored but its acknowledgement is lost. */
  lose?(): boolean
}

const AT_ONCE: Latency = { append: () => 0, deliver: () => 0 }
const ACK_TIMEOUT_MS = 5_000
/** Small, so that readers meet the end of a batch in tests as they do on a server. */
const READ_BATCH = 64

/** `*` is one token, `>` the rest. */
const subjectPattern = (filter: string): RegExp => new RegExp(`^${filter.replace(/[.$+?()[\]{}|\\^]/g, '\\$&').replaceAll('*', '[^.]+').replace(/>$/, '.+')}$`)

interface Follower extends Follow {
  next: number
  scheduled: boolean
  closed: boolean
  target: number | undefined
}

export class MemoryLog implements Log {
  readonly stream: string
  readonly #clock: Clock
  readonly #latency: Latency
  readonly #keepLastOnly: boolean
  readonly #entries: (LogEntry | undefined)[] = []
  readonly #last = new Map<string, number>()
  readonly #followers = new Set<Follower>()

  /** `keepLastOnly`: as a stream with one message per subject. */
  constructor(stream: string, clock: Clock, options: { readonly latency?: Latency; readonly keepLastOnly?: boolean } = {}) {
    this.stream = stream
    this.#clock = clock
    this.#latency = options.latency ?? AT_ONCE
    this.#keepLastOnly = options.keepLastOnly === true
  }
  append(appends: readonly Append[]): Promise<AppendResult> {
    for (const { subject, expected } of appends) {
      const lastSequence = this.#last.get(subject) ?? 0
      if (expected !== undefined && expected !== lastSequence) return this.#answer({ ok: false, conflict: true, lastSequence })
    }
    const first = this.#entries.length + 1
    for (const { subject, headers, text } of appends) {
      const sequence = this.#entries.length + 1
      const before = this.#last.get(subject)
      if (this.#keepLastOnly && before !== undefined) this.#entries[before - 1] = undefined
      this.#entries.push({ subject, sequence, headers, text, time: this.#clock.now() })
      this.#last.set(subject, sequence)
    }
    for (const follower of this.#followers) this.#deliver(follower)
    return this.#answer({ ok: true, first, last: this.#entries.length })
  }
  #answer(result: AppendResult): Promise<AppendResult> {
    if (this.#latency.lose?.() === true)
      return new Promise((_, reject) => void this.#clock.after(ACK_TIMEOUT_MS, () => reject(new AppendUncertain(`${this.stream}: no acknowledgement`))))
    const ms = this.#latency.append()
    if (ms === 0) return Promise.resolve(result)
    return new Promise((resolve) => void this.#clock.after(ms, () => resolve(result)))
  }
  follow(follow: Follow): Subscription {
    const target = this.#entries.length
    const follower: Follower = { ...follow, next: Math.max(1, follow.from), scheduled: false, closed: false, target }
    this.#followers.add(follower)
    this.#deliver(follower)
    return {
      close: () => {
        follower.closed = true
        this.#followers.delete(follower)
      }
    }
  }
  #deliver(follower: Follower): void {
    if (follower.scheduled || follower.closed) return
    follower.scheduled = true
    const run = (): void => {
      follower.scheduled = false
      if (follower.closed) return
      const upTo = this.#entries.length
      const batch = this.#entries.slice(follower.next - 1, upTo).filter((entry) => entry !== undefined)
      follower.next = upTo + 1
      if (batch.length > 0) follower.onEntries(batch)
      if (follower.target !== undefined && upTo >= follower.target) {
        follower.target = undefined
        follower.onCaughtUp?.(upTo)
      }
      if (this.#entries.length >= follower.next) this.#deliver(follower)
    }
    const ms = this.#latency.deliver()
    if (ms === 0) queueMicrotask(run)
    else this.#clock.after(ms, run)
  }
  async get(sequence: number): Promise<LogEntry | undefined> {
    return this.#entries[sequence - 1]
  }
  async *read({ from, to, filter }: Range): AsyncGenerator<readonly LogEntry[]> {
    const wanted = filter === undefined ? undefined : subjectPattern(filter)
    let batch: LogEntry[] = []
    for (let sequence = Math.max(1, from); sequence <= Math.min(to, this.#entries.length); sequence++) {
      const entry = this.#entries[sequence - 1]
      if (entry === undefined || wanted?.test(entry.subject) === false) continue
      batch.push(entry)
      if (batch.length < READ_BATCH) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }
  async lastOn(subject: string, upTo = Number.MAX_SAFE_INTEGER): Promise<LogEntry | undefined> {
    const last = this.#last.get(subject)
    if (last !== undefined && last <= upTo) return this.#entries[last - 1]
    for (let at = Math.min(upTo, this.#entries.length) - 1; at >= 0; at--) if (this.#entries[at]?.subject === subject) return this.#entries[at]
    return undefined
  }
  async lastSequence(): Promise<number> {
    return this.#entries.length
  }
  async firstSequence(): Promise<number> {
    return 1
  }
}
