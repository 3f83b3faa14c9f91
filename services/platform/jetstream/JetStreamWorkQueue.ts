/**
 * A stream worked off through a durable consumer, which remembers what is done with, for every process that shares it.
 * Bodies stay in the stream until somebody reads them: what waits here costs its headers only.
 */
import {
  AckPolicy,
  DeliverPolicy,
  jetstream,
  JetStreamApiError,
  jetstreamManager,
  type Consumer,
  type ConsumerConfig,
  type ConsumerMessages,
  type JetStreamManager,
  type JsMsg
} from '@nats-io/jetstream'
import { nanos, type NatsConnection } from '@nats-io/transport-node'
import type { LogEntry, Subscription } from '#events/Log.ts'
import { ACK_WAIT_MS, OUTSTANDING, type Delivery, type WorkQueue } from '#services/platform/WorkQueue.ts'
import { onDisconnect } from './link.ts'
import { entryOfStored } from './entry.ts'

/** What may be on its way at once; only headers come. */
const OUTSTANDING_BYTES = 1024 * 1024
const RETRY_MS = 500
/** "consumer already exists": with other settings. */
const CONSUMER_EXISTS = 10148
/** Of a consumer's notices, those after which nothing comes any more. */
const ENDINGS: ReadonlySet<string> = new Set([
  'heartbeats_missed',
  'consumer_deleted',
  'consumer_not_found',
  'stream_not_found',
  'no_responders'
])

export interface JetStreamWorkQueueOptions {
  readonly stream: string
  readonly durable: string
  readonly ackWaitMs?: number
}

export class JetStreamWorkQueue implements WorkQueue {
  readonly #connection: NatsConnection
  readonly #options: JetStreamWorkQueueOptions
  #manager: Promise<JetStreamManager> | undefined

  constructor(connection: NatsConnection, options: JetStreamWorkQueueOptions) {
    this.#connection = connection
    this.#options = options
  }
  #jsm(): Promise<JetStreamManager> {
    this.#manager ??= jetstreamManager(this.#connection, { checkAPI: false })
    return this.#manager
  }
  consume(onDelivery: (delivery: Delivery) => void, onError: (error: unknown) => void): Subscription {
    let closed = false
    let messages: ConsumerMessages | undefined
    /** Resolves when it has to be begun anew. */
    const live = async (): Promise<void> => {
      const consumer = await this.#consumer()
      const { state } = await (await this.#jsm()).streams.info(this.#options.stream)
      let lost = (): void => {}
      const broken = new Promise<void>((resolve) => (lost = onDisconnect(this.#connection, resolve)))
      try {
        messages = await consumer.consume({
          max_bytes: OUTSTANDING_BYTES,
          callback: (message) => void (closed ? message.nak() : onDelivery(deliveryOf(message, state.last_seq)))
        })
        await Promise.race([broken, ended(messages)])
      } finally {
        lost()
        await messages?.close().catch(() => {})
        messages = undefined
      }
    }
    const run = async (): Promise<void> => {
      while (!closed && !this.#connection.isClosed()) {
        await live().catch((error: unknown) => closed || onError(error))
        if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
    void run()
    return {
      close: () => {
        closed = true
        void messages?.close().catch(() => {})
      }
    }
  }
  /** Made once; one that an older version made with other settings gets these. */
  async #consumer(): Promise<Consumer> {
    const { stream, durable, ackWaitMs = ACK_WAIT_MS } = this.#options
    const jsm = await this.#jsm()
    const settings = { headers_only: true, max_ack_pending: OUTSTANDING, ack_wait: nanos(ackWaitMs) } satisfies Partial<ConsumerConfig>
    try {
      await jsm.consumers.add(stream, {
        durable_name: durable,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ...settings
      })
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error
      await jsm.consumers.update(stream, durable, settings)
    }
    return jetstream(this.#connection).consumers.get(stream, durable)
  }
  async read(sequence: number): Promise<LogEntry | undefined> {
    const found = await (await this.#jsm()).streams.getMessage(this.#options.stream, { seq: sequence })
    return found === null ? undefined : entryOfStored(found)
  }
  async newest(subject: string): Promise<LogEntry | undefined> {
    // Not a direct get: any replica answers those, perhaps one that has not heard of the newest yet.
    const found = await (await this.#jsm()).streams.getMessage(this.#options.stream, { last_by_subj: subject })
    return found === null ? undefined : entryOfStored(found)
  }
  async trim(filter: string, keep: number): Promise<void> {
    await (await this.#jsm()).streams.purge(this.#options.stream, { filter, keep })
  }
}

const ended = async (messages: ConsumerMessages): Promise<void> => {
  for await (const notice of messages.status()) if (ENDINGS.has(notice.type)) return
}

const deliveryOf = (message: JsMsg, before: number): Delivery => ({
  subject: message.subject,
  sequence: message.seq,
  size: Number(message.headers?.get('Nats-Msg-Size') ?? 0),
  again: message.redelivered || message.seq <= before,
  behind: message.info.pending,
  done: () => message.ack(),
  working: () => message.working(),
  giveBack: () => message.nak()
})
