/**
 * Group commit: decided events that wait while an append is in flight are stored together, as one atomic batch.
 *
 * The server syncs once per append, however many events it holds; one by one a stream takes some thousand events a
 * second, in batches some ten thousand. A batch has a fixed cost, so a short queue goes one by one, in parallel.
 */
import { encodeEvent, EXPECTED_HEADER, PREVIOUS_HEADER, type EventRecord, type NewEvent } from '#events/Event.ts'
import type { Guard } from '#events/guard.ts'
import { AppendUncertain, LogAway, LogRefused, type Append, type AppendResult, type Log } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import type { Vault } from '#services/platform/secrets/Vault.ts'
import { guardEvent } from './request/events.ts'

/** Measured: below this a batch's fixed cost exceeds the syncs it saves. */
const WORTH_A_BATCH = 8
/** What the server takes at once: a decision of more than that can't be stored. */
const LARGEST_DECISION = 1_000
/** Half of it keeps the latency of those inside low; a decision that is larger goes alone. */
const LARGEST_BATCH = 500
/** Of a refused batch, so few are tried one by one. */
const ALONE = 3
/** Single appends in flight at once. */
const PARALLEL = 8
/**
 * How long a write waits for a log that is away or does not answer, from when it was decided. Long enough for a nats-server
 * that has to be started again, short enough for a client to be told while it still listens; upstream gives a write 34 s.
 */
const PATIENCE_MS = 30_000
/** Between tries with a log that is there and gives no answer. */
const PAUSE_MS = 250

export type Outcome =
  { readonly ok: true; readonly last: number; readonly bodies: readonly string[] } | { readonly ok: false; readonly lastSequence?: number }

/** Whether the events are in the log could not be found out. */
export class Unresolved extends Error {
  override readonly name = 'Unresolved'
}

interface Waiting {
  readonly appends: readonly Append[]
  /** By the subject they guard: what must be as it was. Of a batch, those who guard the same share one entry. */
  readonly guards: ReadonlyMap<string, Guard>
  /** The decision's own event, for the facts of its guards. */
  readonly main: NewEvent
  /** How far the state reached that it was decided on. */
  readonly folded: number | undefined
  /** When to give up, by the clock. */
  readonly until: number
  readonly ids: readonly string[]
  /** The objects' JSON: what is stored may be sealed. */
  readonly bodies: readonly string[]
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

/** What makes an append ours, and keeps what is confidential so. */
export interface Protection {
  readonly integrity?: Integrity | undefined
  readonly vault?: Vault | undefined
  /** Where the stream begins (`View.begins`): the subjects of objects that did not change since are empty there. */
  readonly begins?: () => number
}

export class Committer {
  readonly #log: Log
  readonly #clock: Clock
  readonly #protection: Protection
  #queue: Waiting[] = []
  #inFlight = 0
  #batching = false
  #scheduled = false
  /** The last place that something of ours was stored at. */
  #end = 0

  constructor(log: Log, clock: Clock, protection: Protection = {}) {
    this.#log = log
    this.#clock = clock
    this.#protection = protection
  }
  /**
   * Stores the events of one decision, all or none, and only while what they stand on is as it was (`guards`). `folded`: the place in
   * the log they were decided at. Rejects with LogRefused when they are more than a batch can hold; with LogAway when the log could not be
   * reached within a writer's patience, counted from `since` (by the clock); with Unresolved when whether they are stored can't be told.
   */
  async commit(events: readonly NewEvent[], since = this.#clock.now(), guards: readonly Guard[] = [], folded?: number): Promise<Outcome> {
    const { vault } = this.#protection
    const main = events.at(-1) as NewEvent
    const guarded = new Map(guards.map((guard) => [subjectOf(main.stream, guard.key), guard]))
    const entries = events.length + guarded.size
    if (entries > LARGEST_DECISION)
      throw new LogRefused(
        `it takes ${entries} entries of the log at once, and at most ${LARGEST_DECISION} can be stored together`,
        'too-large'
      )
    const records = events.map(encodeEvent)
    const keys = vault?.prepare(events)
    if (keys !== undefined) await keys
    const appends = events.map((event, at) => this.#append(event, records[at] as EventRecord))
    return this.#enqueue({
      appends,
      guards: guarded,
      main,
      folded,
      until: since + PATIENCE_MS,
      ids: events.map(({ id }) => id),
      bodies: records.map(({ text }) => text)
    })
  }
  #append(event: NewEvent, record: EventRecord): Append {
    const { vault, integrity, begins } = this.#protection
    const { headers, text } = vault?.protect(event, record) ?? record
    const subject = subjectOf(event.stream, event.key)
    // The lock is on what the stream has; what the event follows on is said beside it.
    const compacted = event.expected > 0 && event.expected < (begins?.() ?? 0)
    const on = event.on === undefined ? {} : { on: subjectOf(event.stream, event.on) }
    const append = compacted
      ? { subject, headers: { ...headers, [EXPECTED_HEADER]: '0', [PREVIOUS_HEADER]: String(event.expected) }, text, expected: 0, ...on }
      : { subject, headers, text, expected: event.expected, ...on }
    return integrity?.seal(append) ?? append
  }
  #enqueue(decided: Omit<Waiting, 'resolve' | 'reject'>): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...decided, resolve, reject })
      if (this.#scheduled) return
      // A microtask later: intents that were decided in the same turn travel together.
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.#pump()
      })
    })
  }
  #pump(): void {
    if (this.#batching) return
    if (this.#isWorthABatch()) {
      const group = this.#nextGroup()
      this.#batching = true
      void this.#storeGroup(group).finally(() => {
        this.#batching = false
        this.#pump()
      })
      return
    }
    while (this.#queue.length > 0 && this.#inFlight < PARALLEL) {
      const next = this.#queue.shift() as Waiting
      this.#inFlight += 1
      void this.#storeOne(next).finally(() => {
        this.#inFlight -= 1
        this.#pump()
      })
    }
  }
  /** Enough to spare syncs; or one that takes a batch anyway, and the others may come along. */
  #isWorthABatch(): boolean {
    return this.#queue.length >= WORTH_A_BATCH || this.#queue.some(({ appends, guards }) => appends.length > 1 || guards.size > 0)
  }
  /** Those at the head of the line that may share a fate. */
  #nextGroup(): readonly Waiting[] {
    const group: Waiting[] = []
    let appends = 0
    let size = 0
    const guards = new Map<string, number>()
    const written = new Set<string>()
    // The first goes in any case: one that is larger would hold up all others without end.
    while (this.#queue.length > 0) {
      const next = this.#queue[0] as Waiting
      // As if it shared no guard: it may be one too few, and is never one too many.
      if (size > 0 && size + next.appends.length + next.guards.size > LARGEST_BATCH) break
      // Of two versions of one object at most one is there; and what is changed here can't be as it was for who comes behind.
      if ([...next.guards].some(([subject, { expected }]) => (guards.get(subject) ?? expected) !== expected || written.has(subject))) break
      for (const [subject, { expected }] of next.guards) guards.set(subject, expected)
      for (const { subject } of next.appends) written.add(subject)
      this.#queue.shift()
      group.push(next)
      appends += next.appends.length
      size = appends + guards.size
    }
    return group
  }
  /**
   * What is stored with them if what they stand on is as it was. In front: what one batch has written, nothing behind it can expect.
   * One entry for all who guard the same: a thousand creates in one namespace cost one each batch.
   */
  #guardsOf(group: readonly Waiting[]): readonly Append[] {
    const events = new Map<string, NewEvent>()
    for (const { guards, main } of group)
      for (const [subject, guard] of guards) if (!events.has(subject)) events.set(subject, guardEvent(main, guard, events.size + 1))
    return [...events.values()].map((event) => this.#append(event, encodeEvent(event)))
  }
  async #storeGroup(group: readonly Waiting[]): Promise<void> {
    if (group.length === 1) return this.#storeOne(group[0] as Waiting)
    let result: AppendResult
    try {
      const appends = [...this.#guardsOf(group), ...group.flatMap((waiting) => waiting.appends)]
      result = await this.#log.append(appends, this.#patience(group[0] as Waiting))
    } catch (error) {
      if (error instanceof LogAway) return this.#putBack(group, error)
      // Each finds out for itself what became of it, or why it alone is refused.
      return this.#storeEach(group, error instanceof AppendUncertain)
    }
    if (!result.ok) {
      // One stale expectation refuses the batch. Halved until it stands alone, as its neighbours need not: one by one, those that
      // are batches themselves would cost a batch each, and several servers at one range of ports would come to a standstill.
      if (group.length <= ALONE) return this.#storeEach(group, false)
      const middle = group.length >> 1
      await Promise.all([this.#storeGroup(group.slice(0, middle)), this.#storeGroup(group.slice(middle))])
      return
    }
    this.#end = Math.max(this.#end, result.last)
    let sequence = result.last - group.reduce((sum, { appends }) => sum + appends.length, 0)
    for (const waiting of group) {
      sequence += waiting.appends.length
      waiting.resolve({ ok: true, last: sequence, bodies: waiting.bodies })
    }
  }
  /** With guards it is a batch again, of which the server takes fifty at a time. */
  async #storeEach(group: readonly Waiting[], uncertain: boolean): Promise<void> {
    const [guarded, others] = [group.filter(({ guards }) => guards.size > 0), group.filter(({ guards }) => guards.size === 0)]
    await Promise.all(others.map((waiting) => this.#storeOne(waiting, uncertain)))
    for (let at = 0; at < guarded.length; at += PARALLEL)
      await Promise.all(guarded.slice(at, at + PARALLEL).map((waiting) => this.#storeOne(waiting, uncertain)))
  }
  /** Nothing was sent: who has waited long enough is told, the others stay at the head of the line. */
  #putBack(group: readonly Waiting[], error: LogAway): void {
    const patient = group.filter((waiting) => this.#patience(waiting) > 0)
    for (const waiting of group) if (!patient.includes(waiting)) waiting.reject(error)
    this.#queue.unshift(...patient)
  }
  async #storeOne(waiting: Waiting, uncertain = false): Promise<void> {
    try {
      waiting.resolve(await this.#resolved(waiting, uncertain))
    } catch (error) {
      waiting.reject(error)
    }
  }
  async #resolved(waiting: Waiting, uncertain: boolean): Promise<Outcome> {
    // The first repetition comes at once, the others are paced: a log that fails at once is not asked without end.
    for (let tries = 0; ; tries++) {
      if (tries > 1) await sleep(this.#clock, PAUSE_MS)
      if (uncertain) {
        const stored = await this.#lookUp(waiting).catch(() => 'unknown' as const)
        if (typeof stored === 'number') return this.#stored(waiting, stored)
        if (this.#patience(waiting) === 0) throw new Unresolved('the log gave no acknowledgement')
        if (stored === 'unknown') continue
      }
      try {
        const result = await this.#appendOne(waiting, tries === 0 && !uncertain)
        if (result.ok) return this.#stored(waiting, result.last)
        // A conflict after a lost acknowledgement may be with ourselves: the log tells whose event it is.
        const own = uncertain ? await this.#lookUp(waiting) : undefined
        return own !== undefined
          ? this.#stored(waiting, own)
          : { ok: false, ...(result.lastSequence === undefined ? {} : { lastSequence: result.lastSequence }) }
      } catch (error) {
        if (error instanceof AppendUncertain) uncertain = true
        else if (!(error instanceof LogAway)) throw error
        else if (this.#patience(waiting) === 0) throw uncertain ? new Unresolved('the log gave no acknowledgement') : error
      }
    }
  }
  /**
   * A lone event with guards would take a batch of its own, seven times as long as an append. Where nothing at all was written since
   * it was decided, everything is as it was: that is one expectation, of the whole log. It holds as long as it is quiet, and a lone
   * writer is alone then; otherwise the guards say it exactly.
   */
  async #appendOne(waiting: Waiting, first: boolean): Promise<AppendResult> {
    const { appends, guards, folded } = waiting
    if (first && guards.size > 0 && appends.length === 1 && folded !== undefined && folded >= this.#end && this.#inFlight === 0) {
      const result = await this.#log.append([{ ...(appends[0] as Append), after: folded }], this.#patience(waiting))
      if (result.ok) return result
    }
    return this.#log.append([...this.#guardsOf([waiting]), ...appends], this.#patience(waiting))
  }
  /** Milliseconds left. */
  #patience({ until }: Waiting): number {
    return Math.max(0, until - this.#clock.now())
  }
  /**
   * The sequence of the decision's last event if it is in the log, undefined if it is not. The intent may have been decided by
   * another API server as well, whose event has the same id and another object: that one is a conflict.
   */
  async #lookUp(waiting: Waiting): Promise<number | undefined> {
    const last = waiting.appends.at(-1) as Append
    const entry = await this.#log.lastOn(last.subject)
    return entry !== undefined && entry.headers['ce-id'] === waiting.ids.at(-1) && entry.text === last.text ? entry.sequence : undefined
  }
  #stored(waiting: Waiting, last: number): Outcome {
    this.#end = Math.max(this.#end, last)
    return { ok: true, last, bodies: waiting.bodies }
  }
}
