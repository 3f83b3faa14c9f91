/**
 * A follower's consumers on JetStream: pulled by bytes, ended when the server forgets them or the connection breaks.
 *
 * The library's ordered consumer would make its own, again and again; components may only fetch from one that was made for
 * them, and a gap must never pass unseen (see Follower).
 */
import { jetstream, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { LogEntry } from '#events/Log.ts'
import type { Consumer, Source } from '#services/platform/Follower.ts'
import { readsBase, readsNewest, type Consumers } from './consumers.ts'
import { entryOfBase, plainHeaders } from './entry.ts'
import { isForbidden, isStreamMissing } from './errors.ts'
import { isConnected, onDisconnect, untilLost, whenConnected } from './link.ts'

/**
 * What may be on its way at once. Counting messages instead loses: some hundred large ones exceed what the server holds
 * back for one client, which it then cuts off, again and again.
 */
const OUTSTANDING_BYTES = 16 * 1024 * 1024
/**
 * Of newest entries they are counted all the same: where the bytes that may be on their way end in the middle of a subject's last
 * entry, nats-server (2.15) leaves that one out for good. A server that cuts its reader off for it is asked for fewer.
 */
const NEWEST_AT_ONCE = { most: 1_024, least: 16, less: 8 } as const
/** Without a connection nothing is tried; now and then it is looked at whether anybody still wants to follow. */
const WAIT_MS = 60_000

const decoder = new TextDecoder()

const entryOf = (message: JsMsg): LogEntry => ({
  subject: message.subject,
  sequence: message.seq,
  headers: plainHeaders(message.headers),
  text: decoder.decode(message.data),
  time: Math.floor(message.info.timestampNanos / 1e6)
})

/** Of a consumer's notices, those after which nothing comes any more. */
const ENDINGS: ReadonlySet<string> = new Set([
  'heartbeats_missed',
  'consumer_deleted',
  'consumer_not_found',
  'stream_not_found',
  'no_responders'
])

export const jetStreamSource = (connection: NatsConnection, stream: string, consumers: Consumers): Source => {
  let lost = false
  let newestAtOnce: number = NEWEST_AT_ONCE.most
  let listening = (): void => {}
  return {
    stream,
    get closed() {
      return connection.isClosed()
    },
    reached: async () => {
      if (!lost && isConnected(connection)) return false
      lost = false
      await whenConnected(connection, WAIT_MS)
      return true
    },
    verdict: (error) => {
      if (isForbidden(error)) return 'never'
      return isStreamMissing(error) ? 'missing' : 'again'
    },
    open: async (from, newest): Promise<Consumer> => {
      listening()
      listening = onDisconnect(connection, () => (lost = true))
      const { info, state } = await untilLost(connection, () => consumers.open(from, newest))
      const kept = readsBase(info)
      const isNewest = readsNewest(info)
      let messages: ConsumerMessages | undefined
      let closed = false
      let heard = (): void => {}
      return {
        state,
        pending: info.num_pending,
        kept,
        newest: isNewest,
        run: (onDelivery, onEnd) => {
          // The consumer lives in the server's memory: after a loss it may be gone, and the stream not what it was.
          heard = onDisconnect(connection, () => {
            if (isNewest) newestAtOnce = Math.max(NEWEST_AT_ONCE.least, newestAtOnce / NEWEST_AT_ONCE.less)
            onEnd()
          })
          const callback = (message: JsMsg): void =>
            onDelivery({
              entry: kept ? entryOfBase(entryOf(message)) : entryOf(message),
              count: message.info.deliverySequence,
              pending: message.info.pending
            })
          jetstream(connection)
            .consumers.getConsumerFromInfo(info)
            .consume({ ...(isNewest ? { max_messages: newestAtOnce } : { max_bytes: OUTSTANDING_BYTES }), callback })
            .then(async (started) => {
              messages = started
              if (closed) return void (await started.close())
              for await (const notice of started.status()) if (ENDINGS.has(notice.type)) break
            })
            .then(onEnd, onEnd)
        },
        close: async () => {
          closed = true
          heard()
          await messages?.close().catch(() => {})
          // A server that is gone has forgotten it.
          if (isConnected(connection)) void consumers.end(info)
        }
      }
    }
  }
}
