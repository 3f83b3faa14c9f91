/**
 * Compaction of history: from a floor on it is whole; of what was before, the version each object had at the floor is kept.
 *
 * What is kept moves into a stream of its own, BASE, and EVENTS is cut off at the floor by one purge. To purge the older
 * versions subject by subject, and leave the kept ones where they are, would be simpler for readers; but each such purge makes
 * nats-server look through every file of the stream, with writes standing still: some 0.3 s each in a log of a million events,
 * hours for 20,000 objects.
 *
 * Each step can be the last before a crash. The floor is noted in the home's ledger, with what must be left up to it, then in
 * the stream, then told as an event; only then anything moves. Readers take up what was kept from wherever it stands, so a log
 * half compacted is whole to them, and the next compaction ends what was begun (`finishCompaction`).
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { COMPACTION } from '#events/compaction.ts'
import { encodeEvent, headersAgain, objectOf } from '#events/Event.ts'
import { asOneOf } from '#events/KubeObject.ts'
import { LogDamaged, type Append, type LogEntry } from '#events/Log.ts'
import { BASE, baseSubjectOf, subjectOf } from '#events/Subject.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import type { Report } from '#ops/setup/project.ts'
import { Base } from '#projections/Base.ts'
import { SEQUENCE_HEADER, entryOfBase } from '#services/platform/jetstream/entry.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { BASE_MARK, FLOOR } from '#services/platform/jetstream/metadata.ts'
import { FileLedger, readFloors, writeFloors } from '#services/platform/ledger/FileLedger.ts'
import type { Floor } from '#services/platform/ledger/Ledger.ts'
import { sha256, type Seal } from '#services/platform/ledger/Seal.ts'
import { easing } from './ease.ts'
import { planCompaction, type Limit, type Plan } from './plan.ts'

export interface Compaction {
  readonly home: string
  /** As the keeper. */
  readonly connection: NatsConnection
  readonly seal: Seal
  readonly report: Report
  /** The cluster works meanwhile: it gets its share. */
  readonly eased: boolean
  /** What the person (or the setting) said, for the event. */
  readonly command: string
  /** Between word of the floor and the first thing that goes, milliseconds: readers in the middle of something end it. */
  readonly graceMs?: number
  /** For tests of crashes: called before each step; what it throws ends the compaction there. */
  readonly onStep?: (step: Step) => void
}

export type Step = 'note' | 'raise' | 'tell' | 'wait' | 'keep' | 'drop' | 'check' | 'purge' | 'forget'

const GRACE_MS = 10_000
/** Sequences purged at once: a write waits some ten milliseconds for it. */
const PURGED_AT_ONCE = 20_000
const KEPT_AT_ONCE = 200
const KEPT_BYTES = 4 * 1024 * 1024
const EVENTS = 'EVENTS'

/** Reads history up to the limit: what would go, and what would be kept. Undefined when nothing is old enough. */
export const plan = async ({ home, connection, seal, eased, report }: Compaction, limit: Limit): Promise<Plan | undefined> => {
  const ledger = new FileLedger(ledgerFolder(home), EVENTS)
  try {
    const damage = ledger.damage()
    if (damage !== undefined) throw new LogDamaged(damage)
    const state = await new JetStreamLog(connection, EVENTS).state()
    return await planCompaction({
      connection,
      state,
      seal,
      limit,
      eased,
      known: [...ledger.marks(), ledger.head()],
      onProgress: (at) => report(`reading history, at ${at}`)
    })
  } finally {
    ledger.close()
  }
}

/** Raises the floor to the plan's and lets go of what is before it. */
export const compact = async (work: Compaction, { mark, base }: Plan): Promise<void> => {
  const { home, connection, onStep } = work
  const jsm = await jetstreamManager(connection, { checkAPI: false })
  onStep?.('note')
  writeFloors(ledgerFolder(home), EVENTS, [...readFloors(ledgerFolder(home), EVENTS).filter(({ floor }) => floor < mark.floor), mark])
  onStep?.('raise')
  const { config } = await jsm.streams.info(EVENTS)
  const { floor, ...rest } = mark
  await jsm.streams.update(EVENTS, {
    ...config,
    metadata: { ...config.metadata, [FLOOR]: String(floor), [BASE_MARK]: JSON.stringify(rest) }
  })
  await finish(work, jsm, mark, base)
}

/** Ends a compaction that was begun and not ended. False when there is none. */
export const finishCompaction = async (work: Compaction): Promise<boolean> => {
  const { connection, home } = work
  const { floor, first, base } = await new JetStreamLog(connection, EVENTS).state()
  if (floor === 0 || base === undefined) return false
  if (first > floor) {
    prune(home, floor)
    return false
  }
  const again = await plan(work, { sequence: floor })
  if (again === undefined || again.mark.digest !== base.digest)
    throw new Error(`the compaction up to ${floor} can't be ended: what must be kept of it is not there; see \`reckon log verify\``)
  work.report(`ending the compaction up to ${floor} that was begun before`)
  await finish(work, await jetstreamManager(connection, { checkAPI: false }), { ...base, floor }, again.base)
  return true
}

const finish = async (work: Compaction, jsm: JetStreamManager, mark: Floor, base: Base): Promise<void> => {
  const { home, connection, eased, graceMs = GRACE_MS, onStep, report } = work
  onStep?.('tell')
  await tell(work, mark)
  onStep?.('wait')
  if (eased) await wait(graceMs)
  onStep?.('keep')
  const there = await keptNow(connection)
  await keep(work, mark, base, there)
  onStep?.('drop')
  const rest = easing(eased)
  for (const subject of there.keys()) {
    if (base.sequenceOf(subject) !== undefined) continue
    await jsm.streams.purge(BASE, { filter: baseSubjectOf(subject) })
    await rest()
  }
  onStep?.('check')
  await check(work, mark)
  onStep?.('purge')
  const { first } = await new JetStreamLog(connection, EVENTS).state()
  for (let next = first; next <= mark.floor;) {
    next = Math.min(next + PURGED_AT_ONCE, mark.floor + 1)
    await jsm.streams.purge(EVENTS, { seq: next })
    await rest()
  }
  onStep?.('forget')
  prune(home, mark.floor)
  report(
    `history begins at resourceVersion ${mark.floor} (${new Date(mark.time).toISOString()}) now; ${mark.entries} versions of before are kept`
  )
}

/** Floors of before can't be the stream's any more. */
const prune = (home: string, floor: number): void => {
  const known = readFloors(ledgerFolder(home), EVENTS)
  if (known.some((one) => one.floor < floor))
    writeFloors(
      ledgerFolder(home),
      EVENTS,
      known.filter((one) => one.floor >= floor)
    )
}

/** The compaction is an event like any other. Told once: the last word on it may have been this one. */
const tell = async ({ connection, seal, command }: Compaction, mark: Floor): Promise<void> => {
  const log = new JetStreamLog(connection, EVENTS)
  const subject = subjectOf(EVENTS, COMPACTION)
  const [before, { first }] = [await log.lastOn(subject), await log.state()]
  const known = before === undefined ? undefined : asOneOf(COMPACTION, objectOf(before))
  if (known?.spec.floor === mark.floor) return
  const id = randomUUID()
  const time = new Date().toISOString()
  const { floor, entries } = mark
  const event = {
    stream: EVENTS,
    key: COMPACTION,
    id,
    type: 'reckon.log.history-compacted.v1',
    source: 'reckon',
    time,
    user: 'keeper',
    correlationId: id,
    verb: known === undefined ? 'create' : 'update',
    command,
    deleted: false,
    object: {
      apiVersion: 'reckon.io/v1',
      kind: 'Compaction',
      metadata: {
        name: COMPACTION.name,
        uid: known?.metadata.uid ?? id,
        creationTimestamp: known?.metadata.creationTimestamp ?? `${time.slice(0, 19)}Z`
      },
      spec: { floor, time: new Date(mark.time).toISOString(), kept: entries }
    },
    expected: before === undefined || before.sequence < first ? 0 : before.sequence
  } as const
  const result = await log.append([seal.seal(EVENTS, { subject, ...encodeEvent(event), expected: event.expected }, undefined)])
  if (!result.ok) throw new Error('another compaction is at work')
}

/** What BASE holds: the sequence that is kept of each subject. */
const keptNow = async (connection: NatsConnection): Promise<ReadonlyMap<string, number>> => {
  const found = new Map<string, number>()
  for await (const entries of new JetStreamLog(connection, BASE).read({ from: 1, to: Number.MAX_SAFE_INTEGER }))
    for (const { subject, sequence } of entries.map(entryOfBase)) found.set(subject, sequence)
  return found
}

/** Copies into BASE what is to be kept and is not there yet, in the order of sequences. */
const keep = async ({ connection, eased }: Compaction, { floor }: Floor, base: Base, there: ReadonlyMap<string, number>): Promise<void> => {
  const [from, into] = [new JetStreamLog(connection, EVENTS), new JetStreamLog(connection, BASE)]
  const { first } = await from.state()
  const rest = easing(eased)
  let waiting: Append[] = []
  let bytes = 0
  const write = async (): Promise<void> => {
    if (waiting.length > 0) await into.append(waiting)
    ;[waiting, bytes] = [[], 0]
    await rest()
  }
  for await (const entries of from.read({ from: first, to: floor })) {
    for (const entry of entries) {
      const { subject, sequence } = entry
      if (base.sequenceOf(subject) !== sequence || there.get(subject) === sequence) continue
      waiting.push(keptAppend(entry))
      bytes += entry.text.length
      if (waiting.length >= KEPT_AT_ONCE || bytes >= KEPT_BYTES) await write()
    }
  }
  await write()
}

/** An entry of EVENTS as it is kept in BASE. */
export const keptAppend = ({ subject, sequence, headers, text }: LogEntry): Append => ({
  subject: baseSubjectOf(subject),
  headers: { ...headersAgain(headers), [SEQUENCE_HEADER]: String(sequence) },
  text
})

/** Nothing goes before what is kept of it was read back and is what it must be. */
const check = async ({ connection, seal }: Compaction, { digest }: Floor): Promise<void> => {
  const found = new Base()
  for await (const entries of new JetStreamLog(connection, BASE).read({ from: 1, to: Number.MAX_SAFE_INTEGER }))
    for (const entry of entries.map(entryOfBase)) found.take(entry.subject, entry.sequence, seal.digest(EVENTS, entry), false)
  if (Buffer.from(found.digest(sha256)).toString('base64url') !== digest)
    throw new Error('what is kept of history is not what was read; nothing was removed')
}
