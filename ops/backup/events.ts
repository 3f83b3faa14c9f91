/**
 * The part of a backup that is history: EVENTS up to one sequence. What the folder has already is not written again, but its
 * end is read once more from the log: only a log that is there what it was then is gone on with.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { LogDamaged, type LogEntry, type LogState } from '#events/Log.ts'
import { easing } from '#ops/log/ease.ts'
import { timeOf } from '#ops/log/plan.ts'
import { Base } from '#projections/Base.ts'
import { base64url, Chain } from '#projections/Chain.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { beyond, RESTORED } from '#services/platform/jetstream/metadata.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import { MAC_HEADER, sha256, type Seal } from '#services/platform/ledger/Seal.ts'
import type { BackupFolder } from './folder.ts'
import type { EventsBackup, Segment } from './format.ts'
import { SEGMENT_BYTES, writeSegments } from './segments.ts'

export interface EventsWork {
  readonly connection: NatsConnection
  readonly folder: BackupFolder
  readonly seal: Seal
  /** Places the home remembers: a log that is not what it was is not backed up over one that was. */
  readonly known: readonly Place[]
  readonly eased: boolean
  readonly report: (line: string) => void
}

const EVENTS = 'EVENTS'
const PROGRESS_MS = 2_000
const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64url')

/** A batch is stored entry by entry: its last one may be a moment away. */
const TRIES = 100
const TRY_MS = 20

/** The last sequence a backup can end at: what was stored together stays together. */
const wholeUpTo = async (log: JetStreamLog, last: number): Promise<number> => {
  for (let [at, tries] = [last, 0]; at > 0 && tries < TRIES;) {
    const entry = await log.get(at)
    if (entry === undefined && at > last) {
      tries += 1
      await wait(TRY_MS)
      continue
    }
    if (entry?.headers['Nats-Batch-Id'] === undefined || entry.headers['Nats-Batch-Commit'] !== undefined) return at
    at += 1
  }
  return last
}

const metadataOf = (all: Readonly<Record<string, string>> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(all ?? {}).filter(([name]) => name.startsWith('reckon.')))

/** Where the chain is taken up, from where on entries are written, and the segments that stay as they are. */
interface Start {
  readonly place: Place
  readonly writeFrom: number
  readonly stay: readonly Segment[]
  readonly time: number
}

const placeBefore = (segments: readonly Segment[], at: number): Place => {
  const before = segments[at - 1]
  return before?.hash === undefined ? { sequence: 0 } : { sequence: before.last, hash: bytesOf(before.hash) }
}

const startOf = (old: EventsBackup | undefined, last: number, { floor, base }: LogState): Start => {
  const atFloor: Place = base === undefined ? { sequence: 0 } : { sequence: floor, hash: bytesOf(base.hash) }
  if (old === undefined) return { place: atFloor, writeFrom: atFloor.sequence + 1, stay: [], time: base?.time ?? 0 }
  const { segments } = old
  const tail = segments.at(-1)
  const before = placeBefore(segments, segments.length - 1)
  if (tail === undefined || tail.kept === true || before.sequence < floor) {
    if (old.last < floor)
      throw new Error(
        `the log was compacted up to ${floor}, and this backup ends at ${old.last}: what lies between can't be had any more. Begin a new backup in another folder; this one can still be restored`
      )
    return { place: atFloor, writeFrom: old.last + 1, stay: segments, time: old.time }
  }
  const rewritten = tail.size < SEGMENT_BYTES && last > old.last
  return rewritten
    ? { place: before, writeFrom: tail.first, stay: segments.slice(0, -1), time: segments.at(-2)?.time ?? 0 }
    : { place: before, writeFrom: old.last + 1, stay: segments, time: segments.at(-2)?.time ?? 0 }
}

const isSuccessor = (old: EventsBackup, { identity }: LogState, restored: string | undefined): boolean =>
  old.identity === identity || restored === `${old.identity}@${old.last}`

export const backUpEvents = async (work: EventsWork, old: EventsBackup | undefined): Promise<EventsBackup> => {
  const { connection, folder, known, eased, report } = work
  const log = new JetStreamLog(connection, EVENTS)
  const state = await log.state()
  const metadata = metadataOf(await log.metadata())
  if (old !== undefined && !isSuccessor(old, state, metadata[RESTORED]))
    throw new Error(
      `the backup in ${folder.path} is of another log (${old.identity}, and this one is ${state.identity ?? 'without a name'}): name another folder`
    )
  const last = await wholeUpTo(log, state.last)
  if (old !== undefined && last < old.last)
    throw new Error(
      `the backup in ${folder.path} goes up to ${old.last}, and the log ends at ${last}: the backup is of a time that was undone, or the log has lost its end. Name another folder, or see \`reckon log verify\``
    )
  const repaired = old === undefined ? undefined : await repair(work, old, state)
  const start = startOf(repaired ?? old, last, state)
  const kept = old === undefined && state.floor > 0 ? await writeKept(work, state) : []
  const walk = new Walk(work, state, start, old, new Map(known.map(({ sequence, hash }) => [sequence, hash])))
  const batches = walk.batches(log, last, easing(eased), report)
  const written = await writeSegments({
    folder,
    stream: EVENTS,
    batches,
    atEnd: () => ({ hash: base64url(walk.chain.head), time: walk.time })
  })
  if (old !== undefined && old.last > start.place.sequence && !walk.agreed) throw notContinued(folder, old)
  return {
    identity: state.identity ?? '',
    last,
    hash: base64url(walk.chain.head),
    time: walk.time,
    floor: old?.floor ?? state.floor,
    ...(old === undefined ? (state.base === undefined ? {} : { base: state.base }) : old.base === undefined ? {} : { base: old.base }),
    metadata,
    segments: [...start.stay, ...kept, ...written]
  }
}

const notContinued = (folder: BackupFolder, old: EventsBackup): Error =>
  new Error(
    `the log does not go on where the backup in ${folder.path} ends (at ${old.last}): its events were changed, or the backup is of a time that was undone. Nothing was written; name another folder, and see \`reckon log verify\``
  )

/** Reading on along the chain. */
class Walk {
  readonly chain: Chain
  time: number
  agreed = false
  readonly #start: Start
  readonly #state: LogState
  readonly #old: EventsBackup | undefined
  readonly #known: ReadonlyMap<number, Uint8Array | undefined>
  readonly #work: EventsWork

  constructor(
    work: EventsWork,
    state: LogState,
    start: Start,
    old: EventsBackup | undefined,
    known: ReadonlyMap<number, Uint8Array | undefined>
  ) {
    const { sequence, hash } = start.place
    this.chain = hash === undefined ? new Chain(sha256) : new Chain(sha256, sequence, hash)
    this.time = start.time
    this.#work = work
    this.#start = start
    this.#state = state
    this.#old = old
    this.#known = known
  }
  /** What is to be written, read in order and held against all that is known. */
  async *batches(
    log: JetStreamLog,
    last: number,
    rest: () => Promise<void>,
    report: (line: string) => void
  ): AsyncGenerator<readonly LogEntry[]> {
    const { place, writeFrom } = this.#start
    let told = Date.now()
    let next = place.sequence + 1
    for await (const batch of log.read({ from: next, to: last })) {
      for (const entry of batch) {
        if (beyond(this.#state.losses, next) < entry.sequence) await this.#missing(log, next, entry.sequence - 1)
        next = entry.sequence + 1
        this.#take(entry)
      }
      const wanted = batch.filter(({ sequence }) => sequence >= writeFrom)
      if (wanted.length > 0) yield wanted
      await rest()
      if (Date.now() - told < PROGRESS_MS) continue
      told = Date.now()
      report(`${EVENTS}: ${next - 1} of ${last}`)
    }
    if (beyond(this.#state.losses, next) <= last) await this.#missing(log, next, last)
  }
  #take(entry: LogEntry): void {
    const { sequence } = entry
    this.time = Math.max(this.time, timeOf(entry))
    this.chain.extend(sequence, this.#work.seal.digest(EVENTS, entry))
    const known = this.#known.get(sequence)
    if (known !== undefined && Buffer.compare(known, this.chain.head) !== 0)
      throw new LogDamaged({
        stream: EVENTS,
        kind: 'altered',
        ranges: [{ first: 1, last: sequence }],
        verified: 0,
        detail: `${EVENTS}: its events up to ${sequence} are not what they were; the backup stays as it was. See \`reckon log verify\``
      })
    if (sequence !== this.#old?.last) return
    if (base64url(this.chain.head) !== this.#old.hash) throw notContinued(this.#work.folder, this.#old)
    this.agreed = true
  }
  async #missing(log: JetStreamLog, first: number, last: number): Promise<never> {
    if ((await log.state()).floor > this.#state.floor)
      throw new Error('history was compacted while it was read; the backup stays as it was: run it again')
    throw new LogDamaged({
      stream: EVENTS,
      kind: 'hole',
      ranges: [{ first, last }],
      verified: first - 1,
      detail: `${EVENTS}: events ${first}-${last} are missing; the backup stays as it was`
    })
  }
}

/** Of history that was compacted before the first backup: what was kept. */
const writeKept = async ({ connection, folder, seal, eased }: EventsWork, state: LogState): Promise<readonly Segment[]> => {
  const { floor, base } = state
  const found = new Base()
  const rest = easing(eased)
  const batches = async function* (): AsyncGenerator<readonly LogEntry[]> {
    for await (const batch of new JetStreamLog(connection, EVENTS).read({ from: 1, to: floor })) {
      for (const { sequence, subject, headers, text } of batch) {
        const digest = seal.digest(EVENTS, { subject, headers, text })
        const ours = seal.counts({ sequence, headers }, digest, state)
        if (ours) found.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
      }
      yield batch
      await rest()
    }
  }
  const segments = await writeSegments({
    folder,
    stream: EVENTS,
    batches: batches(),
    mark: '-kept',
    atEnd: () => ({ kept: true, hash: base?.hash ?? '', time: base?.time ?? 0 })
  })
  if (base64url(found.digest(sha256)) !== base?.digest)
    throw new Error(`what was kept when history was compacted up to ${floor} is not what was noted; see \`reckon log verify\``)
  return segments
}

/** Segments that are gone from the folder, or cut short, are read from the log again, where it still has them. */
const repair = async (work: EventsWork, old: EventsBackup, state: LogState): Promise<EventsBackup | undefined> => {
  const { connection, folder, eased, report } = work
  const bad = old.segments.filter((segment) => !folder.has(segment))
  if (bad.length === 0) return undefined
  const segments = [...old.segments]
  for (const segment of bad) {
    const at = segments.indexOf(segment)
    const place = placeBefore(segments, at)
    if (segment.kept === true || place.sequence < state.floor)
      throw new Error(
        `${segment.name} is missing or cut short, and the log no longer has what was in it: begin a new backup in another folder`
      )
    const walk = new Walk(
      work,
      state,
      { place, writeFrom: segment.first, stay: [], time: segments[at - 1]?.time ?? 0 },
      undefined,
      new Map()
    )
    const [again] = await writeSegments({
      folder,
      stream: EVENTS,
      batches: walk.batches(new JetStreamLog(connection, EVENTS), segment.last, easing(eased), report),
      whole: true,
      atEnd: () => ({ hash: base64url(walk.chain.head), time: walk.time })
    })
    if (again === undefined || again.hash !== segment.hash) throw notContinued(folder, old)
    segments[at] = again
    report(`${segment.name} was missing or cut short, and is written again`)
  }
  return { ...old, segments }
}
