/** What a stream's own metadata says of it (`LogState`), and how it is written there. Plain functions. */
import type { StreamInfo } from '@nats-io/jetstream'
import type { Base, LogState, Range } from '#events/Log.ts'

export const IDENTITY = 'reckon.identity'
export const SEALED_FROM = 'reckon.sealed-from'
export const EPOCH = 'reckon.epoch'
export const LOSSES = 'reckon.losses'
export const QUARANTINE = 'reckon.quarantine'
export const FLOOR = 'reckon.floor'
/** JSON: what is left up to the floor (`Base`). */
export const BASE_MARK = 'reckon.base'
/** Which log this one was restored from, as `<identity>@<sequence>`. */
export const RESTORED = 'reckon.restored-from'

/** `1-20,31`: the form of a list of ranges. */
export const textOfRanges = (ranges: readonly Range[]): string =>
  ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',')

export const rangesOf = (text: string | undefined): Range[] =>
  (text ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [first = 0, last = first] = part.split('-').map(Number)
      return { first, last }
    })

/** Which entries of a stream count, from its metadata alone. */
export const standingOf = (metadata: Readonly<Record<string, string>>): Pick<LogState, 'sealedFrom' | 'quarantined'> => ({
  sealedFrom: Number(metadata[SEALED_FROM] ?? 1),
  quarantined: rangesOf(metadata[QUARANTINE]).map(({ first }) => first)
})

export const stateOf = ({ config: { metadata = {} }, state }: Pick<StreamInfo, 'config' | 'state'>): LogState => ({
  ...(metadata[IDENTITY] === undefined ? {} : { identity: metadata[IDENTITY] }),
  first: Math.max(1, state.first_seq),
  last: state.last_seq,
  messages: state.messages,
  ...(state.num_subjects === undefined ? {} : { subjects: state.num_subjects }),
  bytes: state.bytes,
  ...standingOf(metadata),
  epoch: Number(metadata[EPOCH] ?? 0),
  losses: rangesOf(metadata[LOSSES]),
  floor: Number(metadata[FLOOR] ?? 0),
  ...(metadata[BASE_MARK] === undefined ? {} : { base: JSON.parse(metadata[BASE_MARK]) as Base })
})

/** How many of the sequences from `first` to `last` are in the ranges, which do not overlap. */
export const countIn = (ranges: readonly Range[], first: number, last: number): number =>
  ranges.reduce((sum, range) => sum + Math.max(0, Math.min(last, range.last) - Math.max(first, range.first) + 1), 0)

/** The first sequence ≥ `from` that is in no range. */
export const beyond = (ranges: readonly Range[], from: number): number => {
  for (let next = from; ;) {
    const inside = ranges.find(({ first, last }) => first <= next && next <= last)
    if (inside === undefined) return next
    next = inside.last + 1
  }
}
