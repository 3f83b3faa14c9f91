/** Reading a stream from end to end: what is there, what is not ours, what is missing, and the chain over it. */
import type { NatsConnection } from '@nats-io/transport-node'
import { decodeFacts } from '#events/Event.ts'
import type { LogEntry, LogState, Range } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { Base } from '#projections/Base.ts'
import { Chain } from '#projections/Chain.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MARK_EVERY } from '#services/platform/ledger/Integrity.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import { MAC_HEADER, sha256, type Seal } from '#services/platform/ledger/Seal.ts'

export interface Strange {
  readonly sequence: number
  readonly subject: string
  /** RFC 3339: when the log stored it. */
  readonly stored: string
  readonly why: 'not sealed' | 'not readable'
}

export interface Scan {
  readonly state: LogState
  readonly entries: number
  /** Sequences that are not there, those known to be lost included; before the first entry only where entries do not expire. */
  readonly gaps: readonly Range[]
  readonly strange: readonly Strange[]
  /** The chain over what is there, at every mark's place, and at the end. */
  readonly marks: readonly Place[]
  readonly head: Place
  /** Places that were asked for. */
  readonly at: ReadonlyMap<number, Uint8Array>
  /** What was found of history up to its floor; empty where all of it is there. */
  readonly base: Base
}

export interface ScanOptions {
  readonly connection: NatsConnection
  readonly stream: string
  readonly seal: Seal
  readonly expires: boolean
  /** Where the chain begins: behind this place. Default: at nothing. */
  readonly from?: Place
  /** Sequences whose hash is wanted. */
  readonly places?: ReadonlySet<number>
  readonly onEntry?: (entry: LogEntry) => void
  readonly onProgress?: (sequence: number, last: number) => void
}

const PROGRESS_EVERY = 100_000

/** Entries of object streams can be decoded; keys and the audit are records of their own. */
const isReadable = (stream: string, entry: LogEntry): boolean => {
  if (stream === 'AUDIT' || stream === 'KEYS') return true
  try {
    decodeFacts(stream as StreamName, entry)
    return true
  } catch {
    return false
  }
}

/** An agent's own word, beside the objects of its stream (ARCHITECTURE.md, decision 13): nobody seals it, nobody reads it as an event. */
const isPulse = (subject: string): boolean => subject.startsWith('pulse.node.')

export const scan = async ({ connection, stream, seal, expires, from, places, onEntry, onProgress }: ScanOptions): Promise<Scan> => {
  const log = new JetStreamLog(connection, stream, { gapless: false })
  const state = await log.state()
  // What was compacted is no part of the chain: it begins at the floor, as it was there.
  const begin = state.base !== undefined ? { sequence: state.floor, hash: Buffer.from(state.base.hash, 'base64url') } : from
  const chain = begin?.hash === undefined ? new Chain(sha256) : new Chain(sha256, begin.sequence, begin.hash)
  const base = new Base()
  const gaps: Range[] = []
  const strange: Strange[] = []
  const marks: Place[] = []
  const at = new Map<number, Uint8Array>()
  let entries = 0
  let next = expires ? state.first : state.floor + 1
  const take = (entry: LogEntry): void => {
    const { sequence, subject, headers, time } = entry
    const kept = sequence <= state.floor
    if (!kept) {
      if (sequence > next) gaps.push({ first: next, last: sequence - 1 })
      next = sequence + 1
    }
    entries += 1
    const digest = seal.digest(stream, entry)
    if (sequence > chain.sequence) chain.extend(sequence, digest)
    const why = isPulse(subject)
      ? undefined
      : sequence >= state.sealedFrom && !seal.verifies(digest, headers[MAC_HEADER])
        ? 'not sealed'
        : headers['reckon-lost'] !== 'true' && !isReadable(stream, entry)
          ? 'not readable'
          : undefined
    if (kept && why === undefined && seal.counts(entry, digest, state))
      base.take(subject, sequence, digest, headers['reckon-deleted'] === 'true')
    if (why !== undefined) strange.push({ sequence, subject, stored: new Date(time).toISOString(), why })
    if (places?.has(sequence) === true) at.set(sequence, chain.head)
    if (sequence % MARK_EVERY === 0 && !kept) marks.push({ sequence, hash: chain.head })
    onEntry?.(entry)
    if (entries % PROGRESS_EVERY === 0) onProgress?.(sequence, state.last)
  }
  await new Promise<void>((resolve, reject) => {
    const subscription = log.follow({
      from: 1,
      onEntries: (found) => {
        for (const entry of found) if (entry.sequence <= state.last) take(entry)
      },
      onCaughtUp: () => {
        subscription.close()
        resolve()
      },
      onFailed: reject
    })
  })
  if (next <= state.last) gaps.push({ first: next, last: state.last })
  return { state, entries, gaps, strange, marks, head: { sequence: state.last, hash: chain.head }, at, base }
}
