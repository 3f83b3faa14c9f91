/**
 * The log in memory: JetStream's twin for tests, benchmarks without a disk, and the simulation, which makes its
 * acknowledgements and deliveries late (`Latency`) or loses them (`lose`).
 */
import { AppendUncertain, type Append, type AppendResult, type Follow, type Log, type LogEntry, type LogState, type Subscription } from '#events/Log.ts'
import type { Clock } from './Clock.ts'

export interface Latency {
  /** Milliseconds until an append is acknowledged. */
  append(): number
  /** Milliseconds until a follower sees an entry; entries never overtake one another. */
  deliver(): number
  /** True: the append is stored but its acknowledgement is lost. */
  lose?(): boolean
}

export interface MemoryLogOptions {
  readonly latency?: Latency
  /** As a stream with one message per subject. */
  readonly keepLastOnly?: boolean
  /** As a stream with `max_age`, milliseconds: older entries leave by themselves. */
  readonly maxAge?: number
  readonly identity?: string
}

const AT_ONCE: Latency = { append: () => 0, deliver: () => 0 }
const ACK_TIMEOUT_MS = 5_000

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
  readonly #maxAge: number | undefined
  readonly #identity: string | undefined
  #expired = 0
  readonly #entries: (LogEntry | undefined)[] = []
  readonly #last = new Map<string, number>()
  readonly #followers = new Set<Follower>()

  constructor(stream: string, clock: Clock, options: MemoryLogOptions = {}) {
    this.stream = stream
    this.#clock = clock
    this.#latency = options.latency ?? AT_ONCE
    this.#keepLastOnly = options.keepLastOnly === true
    this.#maxAge = options.maxAge
    this.#identity = options.identity
  }
  append(appends: readonly Append[]): Promise<AppendResult> {
    this.#expire()
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
  /** Entries that are too old leave: the stream then begins later, and their subjects are empty. */
  #expire(): void {
    if (this.#maxAge === undefined) return
    const oldest = this.#clock.now() - this.#maxAge
    for (; this.#expired < this.#entries.length; this.#expired++) {
      const entry = this.#entries[this.#expired]
      if (entry === undefined) continue
      if (entry.time >= oldest) return
      this.#entries[this.#expired] = undefined
      if (this.#last.get(entry.subject) === entry.sequence) this.#last.delete(entry.subject)
    }
  }
  async get(sequence: number): Promise<LogEntry | undefined> {
    this.#expire()
    return this.#entries[sequence - 1]
  }
  async lastOn(subject: string, upTo = Number.MAX_SAFE_INTEGER): Promise<LogEntry | undefined> {
    this.#expire()
    const last = this.#last.get(subject)
    if (last !== undefined && last <= upTo) return this.#entries[last - 1]
    for (let at = Math.min(upTo, this.#entries.length) - 1; at >= 0; at--) if (this.#entries[at]?.subject === subject) return this.#entries[at]
    return undefined
  }
  async lastSequence(): Promise<number> {
    return this.#entries.length
  }
  async state(): Promise<LogState> {
    this.#expire()
    const first = this.#entries.findIndex((entry) => entry !== undefined)
    return {
      ...(this.#identity === undefined ? {} : { identity: this.#identity }),
      first: (first < 0 ? this.#entries.length : first) + 1,
      last: this.#entries.length,
      messages: this.#entries.reduce((count, entry) => count + (entry === undefined ? 0 : 1), 0),
      bytes: this.#entries.reduce((sum, entry) => sum + (entry?.text.length ?? 0), 0),
      epoch: 0,
      losses: [],
      quarantined: [],
      floor: 0
    }
  }
}
