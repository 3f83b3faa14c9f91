/**
 * Following a stream: one consumer, delivered in order, restarted where it left off when the server forgets it.
 *
 * Written here rather than with the library's ordered consumer because a gap must never pass unseen, and because
 * least-privileged users may create one consumer of a fixed name only (ordered consumers number their names).
 */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import { nanos, nuid, type NatsConnection } from '@nats-io/transport-node'
import type { Follow, LogEntry, Subscription } from '#events/Log.ts'
import { plainHeaders } from './JetStreamLog.ts'

/** Measured: more than some thousand outstanding gains nothing, and 32 MiB outstanding stalls. */
const OUTSTANDING = 2_000
const INACTIVE_MS = 30_000
const RETRY_MS = 250
/** A gap that is still there after this many fresh consumers is in the stream itself. */
const GAP_TRIES = 3

export interface FollowOptions {
  readonly consumer?: string
  readonly filter?: string
  readonly gapless: boolean
}

export class LogGap extends Error {
  override readonly name = 'LogGap'
}

const decoder = new TextDecoder()

const entryOf = (message: JsMsg): LogEntry => ({
  subject: message.subject,
  sequence: message.seq,
  headers: plainHeaders(message.headers),
  text: decoder.decode(message.data),
  time: message.info.timestampNanos / 1e6
})

export const followStream = (connection: NatsConnection, stream: string, options: FollowOptions, follow: Follow): Subscription => {
  let closed = false
  let next = Math.max(1, follow.from)
  let gaps = 0
  let messages: ConsumerMessages | undefined
  let pending: LogEntry[] = []
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
    if (target === undefined || next <= target) return
    const reached = target
    target = undefined
    follow.onCaughtUp?.(reached)
  }
  const fail = (error: Error): void => {
    if (closed) return
    close()
    follow.onFailed(error)
  }
  const close = (): void => {
    closed = true
    void messages?.close().catch(() => {})
  }

  /** One consumer's life: resolves when it has to be replaced. */
  const live = async (): Promise<void> => {
    const jsm = await jetstreamManager(connection, { checkAPI: false })
    const name = options.consumer ?? `view-${nuid.next()}`
    if (options.consumer !== undefined) await jsm.consumers.delete(stream, name).catch(() => false)
    if (target === undefined && follow.onCaughtUp !== undefined && !everCaughtUp) {
      everCaughtUp = true
      target = (await jsm.streams.info(stream)).state.last_seq
    }
    const info = await jsm.consumers.add(stream, {
      name,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: next,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(INACTIVE_MS),
      ...(options.filter === undefined ? {} : { filter_subject: options.filter })
    })
    // Nothing (more) will come of what is there: with a filter, or one message per subject, the last sequence may never be delivered.
    if (info.num_pending === 0 && target !== undefined) {
      next = Math.max(next, target + 1)
      caughtUp()
    }
    let delivered = 0
    await new Promise<void>((replace) => {
      const onMessage = (message: JsMsg): void => {
        if (closed) return
        const sequence = message.seq
        if (sequence < next) return
        if (message.info.deliverySequence !== delivered + 1 || (options.gapless && sequence !== next)) {
          gaps += 1
          if (gaps > GAP_TRIES) fail(new LogGap(`${stream}: expected ${next}, the server delivers ${sequence}; the log has a hole and can't be folded`))
          replace()
          return
        }
        delivered += 1
        gaps = 0
        next = message.info.pending === 0 && target !== undefined ? Math.max(sequence, target) + 1 : sequence + 1
        if (pending.length === 0) queueMicrotask(flush)
        pending.push(entryOf(message))
      }
      jetstream(connection)
        .consumers.getConsumerFromInfo(info)
        .consume({ max_messages: OUTSTANDING, callback: onMessage })
        .then(
          async (started) => {
            messages = started
            if (closed) return void started.close()
            for await (const notice of started.status())
              if (notice.type === 'heartbeats_missed' || notice.type === 'consumer_deleted' || notice.type === 'consumer_not_found' || notice.type === 'stream_not_found' || notice.type === 'no_responders') break
            replace()
          },
          () => replace()
        )
    })
    // What was received is folded before the next consumer starts, so that `next` is what was delivered.
    flush()
    await messages?.close().catch(() => {})
    messages = undefined
  }

  let everCaughtUp = false
  const run = async (): Promise<void> => {
    while (!closed && !connection.isClosed()) {
      try {
        await live()
      } catch (error) {
        if (!closed && connection.isClosed()) break
        if (error instanceof Error && /permissions violation/i.test(error.message)) return fail(error)
      }
      if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
    if (!closed) fail(new Error(`${stream}: the connection to NATS was closed`))
  }
  void run()
  return { close }
}
