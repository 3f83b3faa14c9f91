/** `reckon log verify`: the whole log read and held against what the home remembers of it. */
import { JetStreamApiError } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Damage, LogState, Range } from '#events/Log.ts'
import { EXPIRING_STREAMS, KEPT_STREAMS, ledgerFolder, SPARSE_STREAMS, STREAM_NOT_FOUND } from '#ops/nats/streams.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { beyond, textOfRanges } from '#services/platform/jetstream/metadata.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import type { Place } from '#services/platform/ledger/Ledger.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { loadSeal } from './keys.ts'
import { scan, type Scan, type Strange } from './scan.ts'

export interface StreamVerdict {
  readonly stream: string
  readonly entries: number
  readonly first: number
  readonly last: number
  /** The hash of everything up to `last`, hexadecimal. */
  readonly hash: string
  /** Not ours, and not put aside: readers pass over them. */
  readonly strange: readonly Strange[]
  readonly losses: readonly Range[]
  readonly damages: readonly Damage[]
}

const damage = (stream: string, kind: Damage['kind'], ranges: readonly Range[], detail: string): Damage => ({
  stream,
  kind,
  ranges,
  verified: Math.max(0, (ranges[0]?.first ?? 1) - 1),
  detail: `${stream}: ${detail}`
})

/** The places where the chain is another than it was, as ranges from the last place that agrees. */
const altered = (stream: string, known: readonly Place[], found: Scan, suspects: readonly Strange[]): readonly Damage[] => {
  let agreed = 0
  for (const { sequence, hash } of known) {
    const now = found.at.get(sequence)
    if (hash === undefined || now === undefined) continue
    if (Buffer.compare(hash, now) !== 0) {
      const inside = suspects
        .filter((one) => one.sequence > agreed && one.sequence <= sequence)
        .map((one) => ({ first: one.sequence, last: one.sequence }))
      const ranges = inside.length > 0 ? inside : [{ first: agreed + 1, last: sequence }]
      return [
        damage(
          stream,
          'altered',
          ranges,
          `${inside.length > 0 ? `events ${textOfRanges(inside)} are` : `some of the events ${textOfRanges(ranges)} are`} not what was written`
        )
      ]
    }
    agreed = sequence
  }
  return []
}

/** What was to be kept when history was compacted, against what is there. */
const kept = (stream: string, ledger: FileLedger, { state: { floor, base }, base: found }: Scan): readonly Damage[] => {
  if (floor === 0) return []
  const noted = ledger.floors().find((one) => one.floor === floor) ?? base
  const whole =
    noted !== undefined &&
    base?.digest === noted.digest &&
    base.hash === noted.hash &&
    Buffer.from(found.digest(sha256)).toString('base64url') === noted.digest
  return whole
    ? []
    : [
        damage(
          stream,
          'altered',
          [{ first: 1, last: floor }],
          `of the ${noted?.entries ?? '?'} versions that were kept when history was compacted up to ${floor}, ${found.entries} are there, and they are not what was noted`
        )
      ]
}

const holes = (stream: string, { gaps, state }: Scan): readonly Damage[] => {
  const open = gaps.filter(({ first, last }) => beyond(state.losses, first) <= last)
  return open.length === 0 ? [] : [damage(stream, 'hole', open, `events ${textOfRanges(open)} are missing`)]
}

export interface VerifyOptions {
  readonly home: string
  /** As the keeper. */
  readonly connection: NatsConnection
  readonly report: (line: string) => void
}

/** Reads every kept stream. Changes nothing. */
export const verifyLog = async ({ home, connection, report }: VerifyOptions): Promise<readonly StreamVerdict[]> => {
  const seal = loadSeal(home)
  const verdicts: StreamVerdict[] = []
  for (const stream of KEPT_STREAMS) {
    const ledger = new FileLedger(ledgerFolder(home), stream)
    try {
      verdicts.push(await verifyStream(stream, ledger, { connection, seal, report }))
    } finally {
      ledger.close()
    }
  }
  return verdicts
}

const verifyStream = async (
  stream: string,
  ledger: FileLedger,
  { connection, seal, report }: { connection: NatsConnection; seal: ReturnType<typeof loadSeal>; report: (line: string) => void }
): Promise<StreamVerdict> => {
  const sparse = SPARSE_STREAMS.has(stream)
  const before = await stateIfThere(connection, stream)
  if (before === undefined) return gone(stream, ledger)
  const { first, floor } = before
  const known = sparse ? [] : [...ledger.marks(), ledger.head()].filter(({ sequence, hash }) => hash !== undefined && sequence > floor)
  // Of a stream whose beginning is gone, the chain is taken up at the first place that is remembered.
  const from = first > 1 && floor === 0 ? known.find(({ sequence }) => sequence >= first - 1) : undefined
  const found = await scan({
    connection,
    stream,
    seal,
    expires: EXPIRING_STREAMS.has(stream) || sparse,
    places: new Set(known.map(({ sequence }) => sequence)),
    ...(from === undefined ? {} : { from }),
    onProgress: (sequence, last) => report(`${stream}: ${sequence} of ${last}`)
  })
  const { state, entries, strange, head } = found
  const { sequence } = ledger.head()
  const aside = strange.filter((one) => !state.quarantined.includes(one.sequence))
  return {
    stream,
    entries,
    first: state.first,
    last: state.last,
    hash: sparse ? '' : Buffer.from(head.hash ?? []).toString('hex'),
    strange: aside,
    losses: state.losses,
    damages: [
      ...identity(stream, ledger, state),
      ...(state.last < sequence
        ? [
            damage(
              stream,
              'shorter',
              [{ first: state.last + 1, last: sequence }],
              `it ends at ${state.last}, but ${sequence} events were acknowledged`
            )
          ]
        : []),
      ...(sparse ? [] : holes(stream, found)),
      ...kept(stream, ledger, found),
      ...altered(stream, known, found, strange)
    ]
  }
}

const stateIfThere = async (connection: NatsConnection, stream: string): Promise<LogState | undefined> => {
  try {
    return await new JetStreamLog(connection, stream).state()
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined
    throw error
  }
}

const gone = (stream: string, ledger: FileLedger): StreamVerdict => {
  const { sequence } = ledger.head()
  const found = damage(
    stream,
    'gone',
    sequence === 0 ? [] : [{ first: 1, last: sequence }],
    `the stream is not there, though ${sequence} events were acknowledged in it`
  )
  return { stream, entries: 0, first: 0, last: 0, hash: '', strange: [], losses: [], damages: [found] }
}

const identity = (stream: string, ledger: FileLedger, state: LogState): readonly Damage[] =>
  state.identity === ledger.identity
    ? []
    : [
        damage(
          stream,
          'replaced',
          [{ first: 1, last: ledger.head().sequence }],
          `the stream is not the one this cluster has written (its identity is ${state.identity ?? 'missing'}, not ${ledger.identity})`
        )
      ]
