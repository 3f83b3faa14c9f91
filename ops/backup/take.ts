/**
 * One run of a backup. Everything in it is of one moment, the sequence EVENTS ended at: what else is kept is read after that,
 * and the keys of Secrets last of all, so that none that an event needs is missing. The manifest is replaced at the very end;
 * whatever ends a run before leaves the backup of before.
 */
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { LogEntry } from '#events/Log.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { easing } from '#ops/log/ease.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { LogDamaged } from '#events/Log.ts'
import type { BackupResult } from '#services/cli/Environment.ts'
import { backUpEvents } from './events.ts'
import { filesOf, type BackupFolder } from './folder.ts'
import { FORMAT, type Cursor, type Manifest, type StoredFile, type StreamBackup } from './format.ts'
import { homeFiles } from './home.ts'
import { SEGMENT_BYTES, writeSegments } from './segments.ts'

export interface BackupWork {
  readonly home: string
  readonly config: ClusterConfig
  readonly folder: BackupFolder
  /** As the keeper. */
  readonly connection: NatsConnection
  /** The cluster works meanwhile: it gets its share. */
  readonly eased: boolean
  readonly version: string
  readonly report: Report
}

/** Streams whose old entries leave by themselves, here as there. */
const EXPIRING = ['NOTICES', 'AUDIT'] as const
/** Of these only the newest entry of each subject counts, and they are written whole each time. */
const NEWEST = [
  ['PULSE', 'pulse.object.>'],
  ['KEYS', undefined]
] as const

export const takeBackup = async (work: BackupWork): Promise<BackupResult> => {
  const { home, config, folder, connection, version } = work
  const begun = performance.now()
  const before = await folder.manifest()
  folder.sweep(before)
  const seal = loadSeal(home)
  const ledger = new FileLedger(ledgerFolder(home), 'EVENTS')
  let events: Manifest['events']
  const taken = new Date().toISOString()
  try {
    const damage = ledger.damage()
    if (damage !== undefined) throw new LogDamaged(damage)
    events = await backUpEvents({ ...work, seal, known: [...ledger.marks(), ledger.head()] }, before?.events)
  } finally {
    ledger.close()
  }
  const streams: Record<string, StreamBackup> = {}
  for (const stream of EXPIRING) streams[stream] = await expiring(work, stream, before?.streams[stream])
  const cursors = await cursorsOf(connection)
  const mark = `-${taken.replace(/[^0-9]/g, '')}`
  const homeFile = await folder.write('home', single(JSON.stringify(homeFiles(home))), () => `home${mark}.json.zst`)
  for (const [stream, filter] of NEWEST) streams[stream] = await newest(work, stream, filter, mark)
  const manifest: Manifest = {
    format: FORMAT,
    reckon: version,
    cluster: { name: config.name, instance: config.instance },
    taken,
    encrypted: folder.encrypted,
    events,
    streams,
    cursors,
    home: homeFile
  }
  await folder.replaceManifest(manifest)
  folder.sweep(manifest)
  const known = new Set(before === undefined ? [] : filesOf(before).map(({ name, sha256 }) => `${name} ${sha256}`))
  const [all, fresh] = [filesOf(manifest), filesOf(manifest).filter(({ name, sha256 }) => !known.has(`${name} ${sha256}`))]
  const sum = (files: readonly StoredFile[]): { files: number; bytes: number } => ({
    files: files.length,
    bytes: files.reduce((total, { bytes }) => total + bytes, 0)
  })
  const count = (backup: StreamBackup | undefined): number => backup?.segments.reduce((total, { entries }) => total + entries, 0) ?? 0
  return {
    folder: folder.path,
    encrypted: folder.encrypted,
    taken,
    last: events.last,
    added: count(events) - count(before?.events),
    entries: count(events),
    written: sum(fresh),
    total: sum(all),
    milliseconds: Math.round(performance.now() - begun)
  }
}

async function* single(text: string): AsyncGenerator<string> {
  yield text
}

const reckonMetadata = async (log: JetStreamLog): Promise<Record<string, string>> =>
  Object.fromEntries(Object.entries(await log.metadata()).filter(([name]) => name.startsWith('reckon.')))

async function* resting(batches: AsyncIterable<readonly LogEntry[]>, eased: boolean): AsyncGenerator<readonly LogEntry[]> {
  const rest = easing(eased)
  for await (const batch of batches) {
    yield batch
    await rest()
  }
}

/** What is new, and the last segment with it while that is small; what has left the stream leaves the backup. */
const expiring = async (
  { connection, folder, eased }: BackupWork,
  stream: string,
  old: StreamBackup | undefined
): Promise<StreamBackup> => {
  const log = new JetStreamLog(connection, stream)
  const [state, metadata] = [await log.state(), await reckonMetadata(log)]
  const usable =
    old !== undefined && old.identity === state.identity && old.last <= state.last && old.segments.every((segment) => folder.has(segment))
  const there = usable ? old.segments.filter(({ last }) => last >= state.first) : []
  const tail = there.at(-1)
  const rewritten = tail !== undefined && tail.size < SEGMENT_BYTES && state.last > tail.last
  const stay = rewritten ? there.slice(0, -1) : there
  const from = rewritten ? Math.max(tail.first, state.first) : Math.max(tail === undefined ? 1 : tail.last + 1, state.first)
  const written = await writeSegments({ folder, stream, batches: resting(log.read({ from, to: state.last }), eased) })
  return { identity: state.identity ?? '', last: state.last, metadata, segments: [...stay, ...written] }
}

const newest = async (
  { connection, folder, eased }: BackupWork,
  stream: string,
  filter: string | undefined,
  mark: string
): Promise<StreamBackup> => {
  const log = new JetStreamLog(connection, stream)
  const [state, metadata] = [await log.state(), await reckonMetadata(log)]
  const batches = resting(log.read({ from: 1, to: Number.MAX_SAFE_INTEGER, ...(filter === undefined ? {} : { filter }) }), eased)
  const segments = await writeSegments({ folder, stream, batches, mark, whole: true })
  return { identity: state.identity ?? '', last: Math.max(state.last, segments.at(-1)?.last ?? 0), metadata, segments }
}

/** `reckon follow --cursor`: where each stands. */
const cursorsOf = async (connection: NatsConnection): Promise<readonly Cursor[]> => {
  const jsm = await jetstreamManager(connection, { checkAPI: false })
  const found: Cursor[] = []
  for await (const { name, config, ack_floor } of jsm.consumers.list('EVENTS'))
    if (config.durable_name !== undefined && name.startsWith('follow-'))
      found.push({ name: name.slice('follow-'.length), sequence: ack_floor.stream_seq })
  return found
}
