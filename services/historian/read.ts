/** Reading an object's events, and events by their place, from the log over NATS. */
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeFacts, objectOf, type Event } from '#events/Event.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import { askedConsumers } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'

export const eventOf = (stream: StreamName, entry: LogEntry): Event => ({ ...decodeFacts(stream, entry), object: objectOf(entry) })

/** Whose connection it is: the person's. */
const ADMIN = 'admin'

/** Every event of one object, oldest first. */
export const eventsOf = (connection: NatsConnection, stream: StreamName, key: ObjectKey): Promise<readonly Event[]> => {
  const log = new JetStreamLog(connection, stream, {
    consumers: askedConsumers(connection, ADMIN, stream, subjectOf(stream, key)),
    gapless: false
  })
  return new Promise((resolve, reject) => {
    const found: Event[] = []
    const subscription = log.follow({
      from: 1,
      onEntries: (entries) => found.push(...entries.map((entry) => eventOf(stream, entry))),
      onCaughtUp: () => {
        subscription.close()
        resolve(found)
      },
      onFailed: reject
    })
  })
}

const STREAMS: readonly string[] = ['EVENTS', 'NOTICES', 'PULSE']

/** The event at a place; undefined when the log has none there. */
export const eventAt = async (connection: NatsConnection, stream: string, sequence: number): Promise<Event | undefined> => {
  if (!STREAMS.includes(stream)) return undefined
  const entry = await new JetStreamLog(connection, stream).get(sequence)
  return entry === undefined ? undefined : eventOf(stream as StreamName, entry)
}
