/**
 * Reading the state at a moment: the present from the view, the past from the history and the log. Gets, lists and
 * tables ask a Reader and do not know which it is.
 */
import { compactedText } from '#events/compaction.ts'
import { objectId, type ResourceRef } from '#events/Key.ts'
import { badRequest, expired, Refusal } from '#events/Refusal.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import type { Entry } from '#projections/Objects.ts'
import { Snapshot } from '#projections/Sorted.ts'
import type { Narrow, PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import type { Views } from '#services/platform/Views.ts'
import { pastListing, presentListing, type Listing } from './Listing.ts'
import type { Versions } from './Versions.ts'

export interface Reader {
  /** The sequence, in the collection's stream, that is read at. */
  sequence(ref: ResourceRef): number
  /** Milliseconds: what ages are relative to. */
  readonly now: number
  get(ref: ResourceRef, namespace: string, name: string): Promise<Entry | undefined> | Entry | undefined
  /** `narrow`: objects of the past that it says no of may be left out. */
  list(ref: ResourceRef, namespace?: string, narrow?: Narrow): Listing | Promise<Listing>
}

export const presentReader = (views: Views, versions: Versions, now: number): Reader => ({
  now,
  sequence: (ref) => views.of(ref).objects.sequence,
  get: (ref, namespace, name) => views.collection(ref).get(namespace, name),
  list: (ref, namespace) => presentListing(views.of(ref), versions, ref, namespace)
})

export interface Past {
  readonly views: Views
  readonly histories: ReadonlyMap<StreamName, PastIndex>
  readonly versions: Versions
}

/** `sequences`: the place of the moment in each stream. */
export const pastReader = ({ views, histories, versions }: Past, sequences: ReadonlyMap<string, number>, now: number): Reader => {
  const at = (ref: ResourceRef): { view: View; history: PastIndex; sequence: number } => {
    const view = views.of(ref)
    const history = histories.get(view.stream) as PastIndex
    const sequence = sequences.get(view.stream) ?? 0
    const floor = floorOf(view, history)
    if (sequence < floor.floor) throw compacted(floor)
    return { view, history, sequence }
  }
  return {
    now,
    sequence: (ref) => at(ref).sequence,
    get: async (ref, namespace, name) => {
      const { view, history, sequence } = at(ref)
      const id = objectId(namespace, name)
      const version = history.versionAt(ref, id, sequence)
      stillTold(history, sequence)
      if (version === undefined) return undefined
      if (history.forgets === true && view.objects.collection(ref).get(namespace, name)?.sequence !== version) throw forgotten(ref, id, now)
      return versions.read(view, version, subjectOf(view.stream, { group: ref.group, resource: ref.resource, namespace, name }))
    },
    list: async (ref, namespace, narrow) => {
      const { view, history, sequence } = at(ref)
      const live = await history.liveAt(ref, sequence, namespace, narrow)
      stillTold(history, sequence)
      // History may have been compacted up to a later moment while the list was made.
      at(ref)
      if (history.forgets === true)
        for (const { id, sequence: version } of live) {
          const slash = id.indexOf('/')
          if (view.objects.collection(ref).get(id.slice(0, slash), id.slice(slash + 1))?.sequence !== version) throw forgotten(ref, id, now)
        }
      return pastListing(view, versions, ref, new Snapshot([live]))
    }
  }
}

/** Up to where history is compacted: the view hears of it first. */
const floorOf = (view: View, { floor, firstTime }: PastIndex): { readonly floor: number; readonly time: number } =>
  view.floor > floor ? { floor: view.floor, time: view.floorTime } : { floor, time: firstTime ?? 0 }

const forgotten = ({ resource }: ResourceRef, id: string, time: number): Refusal =>
  expired(
    `${resource} have no history: of each the last state is kept, and ${id.startsWith('/') ? id.slice(1) : id} has changed since ${new Date(time).toISOString()}`
  )

const compacted = ({ floor, time }: { readonly floor: number; readonly time: number }): Refusal => expired(compactedText(floor, time))

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const RELATIVE = /^-(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/
const INSTANT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/i

export interface Moment {
  readonly sequences: ReadonlyMap<string, number>
  /** Milliseconds. */
  readonly time: number
}

/** How many events a second an index takes in at least: when to ask again. */
const PACE = 20_000
/** A request waits so long for the index when no more than a second's work is left: what was written just now, or before a start. */
const SETTLE_MS = 10_000

/** 503 while the index is not as far as `sequence`. */
const behind = (stream: StreamName, reached: number, sequence: number): Refusal =>
  new Refusal(
    503,
    'ServiceUnavailable',
    `the history of ${stream} is being indexed, and has come to resourceVersion ${reached} of ${sequence} (${Math.floor((100 * reached) / Math.max(1, sequence))} %): the past can be read soon, the present as ever`,
    {
      retryAfterSeconds: Math.min(60, 1 + Math.ceil((sequence - reached) / PACE))
    }
  )

/** An index that could not be read, or was begun anew, while it was asked has answered with less than there was: that is no answer. */
const stillTold = ({ stream, lastSequence }: PastIndex, sequence: number): void => {
  if (lastSequence < sequence) throw behind(stream, lastSequence, sequence)
}

/** Waits for the index to reach a sequence of a view's stream when it is near; throws 503 when it does not. */
export const settled = async (history: PastIndex, sequence: number): Promise<void> => {
  const wait = sequence - history.lastSequence > PACE ? 0 : SETTLE_MS
  if (!(await history.reaches(sequence, wait))) throw behind(history.stream, history.lastSequence, sequence)
  if (sequence < (history.begins ?? 0)) throw before(history)
}

/** 503 while the index begins at a keyframe, and what was before is still being read. */
const before = ({ stream, begins = 0, filled = 0, lastSequence, firstTime = 0 }: PastIndex): Refusal =>
  new Refusal(
    503,
    'ServiceUnavailable',
    `the history of ${stream} is being indexed anew, and has come to resourceVersion ${filled} of ${lastSequence} (${Math.floor((100 * filled) / Math.max(1, lastSequence))} %): what was before resourceVersion ${begins} (${new Date(firstTime).toISOString()}) can be read soon, what came since as ever`,
    {
      retryAfterSeconds: Math.min(60, 1 + Math.ceil((lastSequence - filled) / PACE))
    }
  )

/** Waits until the indexes tell the place of a time: what is decided by then is among what they have. */
const settledAt = async ({ views, histories }: Past, time: number): Promise<void> => {
  for (const [stream, history] of histories) {
    const view = views.byStream.get(stream)
    const wanted = view?.objects.sequence ?? 0
    const reached = history.lastSequence
    if (reached < wanted && (history.timeOf(reached) ?? 0) <= time) await settled(history, wanted)
    if ((history.begins ?? 0) > 0 && time < (history.firstTime ?? 0)) throw before(history)
  }
}

/** `2026-11-20T10:00:00Z`, `-15m`, or a resourceVersion of EVENTS. Throws a Refusal that says what is possible. */
export const momentOf = async (text: string, past: Past, now: number): Promise<Moment> => {
  const events = past.histories.get('EVENTS') as PastIndex
  const view = past.views.byStream.get('EVENTS') as View
  const floor = floorOf(view, events)
  let time: number
  let sequence: number | undefined
  if (/^\d{1,15}$/.test(text)) {
    sequence = Number(text)
    if (sequence < floor.floor) throw compacted(floor)
    const last = view.objects.sequence
    if (sequence > last) throw badRequest(`resourceVersion ${sequence} is in the future: the last one is ${last}`)
    await settled(events, sequence)
    const stored = events.timeOf(sequence)
    if (stored === undefined) throw expired(`resourceVersion ${sequence} is before the first event`)
    time = stored
  } else {
    time = timeOf(text, now)
    if (floor.floor > 0 && time < floor.time) throw compacted(floor)
  }
  await settledAt(past, time)
  const first = events.firstTime
  if (first === undefined || time < first)
    throw expired(
      `the log begins at ${first === undefined ? 'no time yet: it is empty' : new Date(first).toISOString()}; there is nothing to read at ${text}`
    )
  return {
    time,
    sequences: new Map(
      [...past.histories].map(([stream, history]) => [
        stream,
        stream === 'EVENTS' && sequence !== undefined ? sequence : history.sequenceAt(time)
      ])
    )
  }
}

/** Milliseconds of `2026-11-20T10:00:00Z` or `-15m`. */
const timeOf = (text: string, now: number): number => {
  if (RELATIVE.test(text))
    return (
      now -
      [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)].reduce(
        (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number),
        0
      )
    )
  if (!INSTANT.test(text))
    throw badRequest(
      `"${text}" is not a moment: use an RFC 3339 time (2026-11-20T10:00:00Z), a time ago (-15m, -1h30m) or a resourceVersion`
    )
  const time = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) || text.length <= 10 ? text : `${text}Z`)
  if (Number.isNaN(time)) throw badRequest(`"${text}" is not a time`)
  if (time > now) throw badRequest(`${text} is in the future`)
  return time
}

export const pastIsReadOnly = (moment: string): Refusal =>
  new Refusal(405, 'MethodNotAllowed', `this is the past: the cluster as of ${moment} can be read, not changed`, {})
