/**
 * The log on NATS JetStream: one stream, appended to with per-subject expectations, read by one follower.
 *
 * Guarantees: an append that resolves is on disk (the server runs with `sync_interval: always`); several appends
 * are one atomic batch, which is also the group commit: the server syncs once per batch, not once per message.
 */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import { headers as newHeaders, nuid, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { EXPECTED_HEADER } from '#events/Event.ts'
import { AppendUncertain, type Append, type AppendResult, type Follow, type Log, type LogEntry, type Range, type Subscription } from '#events/Log.ts'
import { followStream } from './follow.ts'
import { fetchBatch, readRange } from './read.ts'

const ACK_TIMEOUT_MS = 5_000
/** "wrong last sequence", with and (from a replicated stream) without the number. */
const WRONG_LAST_SEQUENCE = new Set([10071, 10164])
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const plainHeaders = (from: MsgHdrs | undefined): Record<string, string> => {
  const plain: Record<string, string> = {}
  if (from !== undefined) for (const [name, values] of from) plain[name] = values[0] ?? ''
  return plain
}

interface PubAck {
  readonly seq?: number
  readonly count?: number
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string }
}

export interface JetStreamLogOptions {
  /** A fixed consumer name: for users whose permissions name it. */
  readonly consumer?: string
  /** Only these subjects are followed; sequences then have gaps, and delivery order is checked by the consumer's own count. */
  readonly filter?: string
  /** False for streams that drop inner messages (one per subject). */
  readonly gapless?: boolean
}

export class JetStreamLog implements Log {
  readonly stream: string
  readonly #connection: NatsConnection
  readonly #options: JetStreamLogOptions
  #manager: Promise<JetStreamManager> | undefined

  constructor(connection: NatsConnection, stream: string, options: JetStreamLogOptions = {}) {
    this.stream = stream
    this.#connection = connection
    this.#options = options
  }
  #jsm(): Promise<JetStreamManager> {
    this.#manager ??= jetstreamManager(this.#connection, { checkAPI: false })
    return this.#manager
  }
  async append(appends: readonly Append[]): Promise<AppendResult> {
    const batch = appends.length > 1 ? nuid.next() : undefined
    let answer: Msg | undefined
    try {
      for (const [at, append] of appends.entries()) {
        const headers = newHeaders()
        for (const [name, value] of Object.entries(append.headers)) if (name !== EXPECTED_HEADER) headers.set(name, value)
        if (append.expected !== undefined) headers.set(EXPECTED_HEADER, String(append.expected))
        if (batch !== undefined) {
          headers.set('Nats-Batch-Id', batch)
          headers.set('Nats-Batch-Sequence', String(at + 1))
          if (at === appends.length - 1) headers.set('Nats-Batch-Commit', '1')
        }
        const data = encoder.encode(append.text)
        // The client library's batch helper drops expectations and swallows refusals, so the protocol (ADR-50) is spoken here.
        if (at === 0 || at === appends.length - 1) {
          answer = await this.#connection.request(append.subject, data, { headers, timeout: ACK_TIMEOUT_MS })
          const refused = this.#refused(answer)
          if (refused !== undefined) return refused
        } else this.#connection.publish(append.subject, data, { headers })
      }
    } catch (error) {
      if (error instanceof LogRefused) throw error
      throw new AppendUncertain(`${this.stream}: no acknowledgement (${error instanceof Error ? error.message : String(error)})`, { cause: error })
    }
    const last = (answer as Msg).json<PubAck>().seq as number
    return { ok: true, first: last - appends.length + 1, last }
  }
  #refused(answer: Msg): AppendResult | undefined {
    if (answer.data.length === 0) return undefined
    const { error } = answer.json<PubAck>()
    if (error === undefined) return undefined
    if (!WRONG_LAST_SEQUENCE.has(error.err_code)) throw new LogRefused(`${this.stream} refused the write: ${error.description} (${error.err_code})`)
    const lastSequence = /wrong last sequence: (\d+)/.exec(error.description)?.[1]
    return { ok: false, conflict: true, ...(lastSequence === undefined ? {} : { lastSequence: Number(lastSequence) }) }
  }
  follow(follow: Follow): Subscription {
    return followStream(this.#connection, this.stream, { ...this.#options, gapless: this.#options.gapless !== false && this.#options.filter === undefined }, follow)
  }
  async get(sequence: number): Promise<LogEntry | undefined> {
    const jsm = await this.#jsm()
    return entryOf(await orNothing(() => jsm.direct.getMessage(this.stream, { seq: sequence })))
  }
  async *read(range: Range): AsyncGenerator<readonly LogEntry[]> {
    const jsm = await this.#jsm()
    yield* readRange(range, (from) => again(() => fetchBatch(jsm, this.stream, from, range.filter)))
  }
  async lastOn(subject: string, upTo?: number): Promise<LogEntry | undefined> {
    const jsm = await this.#jsm()
    if (upTo === undefined) return entryOf(await orNothing(() => jsm.direct.getMessage(this.stream, { last_by_subj: subject })))
    return entryOf(
      await orNothing(async () => {
        for await (const message of await jsm.direct.getLastMessagesFor(this.stream, { multi_last: [subject], up_to_seq: upTo })) return message
        return null
      })
    )
  }
  async lastSequence(): Promise<number> {
    const jsm = await this.#jsm()
    return (await again(() => jsm.streams.info(this.stream))).state.last_seq
  }
  async firstSequence(): Promise<number> {
    const jsm = await this.#jsm()
    return Math.max(1, (await again(() => jsm.streams.info(this.stream))).state.first_seq)
  }
}

/** The stream said no for a reason a retry will not change: a message too large, a full disk. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused'
}

/** A question asked while the connection is being made again gets no answer; asked again, it does. */
const READ_TRIES = 4
const again = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
  for (let tries = 1; ; tries++)
    try {
      return await ask()
    } catch (error) {
      if (tries >= READ_TRIES || !(error instanceof Error && /timeout|no responders|disconnect/i.test(`${error.name} ${error.message}`))) throw error
    }
}

const orNothing = async <Found>(ask: () => Promise<Found | null>): Promise<Found | null> => {
  try {
    return await again(ask)
  } catch (error) {
    if (error instanceof Error && /not found|404/i.test(error.message)) return null
    throw error
  }
}

export interface Stored {
  readonly subject: string
  readonly seq: number
  readonly header: MsgHdrs
  readonly data: Uint8Array
  readonly time: Date
}

const entryOf = (message: Stored | null): LogEntry | undefined => (message === null ? undefined : storedEntry(message))

/** What the server adds to a direct get's answer: not the event's, and not there when it is followed. */
const ADDED = ['Nats-Stream', 'Nats-Subject', 'Nats-Sequence', 'Nats-Time-Stamp', 'Nats-Num-Pending', 'Nats-Last-Sequence']

export const storedEntry = (message: Stored): LogEntry => {
  const headers = plainHeaders(message.header)
  for (const name of ADDED) delete headers[name]
  return { subject: message.subject, sequence: message.seq, headers, text: decoder.decode(message.data), time: message.time.getTime() }
}
