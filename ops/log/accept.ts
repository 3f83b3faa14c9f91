/**
 * `reckon up --accept-loss`: a person's word that the log goes on without what is lost. What is missing is written down in
 * the stream's own metadata and as an event; sequences that were given out are filled, so that none is given out again.
 */
import { randomUUID } from 'node:crypto'
import { JetStreamApiError, jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { encodeEvent } from '#events/Event.ts'
import type { Append, Range } from '#events/Log.ts'
import { BASE, subjectOf } from '#events/Subject.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { startNatsServer } from '#ops/nats/server.ts'
import { forgetBlocks, inspectStore, keepCopy, setAside } from '#ops/nats/store.ts'
import { EXPIRING_STREAMS, KEPT_STREAMS, ledgerFolder, SPARSE_STREAMS, STREAM_NOT_FOUND, STREAMS } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { BASE_MARK, EPOCH, FLOOR, IDENTITY, LOSSES, rangesOf, stateOf, textOfRanges } from '#services/platform/jetstream/metadata.ts'
import { FileLedger, readFloors, readRecord } from '#services/platform/ledger/FileLedger.ts'
import type { Floor } from '#services/platform/ledger/Ledger.ts'
import { sha256, type Seal } from '#services/platform/ledger/Seal.ts'
import { ensureKeys, loadSeal } from './keys.ts'
import { scan, type Scan } from './scan.ts'

export interface Accepted {
  readonly stream: string
  readonly losses: readonly Range[]
}

/** In a stream of the same kind, what stands where an entry was lost: one subject for all. */
const FILLER = {
  EVENTS: 'ev.reckon%2Eio.losses._.filler',
  NOTICES: 'notice.reckon%2Eio.losses._.filler',
  PULSE: 'pulse.object.reckon%2Eio.losses._.filler',
  KEYS: 'key.lost',
  AUDIT: 'audit.lost'
} as const
const FILLERS_AT_ONCE = 500

/** The cluster's processes must not run. Returns what was accepted as lost, by stream. */
export const acceptLoss = async (home: string, config: ClusterConfig, report: Report): Promise<readonly Accepted[]> => {
  ensureKeys(home)
  const damaged = await inspectStore(home, report)
  if (damaged.length > 0) report(`damaged files are set aside in ${setAside(home, damaged, new Date())}`)
  keepCopy(home, new Date())
  forgetBlocks(home)
  await startNatsServer({ home, config, binary: (await ensureNatsServer(report)).path, report })
  const nats = await connectNats(home, config, 'keeper')
  try {
    const jsm = await jetstreamManager(nats, { checkAPI: false })
    const seal = loadSeal(home)
    const accepted: Accepted[] = []
    // What was kept of compacted history may be what is lost.
    await openStream(jsm, ledgerFolder(home), BASE, readRecord(ledgerFolder(home), BASE)?.identity ?? randomUUID(), 0)
    for (const stream of KEPT_STREAMS) {
      const losses = await acceptIn(stream, { home, nats, jsm, seal, report })
      if (losses.length === 0) continue
      accepted.push({ stream, losses })
      report(`${stream}: events ${textOfRanges(losses)} are lost, by your word`)
    }
    if (accepted.length > 0) await writeDown(nats, seal, accepted)
    return accepted
  } finally {
    await nats.close()
  }
}

interface Work {
  readonly home: string
  readonly nats: NatsConnection
  readonly jsm: JetStreamManager
  readonly seal: Seal
  readonly report: Report
}

const acceptIn = async (stream: string, { home, nats, jsm, seal, report }: Work): Promise<readonly Range[]> => {
  const folder = ledgerFolder(home)
  const record = readRecord(folder, stream)
  if (record === undefined) return []
  const ledger = new FileLedger(folder, stream)
  const { sequence: remembered } = ledger.head()
  const { identity } = ledger
  ledger.close()
  const before = await openStream(jsm, folder, stream, identity, remembered)
  const lost = stateOf(before).last < remembered ? [{ first: stateOf(before).last + 1, last: remembered }] : []
  for (const { first, last } of lost) await fill(nats, seal, stream, first, last, report)
  const sparse = SPARSE_STREAMS.has(stream)
  const expires = EXPIRING_STREAMS.has(stream) || sparse
  const found = await scan({
    connection: nats,
    stream,
    seal,
    expires,
    onProgress: (at, last) => report(`${stream}: reading what is left, ${at} of ${last}`)
  })
  const known = rangesOf(before.config.metadata?.[LOSSES])
  // Where only the newest are kept, the others are missing by design.
  const gaps = sparse ? [] : [...found.gaps]
  const floor = floorLeft(folder, stream, found)
  const fresh = [...(floor?.lost ?? []), ...gaps, ...lost]
    .filter(({ first, last }) => !known.some((one) => one.first <= first && last <= one.last))
    .sort((a, b) => a.first - b.first)
  if (fresh.length > 0 || record.damage !== undefined) {
    const epoch = Number(before.config.metadata?.[EPOCH] ?? 0) + 1
    const losses = gaps.sort((a, b) => a.first - b.first)
    await jsm.streams.update(stream, {
      ...before.config,
      metadata: {
        ...before.config.metadata,
        [IDENTITY]: identity,
        [EPOCH]: String(epoch),
        [LOSSES]: textOfRanges(losses),
        ...floor?.metadata
      }
    })
  }
  FileLedger.begin(
    folder,
    stream,
    { identity, made: record.made, thinned: true },
    expires ? [] : found.marks,
    found.head,
    floor === undefined ? [] : [floor.mark]
  )
  return fresh
}

/** Of history that was compacted: what is there now of what was kept is what counts from here on. */
const floorLeft = (
  folder: string,
  stream: string,
  { state: { floor, base }, base: found }: Scan
): { readonly mark: Floor; readonly lost: readonly Range[]; readonly metadata: Readonly<Record<string, string>> } | undefined => {
  if (floor === 0) return undefined
  const noted = readFloors(folder, stream).find((one) => one.floor === floor) ?? {
    floor,
    hash: '',
    digest: '',
    entries: 0,
    time: 0,
    ...base
  }
  const mark = { ...noted, digest: Buffer.from(found.digest(sha256)).toString('base64url'), entries: found.entries }
  const { floor: _, ...rest } = mark
  return {
    mark,
    lost: mark.digest === noted.digest ? [] : [{ first: 1, last: floor }],
    metadata: { [FLOOR]: String(floor), [BASE_MARK]: JSON.stringify(rest) }
  }
}

/** The stream, made anew behind everything that was given out when it is gone. */
const openStream = async (jsm: JetStreamManager, folder: string, stream: string, identity: string, remembered: number) => {
  try {
    return await jsm.streams.info(stream)
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND)) throw error
  }
  const definition = STREAMS.find(({ name }) => name === stream) as Partial<StreamConfig> & {
    readonly name: string
    readonly subjects: string[]
  }
  // What was kept of compacted history is in a stream of its own, and counts as it did.
  const { floor, ...base } = readFloors(folder, stream).at(-1) ?? { floor: 0 }
  const kept: Record<string, string> = floor === 0 ? {} : { [FLOOR]: String(floor), [BASE_MARK]: JSON.stringify(base) }
  return jsm.streams.add({ ...definition, first_seq: remembered + 1, metadata: { [IDENTITY]: identity, ...kept } })
}

/** Entries that say no more than that there was another one: a sequence is given out once. */
export const fill = async (
  nats: NatsConnection,
  seal: Seal,
  stream: string,
  first: number,
  last: number,
  report: Report
): Promise<void> => {
  const log = new JetStreamLog(nats, stream)
  const subject = FILLER[stream as keyof typeof FILLER]
  const filler = seal.seal(
    stream,
    { subject, headers: { 'reckon-lost': 'true', 'ce-time': new Date().toISOString() }, text: '' },
    undefined
  )
  for (let from = first; from <= last; from += FILLERS_AT_ONCE) {
    const count = Math.min(FILLERS_AT_ONCE, last - from + 1)
    // Streams that keep one message a subject take no batch with a subject twice.
    for (const batch of SPARSE_STREAMS.has(stream)
      ? Array.from({ length: count }, () => [filler])
      : [Array.from({ length: count }, () => filler)])
      await log.append(batch)
    if ((from - first) % (FILLERS_AT_ONCE * 200) === 0 && last - first > FILLERS_AT_ONCE * 200)
      report(`${stream}: filling what is lost, ${from} of ${last}`)
  }
}

/** The acceptance itself is an event like any other. */
const writeDown = async (nats: NatsConnection, seal: Seal, accepted: readonly Accepted[]): Promise<void> => {
  const id = randomUUID()
  const time = new Date().toISOString()
  const key = { group: 'reckon.io', resource: 'losses', namespace: '', name: `accepted-${time.toLowerCase().replace(/[^a-z0-9]/g, '-')}` }
  const object = {
    apiVersion: 'reckon.io/v1',
    kind: 'Loss',
    metadata: { name: key.name, uid: id, creationTimestamp: `${time.slice(0, 19)}Z` },
    spec: { streams: accepted.map(({ stream, losses }) => ({ stream, sequences: textOfRanges(losses) })) }
  }
  const event = {
    stream: 'EVENTS',
    key,
    id,
    type: 'reckon.log.loss-accepted.v1',
    source: 'reckon',
    time,
    user: 'keeper',
    correlationId: id,
    verb: 'create',
    command: 'reckon up --accept-loss',
    deleted: false,
    object,
    expected: 0
  } as const
  const append: Append = seal.seal('EVENTS', { subject: subjectOf('EVENTS', key), ...encodeEvent(event), expected: 0 }, undefined)
  await new JetStreamLog(nats, 'EVENTS').append([append])
}
