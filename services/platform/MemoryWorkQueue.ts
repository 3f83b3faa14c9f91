/** The work queue in memory: JetStream's twin for tests and the simulation. */
import { LogAway, type LogEntry, type Subscription } from '#events/Log.ts'
import type { Clock, Timer } from './Clock.ts'
import { subjectPattern } from './MemoryLog.ts'
import { ACK_WAIT_MS, OUTSTANDING, type Delivery, type WorkQueue } from './WorkQueue.ts'

/** So many of what was done with last a restart forgets. */
const LATELY = 3

interface Consumer {
  readonly onDelivery: (delivery: Delivery) => void
  /** The last entry that was there when it came. */
  readonly before: number
}

interface Pending {
  readonly entry: LogEntry
  deliveries: number
  /** Set while somebody has it. */
  due: Timer | undefined
}

export interface MemoryWorkQueueOptions {
  /** Milliseconds until a consumer sees an entry. */
  readonly deliver?: () => number
  readonly outstanding?: number
  readonly ackWaitMs?: number
  /** That an entry is done with is not heard: it comes again when its time is over. */
  readonly lose?: () => boolean
}

export class MemoryWorkQueue implements WorkQueue {
  readonly #clock: Clock
  readonly #options: MemoryWorkQueueOptions
  readonly #entries: (LogEntry | undefined)[] = []
  /** By sequence, ascending. */
  readonly #pending = new Map<number, Pending>()
  readonly #waiting: Pending[] = []
  readonly #newest = new Map<string, LogEntry>()
  #consumers: Consumer[] = []
  /** Done with last. */
  readonly #lately: Pending[] = []
  #out = 0
  #turn = 0
  #away = false

  constructor(clock: Clock, options: MemoryWorkQueueOptions = {}) {
    this.#clock = clock
    this.#options = options
  }
  append(subject: string, text: string): number {
    const entry: LogEntry = { subject, sequence: this.#entries.length + 1, headers: {}, text, time: this.#clock.now() }
    this.#entries.push(entry)
    this.#newest.set(subject, entry)
    const pending: Pending = { entry, deliveries: 0, due: undefined }
    this.#pending.set(entry.sequence, pending)
    this.#waiting.push(pending)
    this.#pump()
    return entry.sequence
  }
  /** While true it neither answers nor delivers, as a server that is away. */
  set away(away: boolean) {
    this.#away = away
    this.#pump()
  }
  /** The server is started again: what it had heard last is lost, and everything that is not done with comes again. */
  restart(): void {
    for (const pending of this.#lately.splice(0)) {
      this.#pending.set(pending.entry.sequence, pending)
      this.#waiting.unshift(pending)
    }
    for (const pending of [...this.#pending.values()].reverse()) if (pending.due !== undefined) this.#return(pending)
    this.#pump()
  }
  /** Sequences that are not done with. */
  get left(): readonly number[] {
    return [...this.#pending.keys()]
  }
  consume(onDelivery: (delivery: Delivery) => void): Subscription {
    const consumer = { onDelivery, before: this.#entries.length }
    this.#consumers.push(consumer)
    this.#pump()
    return { close: () => void (this.#consumers = this.#consumers.filter((other) => other !== consumer)) }
  }
  /** The queue as one process reaches it: while `isCut` it hears of nothing, and what it says is not heard. */
  reachedBy(isCut: () => boolean): WorkQueue {
    const heard = (say: () => void) => (): void => void (isCut() || say())
    const asked = async <Answer>(question: () => Promise<Answer>): Promise<Answer> => {
      if (isCut()) throw new LogAway('the queue does not answer')
      return question()
    }
    return {
      consume: (onDelivery) =>
        this.consume((delivery) => {
          const { done, working, giveBack } = delivery
          if (!isCut()) onDelivery({ ...delivery, done: heard(done), working: heard(working), giveBack: heard(giveBack) })
        }),
      read: (sequence) => asked(() => this.read(sequence)),
      newest: (subject) => asked(() => this.newest(subject)),
      trim: (filter, keep) => asked(() => this.trim(filter, keep))
    }
  }
  async read(sequence: number): Promise<LogEntry | undefined> {
    this.#answers()
    return this.#entries[sequence - 1]
  }
  async newest(subject: string): Promise<LogEntry | undefined> {
    this.#answers()
    return this.#newest.get(subject)
  }
  async trim(filter: string, keep: number): Promise<void> {
    this.#answers()
    const wanted = subjectPattern(filter)
    const there = this.#entries.filter((entry) => entry !== undefined && wanted.test(entry.subject)) as LogEntry[]
    for (const { sequence, subject } of keep === 0 ? there : there.slice(0, -keep)) {
      const pending = this.#pending.get(sequence)
      this.#entries[sequence - 1] = undefined
      if (this.#newest.get(subject)?.sequence === sequence) this.#newest.delete(subject)
      if (pending === undefined) continue
      this.#pending.delete(sequence)
      this.#settle(pending)
    }
    this.#pump()
  }
  #answers(): void {
    if (this.#away) throw new LogAway('the queue does not answer')
  }
  #pump(): void {
    while (
      !this.#away &&
      this.#waiting.length > 0 &&
      this.#consumers.length > 0 &&
      this.#out < (this.#options.outstanding ?? OUTSTANDING)
    ) {
      const pending = this.#waiting.shift() as Pending
      const consumer = this.#consumers[this.#turn++ % this.#consumers.length] as Consumer
      this.#out += 1
      pending.deliveries += 1
      pending.due = this.#clock.after(this.#options.ackWaitMs ?? ACK_WAIT_MS, () => this.#return(pending))
      const delivery = this.#delivery(pending, consumer.before)
      const hand = (): void => {
        // On its way to somebody who is gone: it comes again when its time is over.
        if (this.#consumers.includes(consumer)) consumer.onDelivery(delivery)
      }
      const ms = this.#options.deliver?.() ?? 0
      if (ms === 0) queueMicrotask(hand)
      else this.#clock.after(ms, hand)
    }
  }
  #delivery(pending: Pending, before: number): Delivery {
    const { entry, deliveries } = pending
    return {
      subject: entry.subject,
      sequence: entry.sequence,
      size: Buffer.byteLength(entry.text),
      again: deliveries > 1 || entry.sequence <= before,
      behind: this.#waiting.length,
      done: () => {
        if (this.#away || this.#options.lose?.() === true || !this.#pending.delete(entry.sequence)) return
        this.#settle(pending)
        if (this.#lately.push(pending) > LATELY) this.#lately.shift()
        this.#pump()
      },
      working: () => {
        if (this.#away || pending.due === undefined) return
        pending.due.cancel()
        pending.due = this.#clock.after(this.#options.ackWaitMs ?? ACK_WAIT_MS, () => this.#return(pending))
      },
      giveBack: () => {
        if (!this.#away && pending.due !== undefined) this.#return(pending)
      }
    }
  }
  #settle(pending: Pending): void {
    if (pending.due === undefined) {
      const at = this.#waiting.indexOf(pending)
      if (at >= 0) this.#waiting.splice(at, 1)
      return
    }
    pending.due.cancel()
    pending.due = undefined
    this.#out -= 1
  }
  #return(pending: Pending): void {
    if (!this.#pending.has(pending.entry.sequence)) return
    this.#settle(pending)
    // What comes again comes before what is new.
    this.#waiting.unshift(pending)
    this.#pump()
  }
}
