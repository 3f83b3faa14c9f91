/** The streams, as data, and how they come to be. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType, StoreCompression } from '@nats-io/jetstream'
import type { Damage } from '#events/Log.ts'
import { BUCKET } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { IDENTITY, SEALED_FROM } from '#services/platform/jetstream/metadata.ts'
import { FileLedger, readRecord, writeRecord } from '#services/platform/ledger/FileLedger.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'

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

/** Everything but EVENTS is bounded by bytes as well: a storm of one kind must not take the disk that EVENTS needs. */
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
    name: 'BASE',
    description: 'Of history that was compacted: the version each object had where it begins now.',
    subjects: ['base.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    allow_atomic: true,
    max_msgs_per_subject: 1,
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
    max_age: 7 * DAY,
    max_bytes: 1024 * MIB
  },
  {
    ...common,
    name: 'PULSE',
    description: 'Node heartbeats and Leases.',
    subjects: ['pulse.>'],
    allow_direct: true,
    allow_atomic: true,
    max_msgs_per_subject: 1,
    max_age: HOUR,
    max_bytes: 256 * MIB
  },
  {
    ...common,
    name: 'REPORTS',
    description: 'What the agents saw.',
    subjects: ['report.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    max_age: 7 * DAY,
    max_bytes: 512 * MIB,
    // Of a pod the newest counts, and notices about one thing are counted: an agent that repeats itself takes no other's room.
    max_msgs_per_subject: 128,
    // No status is so long; what is larger is refused at once, to who sent it.
    max_msg_size: MIB
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
    name: 'KEYS',
    description: 'The key of each confidential object, wrapped. Without it the object can be read nowhere in history.',
    subjects: ['key.>'],
    allow_direct: true,
    max_msgs_per_subject: 1
  },
  {
    ...common,
    name: 'AUDIT',
    description: 'Requests that made no event.',
    subjects: ['audit.>'],
    compression: StoreCompression.S2,
    allow_direct: true,
    allow_atomic: true,
    max_age: 90 * DAY,
    max_bytes: 2048 * MIB
  },
  {
    ...common,
    name: `OBJ_${BUCKET}`,
    description: 'What stood where at some places of the log: starts need not read what was before.',
    // As the object store makes its own (ADR-20), but that what is full lets go of the oldest.
    subjects: [`$O.${BUCKET}.C.>`, `$O.${BUCKET}.M.>`],
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    allow_direct: true,
    max_bytes: 1024 * MIB
  }
]

/** What each bounded stream may take of a small disk at most; on a large one its own bound comes first. */
const PARTS: Readonly<Record<string, number>> = { NOTICES: 0.03, PULSE: 0.01, REPORTS: 0.02, AUDIT: 0.04, [`OBJ_${BUCKET}`]: 0.02 }
/** Less would not hold what is written between two looks at it. */
const LEAST = 2 * MIB

/** The streams on a disk of so many bytes. Bounds reserve nothing: a stream takes what is in it. */
export const streamsOn = (disk = Number.POSITIVE_INFINITY): readonly Definition[] =>
  STREAMS.map((definition) => {
    const part = PARTS[definition.name]
    if (part === undefined || definition.max_bytes === undefined) return definition
    return { ...definition, max_bytes: Math.max(LEAST, Math.min(definition.max_bytes, Math.floor((disk * part) / MIB) * MIB)) }
  })

export const STREAM_NOT_FOUND = 10059

/** Whose loss is a loss: history, or resourceVersions that were handed out. The others are derived anew. */
export const KEPT_STREAMS: readonly string[] = ['EVENTS', 'NOTICES', 'PULSE', 'KEYS', 'AUDIT']
/** Only the newest entry of each subject is kept: sequences in between are gone by design. */
export const SPARSE_STREAMS: ReadonlySet<string> = new Set(['PULSE', 'KEYS'])
/** Old entries leave by themselves. */
export const EXPIRING_STREAMS: ReadonlySet<string> = new Set(['NOTICES', 'PULSE', 'AUDIT'])

export const ledgerFolder = (home: string): string => join(home, 'ledger')

export interface EnsureOptions {
  /** Bytes of the disk they are on. */
  readonly disk?: number
  /** Takes away what is left of a stream's files before it is made anew. */
  readonly putAside?: (stream: string) => void
}

/**
 * Creates the streams that are missing in a new home and updates the ones whose definition changed. Returns what is
 * wrong: a stream that was made once is never taken for one that is still to be made, nor another for it.
 */
export const ensureStreams = async (
  jsm: JetStreamManager,
  folder: string,
  report: (line: string) => void = () => {},
  { disk, putAside = () => {} }: EnsureOptions = {}
): Promise<readonly Damage[]> => {
  const damages: Damage[] = []
  for (const definition of streamsOn(disk)) {
    const damage = await ensureStream(jsm, folder, definition, report, putAside)
    if (damage !== undefined) damages.push(damage)
  }
  return damages
}

const ensureStream = async (
  jsm: JetStreamManager,
  folder: string,
  definition: Definition,
  report: (line: string) => void,
  putAside: (stream: string) => void
): Promise<Damage | undefined> => {
  const { name } = definition
  const record = readRecord(folder, name)
  const existing = await infoOf(jsm, name)
  const known = existing?.metadata?.[IDENTITY]
  if (existing === undefined) {
    const { sequence } = record === undefined ? { sequence: 0 } : lastOf(folder, name)
    if (sequence > 0 && KEPT_STREAMS.includes(name))
      return {
        stream: name,
        kind: 'gone',
        ranges: [{ first: 1, last: sequence }],
        verified: 0,
        detail: `${name}: the stream is not there, though ${sequence} events were acknowledged in it`
      }
    const identity = record?.identity ?? randomUUID()
    // First the record, then the stream: a start that ends in between makes the stream that is written down.
    if (record === undefined) writeRecord(folder, name, { identity, made: new Date().toISOString() })
    else {
      report(`${name} was not there and is made anew`)
      // A settings file the server can't read stays as it is when the stream is made over it: the next start would lose it again.
      putAside(name)
    }
    await jsm.streams.add({ ...definition, ...(sequence > 0 ? { first_seq: sequence + 1 } : {}), metadata: { [IDENTITY]: identity } })
    return undefined
  }
  if (record === undefined) {
    // A home of before there were ledgers, or one whose ledger somebody took away: from here on it is kept.
    const identity = known ?? randomUUID()
    report(`${name}: nothing was remembered of it; it is taken as it is`)
    if (known === undefined)
      await jsm.streams.update(name, {
        ...existing,
        metadata: { ...existing.metadata, [IDENTITY]: identity, [SEALED_FROM]: String((await jsm.streams.info(name)).state.last_seq + 1) }
      })
    writeRecord(folder, name, { identity, made: new Date().toISOString() })
  } else if (known !== record.identity) {
    const { sequence } = lastOf(folder, name)
    return {
      stream: name,
      kind: 'replaced',
      ranges: [{ first: 1, last: sequence }],
      verified: 0,
      detail: `${name}: another stream stands in its place (its identity is ${known ?? 'missing'}, not ${record.identity})`
    }
  }
  const present = (await infoOf(jsm, name)) as StreamConfig
  if (differs(present, definition)) await jsm.streams.update(name, changes(present, definition))
  return undefined
}

const lastOf = (folder: string, stream: string): Place => {
  const ledger = new FileLedger(folder, stream)
  try {
    return ledger.head()
  } finally {
    ledger.close()
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
