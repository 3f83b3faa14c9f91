/**
 * The streams of a backup, written back: each entry at the sequence it had, what can't be told again stepped over; then read, and
 * remembered by the home.
 */
import { randomUUID } from 'node:crypto'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { ClusterConfig } from '#ops/home.ts'
import { fill } from '#ops/log/accept.ts'
import { keptAppend } from '#ops/log/compact.ts'
import { scan } from '#ops/log/scan.ts'
import { EXPIRING_STREAMS, KEPT_STREAMS, ledgerFolder, SPARSE_STREAMS, STREAMS } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import { BASE } from '#events/Subject.ts'
import { Base } from '#projections/Base.ts'
import { base64url, Chain } from '#projections/Chain.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import {
  BASE_MARK,
  EPOCH,
  FLOOR,
  IDENTITY,
  LOSSES,
  QUARANTINE,
  rangesOf,
  RESTORED,
  SEALED_FROM,
  standingOf,
  textOfRanges
} from '#services/platform/jetstream/metadata.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { sha256, type Seal } from '#services/platform/ledger/Seal.ts'
import { entriesOf } from './content.ts'
import { readdressed, Readdressing } from './copy.ts'
import type { BackupFolder } from './folder.ts'
import type { Manifest, StreamBackup } from './format.ts'
import type { UpTo } from './moment.ts'
import { tellRestored } from './told.ts'
import { StreamWriter } from './writer.ts'

/** What is written back, and where. */
export interface Rewriting {
  readonly folder: BackupFolder
  readonly home: string
  /** Sequences behind the backup's end that are stepped over. */
  readonly skip: number
  readonly asCopy: boolean
  /** What the person typed. */
  readonly command: string
  readonly report: Report
  readonly manifest: Manifest
  readonly original: ClusterConfig
  readonly config: ClusterConfig
  readonly upTo: UpTo
  readonly seal: Seal
}

const EVENTS = 'EVENTS'

/** Everything of the backup, then what is new. Returns the chain's hash at the last event that was written back. */
export const writeAll = async (work: Rewriting, nats: NatsConnection): Promise<{ readonly next: number; readonly wanted: Uint8Array }> => {
  const { manifest, upTo, skip, asCopy, config, original, seal, report } = work
  const jsm = await jetstreamManager(nats, { checkAPI: false })
  const [wanted, addresses] = await writeEvents(work, nats, jsm)
  for (const [stream, backup] of Object.entries(manifest.streams)) {
    if (!KEPT_STREAMS.includes(stream)) continue
    await writeOther(work, nats, jsm, stream, backup)
  }
  const next = Math.max(manifest.events.last, upTo.sequence) + skip + 1
  await tellRestored(nats, seal, { manifest, upTo, next, command: work.command })
  if (asCopy) {
    const changed = await readdressed(nats, seal, addresses.objects(), original, config)
    report(`${changed} Services and Nodes have addresses of the copy's own networks now`)
  }
  for (const { name, sequence } of manifest.cursors) await jsm.consumers.add(EVENTS, cursor(name, Math.min(sequence, upTo.sequence)))
  return { next, wanted }
}

const cursor = (name: string, sequence: number) =>
  ({
    durable_name: `follow-${name}`,
    ack_policy: 'explicit',
    ack_wait: 30_000_000_000,
    max_ack_pending: 1_000,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: sequence + 1
  }) as const

const definitionOf = (stream: string) => STREAMS.find(({ name }) => name === stream) as (typeof STREAMS)[number]

type Manager = Awaited<ReturnType<typeof jetstreamManager>>

const writeEvents = async (work: Rewriting, nats: NatsConnection, jsm: Manager): Promise<readonly [Uint8Array, Readdressing]> => {
  const { manifest, upTo, skip, asCopy, seal, report, folder } = work
  const { events } = manifest
  const { floor, base } = events
  const end = events.last + skip
  const losses = rangesOf(events.metadata[LOSSES]).filter(({ first, last }) => last > floor && first <= upTo.sequence)
  const metadata = {
    ...carried(events.metadata),
    [IDENTITY]: randomUUID(),
    [EPOCH]: String(Number(events.metadata[EPOCH] ?? 0) + 1),
    [LOSSES]: textOfRanges([...losses, { first: upTo.sequence + 1, last: end }]),
    ...(base === undefined ? {} : { [FLOOR]: String(floor), [BASE_MARK]: JSON.stringify(base) }),
    // Its backups go on where the lost cluster's ended, unless it is one of a time that is undone by this.
    ...(asCopy || upTo.sequence < events.last ? {} : { [RESTORED]: `${events.identity}@${events.last}` })
  }
  const whole = events.segments.filter(({ kept }) => kept !== true)
  const first = floor > 0 ? floor + 1 : (whole[0]?.first ?? 1)
  await jsm.streams.add({ ...definitionOf(EVENTS), first_seq: first, metadata })
  await jsm.streams.add({ ...definitionOf(BASE), metadata: { [IDENTITY]: randomUUID() } })
  const addresses = new Readdressing(asCopy)
  await writeKept(work, nats, addresses)
  const chain = base === undefined ? new Chain(sha256) : new Chain(sha256, floor, Buffer.from(base.hash, 'base64url'))
  const writer = new StreamWriter(nats, jsm, EVENTS, first, progress(report, EVENTS, end + 1))
  for (const segment of whole) {
    if (segment.first > upTo.sequence) break
    for await (const batch of entriesOf(folder, segment))
      for (const entry of batch) {
        if (entry.sequence > upTo.sequence) break
        chain.extend(entry.sequence, seal.digest(EVENTS, entry))
        addresses.take(entry)
        await writer.write(entry)
      }
    if (segment.last <= upTo.sequence && base64url(chain.head) !== segment.hash)
      throw new Error(`${segment.name}: its events are not those that were written, or not in their order`)
  }
  if (skip > 0 || upTo.sequence < events.last)
    report(`${EVENTS}: stepping over ${upTo.sequence + 1}-${end}, which the lost cluster may have given out`)
  await writer.skipTo(end + 1)
  await writer.end()
  return [chain.head, addresses]
}

/** What is said of a stream that stays true of it. */
const carried = (metadata: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries([SEALED_FROM, QUARANTINE].flatMap((name) => (metadata[name] === undefined ? [] : [[name, metadata[name]]])))

const writeKept = async ({ manifest, folder, seal }: Rewriting, nats: NatsConnection, addresses: Readdressing): Promise<void> => {
  const { segments, base, metadata, floor } = manifest.events
  const kept = segments.filter((segment) => segment.kept === true)
  if (base === undefined || kept.length === 0) return
  const standing = standingOf(metadata)
  const wanted = new Base()
  // A backup that was made while history was compacted has some of what went.
  for (const segment of kept)
    for await (const batch of entriesOf(folder, segment))
      for (const { sequence, subject, headers, text } of batch) {
        const digest = seal.digest(EVENTS, { subject, headers, text })
        if (seal.counts({ sequence, headers }, digest, standing))
          wanted.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
      }
  if (base64url(wanted.digest(sha256)) !== base.digest)
    throw new Error(`what was kept when history was compacted up to ${floor} is not what was noted`)
  const log = new JetStreamLog(nats, BASE)
  for (const segment of kept)
    for await (const batch of entriesOf(folder, segment)) {
      const here = batch.filter(({ subject, sequence }) => wanted.sequenceOf(subject) === sequence)
      for (const entry of here) addresses.take(entry)
      if (here.length > 0) await log.append(here.map(keptAppend))
    }
}

/** NOTICES, AUDIT, PULSE and KEYS: what has not expired meanwhile, and of notices what is not of a time that is undone. */
const writeOther = async (
  { upTo, manifest, skip, folder, seal, report }: Rewriting,
  nats: NatsConnection,
  jsm: Manager,
  stream: string,
  backup: StreamBackup
): Promise<void> => {
  const { max_age = 0 } = definitionOf(stream)
  const oldest = max_age === 0 ? 0 : Date.now() - max_age / 1e6
  const newest = stream === 'NOTICES' && upTo.sequence < manifest.events.last ? upTo.time : Number.POSITIVE_INFINITY
  const sparse = SPARSE_STREAMS.has(stream)
  // Whoever reads objects of it must not be given a version a second time.
  const end = backup.last + (stream === 'NOTICES' || stream === 'PULSE' ? skip : 0)
  let writer: StreamWriter | undefined
  let last = 0
  for (const segment of backup.segments)
    for await (const batch of entriesOf(folder, segment))
      for (const entry of batch) {
        if (entry.time < oldest || entry.time > newest || entry.sequence <= last) continue
        writer ??= await made(
          nats,
          jsm,
          stream,
          entry.sequence,
          { ...carried(backup.metadata), ...gone(sparse, backup, entry.sequence, end) },
          report,
          end
        )
        await writer.write(entry)
        last = entry.sequence
      }
  writer ??= await made(nats, jsm, stream, end, carried(backup.metadata), report, end)
  if (end > last) {
    await writer.skipTo(Math.max(writer.next, end))
    await writer.end()
    const { config } = await jsm.streams.info(stream)
    if (!sparse && last > 0 && end > last + 1)
      await jsm.streams.update(stream, {
        ...config,
        metadata: {
          ...config.metadata,
          [LOSSES]: textOfRanges([
            ...rangesOf(config.metadata?.[LOSSES]).filter((range) => range.first <= last),
            { first: last + 1, last: end - 1 }
          ])
        }
      })
    // What stands last is there for good: a stream's end is no matter of an index alone.
    if (writer.next <= end) await fill(nats, seal, stream, writer.next, end, report)
  } else await writer.end()
}

const gone = (sparse: boolean, { metadata }: StreamBackup, first: number, end: number): Record<string, string> =>
  sparse ? {} : { [LOSSES]: textOfRanges(rangesOf(metadata[LOSSES]).filter((range) => range.last >= first && range.last <= end)) }

const made = async (
  nats: NatsConnection,
  jsm: Manager,
  stream: string,
  first: number,
  metadata: Record<string, string>,
  report: Report,
  last: number
): Promise<StreamWriter> => {
  const at = Math.max(1, first)
  await jsm.streams.add({ ...definitionOf(stream), first_seq: at, metadata: { ...metadata, [IDENTITY]: randomUUID(), [EPOCH]: '1' } })
  return new StreamWriter(nats, jsm, stream, at, progress(report, stream, last))
}

const PROGRESS_MS = 2_000
const progress = (report: Report, stream: string, last: number): ((sequence: number) => void) => {
  let told = Date.now()
  return (sequence) => {
    if (Date.now() - told < PROGRESS_MS) return
    told = Date.now()
    report(`${stream}: ${sequence} of ${last}`)
  }
}

/** Reads back what was written, and begins the home's memory of it. Returns how many events there are. */
export const remember = async ({ home, upTo, seal, report }: Rewriting, nats: NatsConnection, wanted: Uint8Array): Promise<number> => {
  const folder = ledgerFolder(home)
  let events = 0
  for (const stream of KEPT_STREAMS) {
    const [expires, sparse] = [EXPIRING_STREAMS.has(stream), SPARSE_STREAMS.has(stream)]
    const found = await scan({
      connection: nats,
      stream,
      seal,
      expires: expires || sparse,
      places: new Set([upTo.sequence]),
      onProgress: (at, last) => report(`${stream}: reading back, ${at} of ${last}`)
    })
    const { identity = '', floor, base } = found.state
    if (stream === EVENTS) events = found.entries
    if (stream === EVENTS && upTo.sequence > floor && Buffer.compare(found.at.get(upTo.sequence) ?? Buffer.alloc(0), wanted) !== 0)
      throw new Error(`the restored log is not what the backup holds: its chain does not agree at ${upTo.sequence}`)
    if (stream === EVENTS && base !== undefined && base64url(found.base.digest(sha256)) !== base.digest)
      throw new Error('what was kept of history is not what the backup holds')
    FileLedger.begin(
      folder,
      stream,
      { identity, made: new Date().toISOString(), thinned: true },
      expires || sparse ? [] : found.marks,
      found.head,
      base === undefined ? [] : [{ ...base, floor }]
    )
  }
  return events
}
