/** The streams, as data, and how they come to be. */
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType, StoreCompression } from '@nats-io/jetstream'

type Definition = Partial<StreamConfig> & { readonly name: string; readonly subjects: string[] }

const seconds = (count: number): number => count * 1_000_000_000
const HOUR = seconds(3600)
const DAY = 24 * HOUR
const MIB = 1024 * 1024

const common = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  num_replicas: 1,
  // Message ids are not what makes a write happen once: the expected sequence is. A long window costs memory.
  duplicate_window: seconds(10)
} as const

export const STREAMS: readonly Definition[] = [
  {
    ...common,
    name: 'EVENTS',
    description: 'Every change of every API object. Never expires; it is the state.',
    subjects: ['ev.>'],
    discard: DiscardPolicy.New,
    compression: StoreCompression.S2,
    deny_delete: true,
    deny_purge: false,
    allow_direct: true,
    allow_atomic: true,
    // An object of up to 2 MiB, and its headers.
    max_msg_size: 2 * MIB + 64 * 1024
  },
  {
    ...common,
    name: 'NOTICES',
    description: 'core/v1 Event objects.',
    subjects: ['notice.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    allow_atomic: true,
    max_age: 7 * DAY
  },
  {
    ...common,
    name: 'PULSE',
    description: 'Node heartbeats and Leases.',
    subjects: ['pulse.>'],
    allow_direct: true,
    allow_atomic: true,
    max_msgs_per_subject: 1,
    max_age: HOUR
  },
  {
    ...common,
    name: 'REPORTS',
    description: 'What the agents saw.',
    subjects: ['report.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    max_age: 6 * HOUR
  },
  {
    ...common,
    name: 'BINDINGS',
    description: 'What each agent must run, with what it needs for it.',
    subjects: ['bind.>'],
    // The word that a pod is gone need not be kept for ever: pod names do not come back.
    allow_msg_ttl: true,
    allow_direct: true,
    allow_atomic: true,
    max_msgs_per_subject: 1
  },
  {
    ...common,
    name: 'AUDIT',
    description: 'Requests that made no event.',
    subjects: ['audit.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    max_age: 90 * DAY
  }
]

const STREAM_NOT_FOUND = 10059

/**
 * Creates the streams that are missing and updates the ones whose definition changed. A stream is never deleted and
 * made again: when the server refuses an update, that is an error for a person to read.
 */
export const ensureStreams = async (jsm: JetStreamManager): Promise<void> => {
  for (const definition of STREAMS) {
    const existing = await infoOf(jsm, definition.name)
    if (existing === undefined) await jsm.streams.add(definition)
    else if (differs(existing, definition)) await jsm.streams.update(definition.name, changes(existing, definition))
  }
}

/** Settings the server never lets go back or that a running cluster may have been given on purpose. */
const KEPT: readonly string[] = ['name', 'storage', 'retention', 'num_replicas', 'deny_delete', 'deny_purge']

const changes = (existing: StreamConfig, definition: Definition): Partial<StreamConfig> => ({
  ...existing,
  ...Object.fromEntries(Object.entries(definition).filter(([field]) => !KEPT.includes(field)))
})

const differs = (existing: StreamConfig, definition: Definition): boolean =>
  Object.entries(changes(existing, definition)).some(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify((existing as unknown as Record<string, unknown>)[field])
  )

const infoOf = async (jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> => {
  try {
    return (await jsm.streams.info(name)).config
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined
    throw error
  }
}
