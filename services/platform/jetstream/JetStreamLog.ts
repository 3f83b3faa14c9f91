/**
 * The log on NATS JetStream: one stream, appended to with per-subject expectations, read by one follower.
 *
 * Guarantees: an append that resolves is on disk (the server runs with `sync_interval: always`); several appends
 * are one atomic batch, which is also the group commit: the server syncs once per batch, not once per message.
 */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { headers as newHeaders, nuid, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { EXPECTED_HEADER, EXPECTED_ON_HEADER } from '#events/Event.ts'
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
  type ReadRange,
  type Subscription
} from '#events/Log.ts'
import { baseSubjectOf, BASE } from '#events/Subject.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { followSource } from '#services/platform/Follower.ts'
import type { Appends } from './Appends.ts'
import { ownConsumers, type Consumers } from './consumers.ts'
import { entryOfBase, entryOfStored } from './entry.ts'
import { isNotFound, isUnanswered } from './errors.ts'
import { jetStreamSource } from './follow.ts'
import { ConnectionLost, untilLost, whenConnected } from './link.ts'
import { fetchBatch, readRange } from './read.ts'

const ACK_TIMEOUT_MS = 5_000
/** What a reader waits for a connection in all, and how often it asks a server that is there and does not answer. */
const READ_MS = 10_000
const READ_TRIES = 4
/** "wrong last sequence", with and (from a replicated stream) without the number. */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164])
/** "insufficient resources", "insufficient storage resources available". */
const FULL = new Set([10023, 10047])
/** What the store's own error says when there is no room; its code is the one of every failure to store. */
const NO_ROOM = /no space left|disk quota|maximum bytes exceeded/i
/** Of a batch (ADR-50): an entry of it is not there at its end. What is between the first and the last is not acknowledged. */
const INCOMPLETE = 10176
/** "message size exceeds maximum allowed". */
const TOO_LARGE = 10054
const encoder = new TextEncoder()

interface PubAck {
  readonly seq?: number
  readonly count?: number
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string }
}

export interface JetStreamLogOptions {
  /** Where its followers' consumers come from: made by itself unless told. */
  readonly consumers?: Consumers
  /** Only these subjects are followed; sequences then have gaps, and delivery order is checked by the consumer's own count. */
  readonly filter?: string
  /** False for streams that drop inner messages (one per subject), and for followers of a part. */
  readonly gapless?: boolean
  /** Told what becomes of each append. */
  readonly appends?: Appends
}

export class JetStreamLog implements Log {
  readonly stream: string
  readonly #connection: NatsConnection
  readonly #consumers: Consumers
  readonly #gapless: boolean
  readonly #appends: Appends | undefined
  #manager: Promise<JetStreamManager> | undefined

  constructor(connection: NatsConnection, stream: string, { consumers, filter, gapless, appends }: JetStreamLogOptions = {}) {
    this.stream = stream
    this.#connection = connection
    this.#consumers = consumers ?? ownConsumers(connection, { stream, ...(filter === undefined ? {} : { filters: [filter] }) })
    this.#gapless = gapless !== false && filter === undefined
    this.#appends = appends
  }
  #jsm(): Promise<JetStreamManager> {
    this.#manager ??= jetstreamManager(this.#connection, { checkAPI: false })
    return this.#manager
  }
  async append(appends: readonly Append[], waitMs = ACK_TIMEOUT_MS): Promise<AppendResult> {
    const batch = appends.length > 1 ? nuid.next() : undefined
    // What can't be said on the wire is wrong for good: it is found before anything is sent.
    const messages = appends.map((append, at) => ({
      subject: append.subject,
      data: encoder.encode(append.text),
      headers: this.#headers(append, batch, at, at === appends.length - 1)
    }))
    if (!(await whenConnected(this.#connection, waitMs)))
      throw new LogAway(`${this.stream}: there is no connection to the log; nothing was stored`)
    let answer: Msg | undefined
    for (const [at, { subject, data, headers }] of messages.entries()) {
      // The client library's batch helper drops expectations and swallows refusals, so the protocol (ADR-50) is spoken here.
      if (at > 0 && at < messages.length - 1) {
        this.#connection.publish(subject, data, { headers })
        continue
      }
      answer = await this.#acknowledged(subject, data, headers)
      const refused = this.#refused(answer)
      if (refused !== undefined) return refused
    }
    this.#appends?.note('stored')
    const last = (answer as Msg).json<PubAck>().seq as number
    return { ok: true, first: last - appends.length + 1, last }
  }
  #headers(append: Append, batch: string | undefined, at: number, isLast: boolean): MsgHdrs {
    const headers = newHeaders()
    try {
      for (const [name, value] of Object.entries(append.headers)) if (name !== EXPECTED_HEADER) headers.set(name, value)
    } catch (error) {
      throw new LogRefused(
        `${this.stream}: an event can't be written: ${error instanceof Error ? error.message : String(error)}`,
        'malformed'
      )
    }
    if (append.expected !== undefined) headers.set(EXPECTED_HEADER, String(append.expected))
    if (append.expected !== undefined && append.on !== undefined) headers.set(EXPECTED_ON_HEADER, append.on)
    if (append.after !== undefined) headers.set('Nats-Expected-Last-Sequence', String(append.after))
    if (batch !== undefined) {
      headers.set('Nats-Batch-Id', batch)
      headers.set('Nats-Batch-Sequence', String(at + 1))
      if (isLast) headers.set('Nats-Batch-Commit', '1')
    }
    return headers
  }
  /** An acknowledgement that was on its way when the connection broke will not come: it is not waited for. */
  async #acknowledged(subject: string, data: Uint8Array, headers: MsgHdrs): Promise<Msg> {
    try {
      return await untilLost(this.#connection, () => this.#connection.request(subject, data, { headers, timeout: ACK_TIMEOUT_MS }))
    } catch (error) {
      if (!(error instanceof ConnectionLost)) this.#appends?.note('unanswered')
      throw new AppendUncertain(`${this.stream}: no acknowledgement (${error instanceof Error ? error.message : String(error)})`, {
        cause: error
      })
    }
  }
  #refused(answer: Msg): AppendResult | undefined {
    if (answer.data.length === 0) return undefined
    const { error } = answer.json<PubAck>()
    if (error === undefined) return undefined
    if (error.err_code === INCOMPLETE)
      throw new LogAway(`${this.stream}: a part of the write was lost on its way or found no room; nothing was stored`)
    if (!WRONG_LAST_SEQUENCE.has(error.err_code)) {
      const why =
        FULL.has(error.err_code) || NO_ROOM.test(error.description) ? 'full' : error.err_code === TOO_LARGE ? 'too-large' : 'other'
      if (why === 'full') this.#appends?.note('full')
      throw new LogRefused(`${this.stream} refused the write: ${error.description} (${error.err_code})`, why)
    }
    const lastSequence = /wrong last sequence: (\d+)/.exec(error.description)?.[1]
    return { ok: false, conflict: true, ...(lastSequence === undefined ? {} : { lastSequence: Number(lastSequence) }) }
  }
  follow(follow: Follow): Subscription {
    return followSource(
      jetStreamSource(this.#connection, this.stream, this.#consumers),
      { clock: systemClock, gapless: this.#gapless },
      follow
    )
  }
  async get(sequence: number, subject?: string): Promise<LogEntry | undefined> {
    const jsm = await this.#jsm()
    const found = await this.#orNothing(() => jsm.direct.getMessage(this.stream, { seq: sequence }))
    if (found !== null) return entryOfStored(found)
    if (this.stream !== 'EVENTS') return undefined
    const kept = subject === undefined ? await this.#search(jsm, sequence) : await this.#keptOn(jsm, subject)
    return kept?.sequence === sequence ? kept : undefined
  }
  /** The version an object had at the floor of history, when its older ones were compacted. */
  async #keptOn(jsm: JetStreamManager, subject: string): Promise<LogEntry | undefined> {
    const found = await this.#orNothing(() => jsm.direct.getMessage(BASE, { last_by_subj: baseSubjectOf(subject) }))
    return found === null ? undefined : entryOfBase(entryOfStored(found))
  }
  /** The same by its place: kept versions stand in the order of their sequences. */
  async #search(jsm: JetStreamManager, sequence: number): Promise<LogEntry | undefined> {
    /** The first at or behind a place. */
    const at = async (place: number): Promise<{ readonly place: number; readonly entry: LogEntry } | undefined> => {
      const found = await this.#orNothing(() => jsm.direct.getMessage(BASE, { seq: place, next_by_subj: 'base.>' }))
      return found === null ? undefined : { place: found.seq, entry: entryOfBase(entryOfStored(found)) }
    }
    let low = 1
    let high = 1
    for (let found = await at(high); found !== undefined && found.entry.sequence < sequence; found = await at(high))
      [low, high] = [found.place, found.place * 2]
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const found = await at(middle)
      if (found === undefined || found.entry.sequence > sequence) high = middle - 1
      else if (found.entry.sequence === sequence) return found.entry
      else low = found.place + 1
    }
    return undefined
  }
  /** Sequence of the first entry that was stored at `time` (milliseconds) or later; undefined: none was. */
  async firstSince(time: number): Promise<number | undefined> {
    const jsm = await this.#jsm()
    // With a subject: what the server finds by time alone may be a place where nothing is any more.
    return (await this.#orNothing(() => jsm.direct.getMessage(this.stream, { start_time: new Date(time), next_by_subj: '>' })))?.seq
  }
  async *read(range: ReadRange): AsyncGenerator<readonly LogEntry[]> {
    const jsm = await this.#jsm()
    const { from, to, filter } = range
    const { first, floor } = this.stream === 'EVENTS' ? await this.state() : { first: 1, floor: 0 }
    if (from <= floor && from < first) {
      const kept = readRange({ from: 1, to: Number.MAX_SAFE_INTEGER }, (place) =>
        this.#again(() => fetchBatch(jsm, BASE, place, filter === undefined ? undefined : baseSubjectOf(filter)))
      )
      for await (const entries of kept) {
        const wanted = entries.map(entryOfBase).filter(({ sequence }) => sequence >= from && sequence <= to && sequence < first)
        if (wanted.length > 0) yield wanted
      }
    }
    yield* readRange(range, (place) => this.#again(() => fetchBatch(jsm, this.stream, place, filter)))
  }
  async lastOn(subject: string, upTo?: number): Promise<LogEntry | undefined> {
    const jsm = await this.#jsm()
    const found = await this.#orNothing(async () => {
      if (upTo === undefined) return jsm.direct.getMessage(this.stream, { last_by_subj: subject })
      for await (const message of await jsm.direct.getLastMessagesFor(this.stream, { multi_last: [subject], up_to_seq: upTo }))
        return message
      return null
    })
    if (found !== null) return entryOfStored(found)
    const kept = this.stream === 'EVENTS' ? await this.#keptOn(jsm, subject) : undefined
    return kept === undefined || kept.sequence > (upTo ?? Number.POSITIVE_INFINITY) ? undefined : kept
  }
  async lastSequence(): Promise<number> {
    return (await this.state()).last
  }
  /** The stream's own metadata; for who may ask for it (`trusted` users). */
  async metadata(): Promise<Readonly<Record<string, string>>> {
    const jsm = await this.#jsm()
    return (await this.#again(() => jsm.streams.info(this.stream))).config.metadata ?? {}
  }
  state(): Promise<LogState> {
    return this.#again(() => this.#consumers.state())
  }
  /** A question whose answer died with the connection is asked anew when there is one again: within READ_MS in all. */
  async #again<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    const until = Date.now() + READ_MS
    for (let tries = 1; ;) {
      if (!(await whenConnected(this.#connection, until - Date.now())))
        throw new LogAway(`${this.stream}: there is no connection to the log`)
      try {
        return await untilLost(this.#connection, ask)
      } catch (error) {
        if (error instanceof ConnectionLost) continue
        // A server that has just begun may not answer yet, or be busy.
        if (!(error instanceof Error && isUnanswered(error))) throw error
        if (tries >= READ_TRIES) throw new LogAway(`${this.stream}: the log does not answer (${error.message})`, { cause: error })
        tries += 1
      }
    }
  }
  async #orNothing<Found>(ask: () => Promise<Found | null>): Promise<Found | null> {
    try {
      return await this.#again(ask)
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }
}
