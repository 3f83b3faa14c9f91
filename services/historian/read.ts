/** Reading an object's events, and events by their place, from the log over NATS. */
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeFacts, objectOf, type Event } from '#events/Event.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { Refusal } from '#events/Refusal.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import { askedConsumers, askToFollow } from '#services/platform/jetstream/consumers.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'

export const eventOf = (stream: StreamName, entry: LogEntry): Event => ({ ...decodeFacts(stream, entry), object: objectOf(entry) })

/** Whose connection it is: the person's. */
const ADMIN = 'admin'

/** Questions on their way to the log at once. */
const PARALLEL = 64

/** Every event of one object, oldest first: from where the index of the past says they are, or else from the whole stream. */
export const eventsOf = async (connection: NatsConnection, stream: StreamName, key: ObjectKey): Promise<readonly Event[]> =>
  (await indexedEventsOf(connection, stream, key)) ?? (await followedEventsOf(connection, stream, key))

/** Undefined when the index does not tell of all of them, or one is not where it says. */
const indexedEventsOf = async (connection: NatsConnection, stream: StreamName, key: ObjectKey): Promise<readonly Event[] | undefined> => {
  const subject = subjectOf(stream, key)
  let places: readonly number[] | undefined
  try {
    ;({ places } = await askToFollow(connection, ADMIN, { what: 'places', part: stream, subject }))
  } catch (error) {
    // An API server of before knows no such question.
    if (!(error instanceof Refusal) || error.status.code !== 400) throw error
  }
  if (places === undefined) return undefined
  const log = new JetStreamLog(connection, stream)
  const found: Event[] = []
  for (let from = 0; from < places.length; from += PARALLEL) {
    const entries = await Promise.all(places.slice(from, from + PARALLEL).map((place) => log.get(place, subject)))
    for (const entry of entries) {
      if (entry?.subject !== subject) return undefined
      found.push(eventOf(stream, entry))
    }
  }
  return found
}

const followedEventsOf = (connection: NatsConnection, stream: StreamName, key: ObjectKey): Promise<readonly Event[]> => {
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
