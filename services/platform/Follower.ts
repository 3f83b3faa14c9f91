/**
 * Following a stream, whatever delivers it: in order, nothing twice, nothing left out, and never another stream in place of the
 * one that was followed. Consumers come and go (`Source`); what they deliver is only believed when it follows on.
 */
import {
  LogDamaged,
  LogMoved,
  type DamageKind,
  type Follow,
  type LogEntry,
  type LogState,
  type Range,
  type Subscription
} from '#events/Log.ts'
import { sleep, type Clock, type Timer } from './Clock.ts'
import { beyond, textOfRanges } from './jetstream/metadata.ts'

export interface Delivery {
  readonly entry: LogEntry
  /** The consumer's own count of what it has delivered, from 1. */
  readonly count: number
  /** How many more it has. */
  readonly pending: number
}

/** One consumer: made for one place in the stream, and replaced when it ends. */
export interface Consumer {
  readonly state: LogState
  /** What it has when it begins. */
  readonly pending: number
  /** It has no more than that, and that is what was kept when history was compacted: the stream itself begins behind it (`state.first`). */
  readonly kept?: boolean
  /** It begins with each subject's last entry, in the order of sequences; `pending` counts these. */
  readonly newest?: boolean
  /** Delivers until it ends or is closed. `onEnd`: nothing comes any more; ask for another one. */
  run(onDelivery: (delivery: Delivery) => void, onEnd: () => void): void
  /** It is needed no longer; never rejects. */
  close(): Promise<void>
}

export interface Source {
  readonly stream: string
  /**
   * A consumer of what has a sequence ≥ from, and first of what was kept when history was compacted; `newest`: of each
   * subject's last entry. Rejects while the stream can't be reached.
   */
  open(from: number, newest: boolean): Promise<Consumer>
  /** How an open that was rejected is to be taken. */
  verdict(error: unknown): 'again' | 'missing' | 'never'
  /** The source is gone for good. */
  readonly closed: boolean
  /** False when it was not lost since the last time this was asked; true, once it is there again, when it was. */
  reached?(): Promise<boolean>
}

export interface FollowerOptions {
  readonly clock: Clock
  /** Every sequence must come, but for those that are known to be lost. */
  readonly gapless: boolean
}

const RETRY_MS = 250
/** What is still so after this many fresh consumers is in the stream itself. */
const TRIES = 3
/** A server that has more and delivers none of it for so long is asked anew; it may not be able to read it. */
const STALLED_MS = 10_000

/** The holes readers pass over. */
const accepted = ({ losses, floor, first }: LogState): readonly Range[] =>
  floor > 0 ? [{ first: 1, last: Math.min(floor, first - 1) }, ...losses] : losses

class Follower implements Subscription {
  readonly #source: Source
  readonly #options: FollowerOptions
  readonly #follow: Follow
  #closed = false
  #next: number
  #holes: readonly Range[] = []
  /** The stream's last sequence and name as far as they were seen: neither ever goes back. */
  #known: { last: number; readonly identity: string | undefined } | undefined
  /** Where the stream began when this follower did. */
  #beginning: number | undefined
  #waiting: LogEntry[] = []
  #target: number | undefined
  #asked = false
  /** In a row: gaps, consumers that delivered nothing, answers that there is no such stream. */
  #gaps = 0
  #stalls = 0
  /** Consumers that had fewer of the newest entries than they said. */
  #short = 0
  /** Where the stream began when fewer of the newest entries came than there were. */
  #shortAt: number | undefined
  /** What comes next is each subject's last entry. */
  #newest: boolean
  /** They have come, and whether the stream still begins where it did was not looked at since. */
  #unconfirmed = false
  #missing = 0
  #end: () => void = () => {}

  constructor(source: Source, options: FollowerOptions, follow: Follow) {
    this.#source = source
    this.#options = options
    this.#follow = follow
    this.#next = Math.max(1, follow.from)
    this.#newest = (follow.newestUpTo ?? 0) >= this.#next
  }
  close(): void {
    this.#closed = true
    this.#end()
  }
  async run(): Promise<void> {
    const { clock } = this.#options
    while (!this.#closed && !this.#source.closed) {
      try {
        if ((await this.#live()) === 'goes on') continue
      } catch (error) {
        if (this.#closed || this.#source.closed) break
        this.#stalls = 0
        const verdict = this.#source.verdict(error)
        if (verdict === 'never') return this.#fail(error instanceof Error ? error : new Error(String(error)))
        // A server knows its streams before it lets anybody in.
        this.#missing = verdict === 'missing' ? this.#missing + 1 : 0
        if (this.#missing > TRIES) return this.#damaged('gone', { first: 1, last: this.#known?.last ?? 0 }, 'the stream is not there')
      }
      // What was lost is asked anew as soon as it is back; anything else is given a moment.
      if (!this.#closed && (await this.#source.reached?.()) !== true) await sleep(clock, RETRY_MS)
    }
    if (!this.#closed) this.#fail(new Error(`${this.#source.stream}: the connection to the log was closed`))
  }
  /** One consumer's life. */
  async #live(): Promise<'goes on' | undefined> {
    const consumer = await this.#source.open(this.#next, this.#newest)
    this.#missing = 0
    try {
      if (this.#closed || !this.#isSame(consumer.state)) return
      this.#beginning ??= consumer.state.first
      this.#holes = accepted(consumer.state)
      if (!this.#asked) {
        this.#asked = true
        this.#target = consumer.state.last
      }
      if (this.#unconfirmed && this.#hasMoved(consumer.state)) return
      this.#unconfirmed = false
      if (consumer.kept === true) return await this.#keptBy(consumer)
      if (consumer.newest === true) return await this.#newestBy(consumer)
      if (consumer.pending === 0 && !this.#reachesTarget()) return
      this.#caughtUp()
      if (this.#closed) return
      if ((await this.#consume(consumer)) === 'stalled' && !this.#closed && ++this.#stalls >= TRIES)
        this.#damaged('unreadable', { first: this.#next, last: this.#next }, `event ${this.#next} is there, but can't be read`)
      // What was received is folded before the next consumer starts, so that `next` is what was delivered.
      this.#flush()
    } finally {
      await consumer.close()
    }
  }
  /** True when history was compacted since: then what came of it may not be all that there was. */
  #hasMoved({ first, floor }: LogState): boolean {
    if (floor === 0 || first === this.#beginning) return false
    this.#fail(
      new LogMoved(
        `${this.#source.stream}: history was compacted up to ${floor} while this reader stood at ${this.#next}; it has to start again`
      )
    )
    return true
  }
  /** What was kept when history was compacted comes first; then the stream, from where it begins. */
  async #keptBy(consumer: Consumer): Promise<'goes on' | undefined> {
    const { first, floor } = consumer.state
    // What went since has deletions among it, of objects that were folded already: only a fold from the beginning is right.
    if (this.#hasMoved(consumer.state)) return undefined
    const end = consumer.pending === 0 ? 'whole' : await this.#consume(consumer)
    if (end === 'stalled' && !this.#closed && ++this.#stalls >= TRIES)
      this.#damaged(
        'unreadable',
        { first: this.#next, last: floor },
        `what was kept of history, from event ${this.#next} on, is there, but can't be read`
      )
    this.#flush()
    if (end !== 'whole') return undefined
    this.#next = first
    return 'goes on'
  }
  /** The last entry of each subject up to a place; then everything from there on. */
  async #newestBy(consumer: Consumer): Promise<'goes on' | undefined> {
    const upTo = this.#follow.newestUpTo ?? 0
    const { first, floor } = consumer.state
    if (this.#hasMoved(consumer.state)) return undefined
    // Fewer came than there were, because some were too old meanwhile: the others have been delivered.
    const expired = floor === 0 && this.#shortAt !== undefined && first > this.#shortAt
    const end = expired || consumer.pending === 0 ? 'whole' : await this.#consume(consumer)
    this.#flush()
    if (this.#closed) return undefined
    if (end === 'stalled' && ++this.#stalls >= TRIES)
      this.#damaged(
        'unreadable',
        { first: this.#next, last: upTo },
        `the newest event of some object, between ${this.#next} and ${upTo}, is there, but can't be read`
      )
    if (end === 'short') {
      this.#shortAt = first
      if (++this.#short >= TRIES)
        this.#damaged('hole', { first, last: upTo }, `the newest events of some of its ${consumer.pending} objects are missing`)
    }
    if (end !== 'whole') return undefined
    if (this.#short > 0 && !expired)
      return void this.#fail(new LogMoved(`${this.#source.stream}: not all of its objects came at first; it has to be read again`))
    this.#newest = false
    this.#unconfirmed = true
    this.#next = upTo + 1
    return 'goes on'
  }
  #consume(consumer: Consumer): Promise<'stalled' | 'ended' | 'whole' | 'short'> {
    const { clock } = this.#options
    return new Promise((resolve) => {
      let delivered = 0
      let seen = -1
      let more = consumer.pending > 0
      let timer: Timer | undefined
      let over = false
      const end = (why: 'stalled' | 'ended' | 'whole' | 'short' = 'ended'): void => {
        over = true
        timer?.cancel()
        resolve(why)
      }
      // Looked at now and then, while there is something to wait for: a replay has a hundred thousand messages a second.
      const watch = (): void => {
        if (delivered === seen) return end('stalled')
        seen = delivered
        timer = clock.after(STALLED_MS, watch)
      }
      if (more) timer = clock.after(STALLED_MS, watch)
      this.#end = end
      consumer.run(
        ({ entry, count, pending }) => {
          if (consumer.kept === true && !this.#closed && !over) {
            if (count !== delivered + 1) return end()
            delivered += 1
            if (entry.sequence >= this.#next && entry.sequence < consumer.state.first) this.#take(entry)
            if (pending === 0) end('whole')
            return
          }
          if (consumer.newest === true && !this.#closed && !over) {
            if (count !== delivered + 1) return end()
            delivered += 1
            // What was changed since comes again, behind; until then the object is not there, and nobody has caught up.
            if (this.#target !== undefined && entry.sequence > this.#target) this.#target = entry.sequence
            // Once fewer came than the server had counted, it is only counted again: nothing is delivered out of order.
            if (this.#short === 0 && entry.sequence >= this.#next && entry.sequence <= (this.#follow.newestUpTo ?? 0)) this.#take(entry)
            if (pending === 0) end(delivered < consumer.pending ? 'short' : 'whole')
            return
          }
          if (this.#closed || over || entry.sequence < this.#next) return
          if (count !== delivered + 1 || (this.#options.gapless && !this.#passes(entry.sequence))) {
            this.#gap(entry.sequence)
            return end()
          }
          delivered += 1
          more = pending > 0
          if (more) timer ??= clock.after(STALLED_MS, watch)
          else if (timer !== undefined) {
            timer.cancel()
            timer = undefined
          }
          this.#take(entry)
          if (!more && !this.#reachesTarget()) end()
        },
        () => end()
      )
    })
  }
  /**
   * Nothing more will come of what was there at the start. Of a part of a stream the last sequence is perhaps never delivered;
   * of a whole one it is missing, unless somebody has accepted that: then false.
   */
  #reachesTarget(): boolean {
    if (this.#target === undefined || this.#next > this.#target) return true
    if (this.#options.gapless && !this.#passes(this.#target + 1)) {
      this.#gap(this.#target + 1)
      return false
    }
    this.#next = this.#target + 1
    return true
  }
  #take(entry: LogEntry): void {
    const { sequence } = entry
    this.#gaps = 0
    this.#stalls = 0
    this.#next = sequence + 1
    if (this.#known !== undefined && sequence > this.#known.last) this.#known.last = sequence
    if (this.#waiting.length === 0) queueMicrotask(() => this.#flush())
    this.#waiting.push(entry)
  }
  #flush(): void {
    if (this.#closed || this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    try {
      this.#follow.onEntries(batch)
    } catch (error) {
      return this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
    this.#caughtUp()
  }
  #caughtUp(): void {
    if (this.#closed || this.#newest || this.#target === undefined || this.#next <= this.#target) return
    const reached = this.#target
    this.#target = undefined
    this.#follow.onCaughtUp?.(reached)
  }
  /** True when everything from the next one to before `sequence` is known to be lost. */
  #passes(sequence: number): boolean {
    return beyond(this.#holes, this.#next) >= sequence
  }
  #gap(sequence: number): void {
    this.#gaps += 1
    if (this.#gaps <= TRIES) return
    const range = { first: this.#next, last: sequence - 1 }
    this.#damaged('hole', range, `events ${textOfRanges([range])} are missing; what follows can't be folded without them`)
  }
  /** False when the stream is not the one that was followed. */
  #isSame({ identity, last }: LogState): boolean {
    const known = this.#known
    if (known !== undefined && known.identity !== identity)
      this.#damaged(
        'replaced',
        { first: 1, last: known.last },
        `another stream stands in its place (${identity ?? 'one without a name'}, not ${known.identity ?? 'none'})`
      )
    else if (known !== undefined && last < known.last)
      this.#damaged('shorter', { first: last + 1, last: known.last }, `it ended at ${known.last}, and ends at ${last} now`)
    this.#known = { last, identity }
    return !this.#closed
  }
  #damaged(kind: DamageKind, range: Range, detail: string): void {
    const { stream } = this.#source
    this.#fail(new LogDamaged({ stream, kind, ranges: [range], verified: this.#next - 1, detail: `${stream}: ${detail}` }))
  }
  #fail(error: Error): void {
    if (this.#closed) return
    this.close()
    this.#follow.onFailed(error)
  }
}

export const followSource = (source: Source, options: FollowerOptions, follow: Follow): Subscription => {
  const follower = new Follower(source, options, follow)
  void follower.run()
  return follower
}
