/**
 * Following a stream: one consumer, delivered in order, restarted where it left off when the server forgets it.
 *
 * Written here rather than with the library's ordered consumer because a gap must never pass unseen, and because
 * components may only fetch from a consumer that was made for them (ordered consumers make their own, again and again).
 */
import { jetstream, JetStreamApiError, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { LogDamaged, type DamageKind, type Follow, type LogEntry, type LogState, type Range, type Subscription } from '#events/Log.ts'
import type { Consumers } from './consumers.ts'
import { onDisconnect } from './disconnect.ts'
import { plainHeaders } from './entry.ts'
import { beyond, textOfRanges } from './metadata.ts'

/**
 * What may be on its way at once. Counting messages instead loses: some hundred large ones exceed what the server holds
 * back for one client, which it then cuts off, again and again.
 */
const OUTSTANDING_BYTES = 16 * 1024 * 1024
const RETRY_MS = 250
/** A gap that is still there after this many fresh consumers is in the stream itself. */
const GAP_TRIES = 3
/** A server that has more and delivers none of it for so long is asked anew; it may not be able to read it. */
const STALLED_MS = 10_000

export interface FollowOptions {
  readonly stream: string
  readonly consumers: Consumers
  /** Every sequence must come, but for those that are known to be lost. */
  readonly gapless: boolean
}

const decoder = new TextDecoder()

const entryOf = (message: JsMsg): LogEntry => ({
  subject: message.subject,
  sequence: message.seq,
  headers: plainHeaders(message.headers),
  text: decoder.decode(message.data),
  time: message.info.timestampNanos / 1e6
})

/** The holes readers pass over. */
const accepted = ({ losses, floor }: LogState): readonly Range[] => (floor > 0 ? [{ first: 1, last: floor }, ...losses] : losses)

export const followStream = (connection: NatsConnection, { stream, consumers, gapless }: FollowOptions, follow: Follow): Subscription => {
  let closed = false
  let next = Math.max(1, follow.from)
  let holes: readonly Range[] = []
  let tries = 0
  /** The stream's last sequence and name as far as they were seen: neither ever goes back. */
  let known: { last: number; readonly identity: string | undefined } | undefined
  let messages: ConsumerMessages | undefined
  let pending: LogEntry[] = []
  let stalls = 0
  let target: number | undefined

  const flush = (): void => {
    if (closed || pending.length === 0) return
    const batch = pending
    pending = []
    try {
      follow.onEntries(batch)
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)))
      return
    }
    caughtUp()
  }
  const caughtUp = (): void => {
    if (closed || target === undefined || next <= target) return
    const reached = target
    target = undefined
    follow.onCaughtUp?.(reached)
  }
  const fail = (error: Error): void => {
    if (closed) return
    close()
    follow.onFailed(error)
  }
  const damaged = (kind: DamageKind, range: Range, detail: string): void => fail(new LogDamaged({ stream, kind, ranges: [range], verified: next - 1, detail: `${stream}: ${detail}` }))
  const close = (): void => {
    closed = true
    void messages?.close().catch(() => {})
  }
  /** True when everything from `next` to before `sequence` is known to be lost. */
  const passes = (sequence: number): boolean => beyond(holes, next) >= sequence
  const gap = (sequence: number): void => {
    tries += 1
    if (tries <= GAP_TRIES) return
    const range = { first: next, last: sequence - 1 }
    damaged('hole', range, `events ${textOfRanges([range])} are missing; what follows can't be folded without them`)
  }
  /** False when the stream is not the one that was followed. */
  const isSame = ({ identity, last }: LogState): boolean => {
    if (known !== undefined && known.identity !== identity) damaged('replaced', { first: 1, last: known.last }, `another stream stands in its place (${identity ?? 'one without a name'}, not ${known.identity ?? 'none'})`)
    else if (known !== undefined && last < known.last) damaged('shorter', { first: last + 1, last: known.last }, `it ended at ${known.last}, and ends at ${last} now`)
    known = { last, identity }
    return !closed
  }

  /** One consumer's life: resolves when it has to be replaced. */
  const live = async (): Promise<void> => {
    const { info, state } = await consumers.open(next)
    try {
      if (closed || !isSame(state)) return
      holes = accepted(state)
      if (!everCaughtUp && follow.onCaughtUp !== undefined) {
        everCaughtUp = true
        target = state.last
      }
      // Nothing more will come of what is there: of a part of a stream, the last sequence is perhaps never delivered.
      if (info.num_pending === 0 && target !== undefined && next <= target) {
        if (gapless && !passes(target + 1)) return gap(target + 1)
        next = target + 1
      }
      caughtUp()
      if ((await consume(info)) === 'stalled' && !closed) {
        stalls += 1
        if (stalls >= GAP_TRIES) return damaged('unreadable', { first: next, last: next }, `event ${next} is there, but the server can't read it`)
      }
      // What was received is folded before the next consumer starts, so that `next` is what was delivered.
      flush()
    } finally {
      await messages?.close().catch(() => {})
      messages = undefined
      void consumers.end(info.name)
    }
  }
  const consume = (info: Parameters<ReturnType<typeof jetstream>['consumers']['getConsumerFromInfo']>[0]): Promise<'stalled' | 'ended'> =>
    new Promise((resolve) => {
      let delivered = 0
      let seen = -1
      let more = info.num_pending > 0
      // Looked at now and then rather than set anew with each message: a replay has a hundred thousand of them a second.
      const watch = setInterval(() => {
        if (more && delivered === seen) return replace('stalled')
        seen = delivered
      }, STALLED_MS)
      // The consumer lives in the server's memory: after a loss it may be gone, and the stream not what it was.
      const heard = onDisconnect(connection, () => replace())
      const replace = (why: 'stalled' | 'ended' = 'ended'): void => {
        clearInterval(watch)
        heard()
        resolve(why)
      }
      const onMessage = (message: JsMsg): void => {
        if (closed) return
        const sequence = message.seq
        if (sequence < next) return
        if (message.info.deliverySequence !== delivered + 1 || (gapless && !passes(sequence))) {
          gap(sequence)
          replace()
          return
        }
        delivered += 1
        more = message.info.pending > 0
        tries = 0
        stalls = 0
        next = sequence + 1
        if (known !== undefined && sequence > known.last) known.last = sequence
        if (!gapless && message.info.pending === 0 && target !== undefined) next = Math.max(next, target + 1)
        if (pending.length === 0) queueMicrotask(flush)
        pending.push(entryOf(message))
      }
      jetstream(connection)
        .consumers.getConsumerFromInfo(info)
        .consume({ max_bytes: OUTSTANDING_BYTES, callback: onMessage })
        .then(
          async (started) => {
            messages = started
            if (closed) return replace()
            for await (const notice of started.status()) if (ENDINGS.has(notice.type)) break
            replace()
          },
          () => replace()
        )
    })

  let everCaughtUp = false
  let missing = 0
  const run = async (): Promise<void> => {
    while (!closed && !connection.isClosed()) {
      try {
        await live()
      } catch (error) {
        if (!closed && connection.isClosed()) break
        if (error instanceof Error && /permissions violation/i.test(error.message)) return fail(error)
        // The server knows its streams before it lets anybody in.
        stalls = 0
        missing = isStreamMissing(error) ? missing + 1 : 0
        if (missing > GAP_TRIES) return damaged('gone', { first: 1, last: known?.last ?? 0 }, 'the stream is not there')
      }
      if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    if (!closed) fail(new Error(`${stream}: the connection to NATS was closed`))
  }
  void run()
  return { close }
}

const STREAM_NOT_FOUND = 10059
const isStreamMissing = (error: unknown): boolean => error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND

/** Of a consumer's notices, those after which nothing comes any more. */
const ENDINGS: ReadonlySet<string> = new Set(['heartbeats_missed', 'consumer_deleted', 'consumer_not_found', 'stream_not_found', 'no_responders'])
