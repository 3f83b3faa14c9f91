/** What a compaction up to a floor would leave: reads history up to there and changes nothing. */
import type { NatsConnection } from '@nats-io/transport-node'
import { LogDamaged, type LogEntry, type LogState } from '#events/Log.ts'
import { Base } from '#projections/Base.ts'
import { base64url, Chain } from '#projections/Chain.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { beyond } from '#services/platform/jetstream/metadata.ts'
import type { Floor, Place } from '#services/platform/ledger/Ledger.ts'
import { MAC_HEADER, sha256, type Seal } from '#services/platform/ledger/Seal.ts'
import { easing } from './ease.ts'

/** Where a floor may be: the last event decided at or before a time (milliseconds), or one sequence. */
export type Limit = { readonly time: number } | { readonly sequence: number }

export interface Plan {
  readonly mark: Floor
  readonly base: Base
  /** What stands up to the floor now, and what of it goes: entries, and their bytes before compression. */
  readonly entries: number
  readonly gone: number
  readonly goneBytes: number
}

export interface PlanOptions {
  readonly connection: NatsConnection
  readonly state: LogState
  readonly seal: Seal
  /** Places that are remembered: history that is not what it was is not compacted. */
  readonly known: readonly Place[]
  readonly limit: Limit
  readonly eased: boolean
  readonly onProgress?: (sequence: number) => void
}

/** When an event was decided; when it was stored, for what is none. */
export const timeOf = ({ headers, time }: LogEntry): number => {
  const decided = Date.parse(headers['ce-time'] ?? '')
  return Number.isNaN(decided) ? time : decided
}

const PROGRESS_EVERY = 100_000
const EVENTS = 'EVENTS'

const altered = (sequence: number): never => {
  throw new LogDamaged({
    stream: EVENTS,
    kind: 'altered',
    ranges: [{ first: 1, last: sequence }],
    verified: 0,
    detail: `${EVENTS}: its events up to ${sequence} are not what they were; see \`reckon log verify\``
  })
}

/** Undefined when nothing is old enough. Throws LogDamaged. */
export const planCompaction = async ({
  connection,
  state,
  seal,
  known,
  limit,
  eased,
  onProgress
}: PlanOptions): Promise<Plan | undefined> => {
  const log = new JetStreamLog(connection, EVENTS)
  const places = new Map(
    known.flatMap(({ sequence, hash }) => (hash === undefined || sequence <= state.floor ? [] : [[sequence, hash] as const]))
  )
  const chain = state.base === undefined ? new Chain(sha256) : new Chain(sha256, state.floor, Buffer.from(state.base.hash, 'base64url'))
  const base = new Base()
  const sizes = new Map<string, number>()
  const rest = easing(eased)
  let [entries, bytes, floor, time, next] = [0, 0, 0, state.base?.time ?? 0, Math.max(state.first, state.floor + 1)]
  const to = 'sequence' in limit ? Math.min(limit.sequence, state.last) : state.last
  reading: for await (const batch of log.read({ from: 1, to })) {
    for (const entry of batch) {
      const { sequence, subject, headers, text } = entry
      const now = sequence <= state.floor ? time : Math.max(time, timeOf(entry))
      if ('time' in limit && now > limit.time) break reading
      const digest = seal.digest(EVENTS, entry)
      if (sequence > state.floor) {
        if (beyond(state.losses, next) < sequence) altered(sequence)
        next = sequence + 1
        chain.extend(sequence, digest)
        const there = places.get(sequence)
        if (there !== undefined && Buffer.compare(there, chain.head) !== 0) altered(sequence)
      }
      ;[floor, time] = [sequence, now]
      entries += 1
      const size =
        subject.length + text.length + Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
      bytes += size
      if (seal.counts(entry, digest, state)) {
        const deleted = headers['reckon-deleted'] === 'true'
        base.take(subject, sequence, digest, deleted)
        if (deleted) sizes.delete(subject)
        else sizes.set(subject, size)
      }
      if (entries % PROGRESS_EVERY === 0) onProgress?.(sequence)
    }
    await rest()
  }
  // Where the floor itself was compacted before, nothing is read at its place.
  floor = Math.max(floor, state.floor)
  if (floor === 0 || (floor === state.floor && !('sequence' in limit))) return undefined
  let kept = 0
  for (const { subject } of base.versions()) kept += sizes.get(subject) ?? 0
  return {
    mark: { floor, hash: base64url(chain.head), digest: base64url(base.digest(sha256)), entries: base.entries, time },
    base,
    entries,
    gone: entries - base.entries,
    goneBytes: bytes - kept
  }
}
