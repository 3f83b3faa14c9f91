/**
 * Reading the state at a moment: the present from the view, the past from the history and the log. Gets, lists and
 * tables ask a Reader and do not know which it is.
 */
import { compactedText } from '#events/compaction.ts'
import { objectId, type ResourceRef } from '#events/Key.ts'
import { badRequest, expired, Refusal } from '#events/Refusal.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import type { History } from '#projections/History.ts'
import type { Entry } from '#projections/Objects.ts'
import { Snapshot } from '#projections/Sorted.ts'
import type { View, Views } from '../../platform/View.ts'
import { pastListing, presentListing, type Listing } from './Listing.ts'
import type { Versions } from './Versions.ts'

export interface Reader {
  /** The sequence, in the collection's stream, that is read at. */
  sequence(ref: ResourceRef): number
  /** Milliseconds: what ages are relative to. */
  readonly now: number
  get(ref: ResourceRef, namespace: string, name: string): Promise<Entry | undefined> | Entry | undefined
  list(ref: ResourceRef, namespace?: string): Listing
}

export const presentReader = (views: Views, versions: Versions, now: number): Reader => ({
  now,
  sequence: (ref) => views.of(ref).objects.sequence,
  get: (ref, namespace, name) => views.collection(ref).get(namespace, name),
  list: (ref, namespace) => presentListing(views.of(ref), versions, ref, namespace)
})

export interface Past {
  readonly views: Views
  readonly histories: ReadonlyMap<StreamName, History>
  readonly versions: Versions
}

/** `sequences`: the place of the moment in each stream. */
export const pastReader = ({ views, histories, versions }: Past, sequences: ReadonlyMap<string, number>, now: number): Reader => {
  const at = (ref: ResourceRef): { view: View; history: History; sequence: number } => {
    const view = views.of(ref)
    const history = histories.get(view.stream) as History
    const sequence = sequences.get(view.stream) ?? 0
    if (sequence < history.floor) throw compacted(history)
    return { view, history, sequence }
  }
  const subjectIn = (view: View, ref: ResourceRef, id: string): string => {
    const [namespace = '', name = ''] = id.split('/')
    return subjectOf(view.stream, { group: ref.group, resource: ref.resource, namespace, name })
  }
  return {
    now,
    sequence: (ref) => at(ref).sequence,
    get: async (ref, namespace, name) => {
      const { view, history, sequence } = at(ref)
      const version = history.versionAt(ref, objectId(namespace, name), sequence)
      return version === undefined ? undefined : versions.read(view, version, subjectIn(view, ref, objectId(namespace, name)))
    },
    list: (ref, namespace) => {
      const { view, history, sequence } = at(ref)
      return pastListing(view, versions, ref, new Snapshot([history.liveAt(ref, sequence, namespace)]))
    }
  }
}

const compacted = (history: History): Refusal => expired(compactedText(history.floor, history.firstTime ?? 0))

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const RELATIVE = /^-(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/
const INSTANT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/i

export interface Moment {
  readonly sequences: ReadonlyMap<string, number>
  /** Milliseconds. */
  readonly time: number
}

/** `2026-11-20T10:00:00Z`, `-15m`, or a resourceVersion of EVENTS. Throws a Refusal that says what is possible. */
export const momentOf = (text: string, past: Past, now: number): Moment => {
  const events = past.histories.get('EVENTS') as History
  let time: number
  let sequence: number | undefined
  if (/^\d{1,15}$/.test(text)) {
    sequence = Number(text)
    if (sequence < events.floor) throw compacted(events)
    if (sequence > events.lastSequence) throw badRequest(`resourceVersion ${sequence} is in the future: the last one is ${events.lastSequence}`)
    const stored = events.timeOf(sequence)
    if (stored === undefined) throw expired(`resourceVersion ${sequence} is before the first event`)
    time = stored
  } else if (RELATIVE.test(text)) {
    time = now - [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number), 0)
  } else if (INSTANT.test(text)) {
    time = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) || text.length <= 10 ? text : `${text}Z`)
    if (Number.isNaN(time)) throw badRequest(`"${text}" is not a time`)
    if (time > now) throw badRequest(`${text} is in the future`)
  } else throw badRequest(`"${text}" is not a moment: use an RFC 3339 time (2026-11-20T10:00:00Z), a time ago (-15m, -1h30m) or a resourceVersion`)
  const first = events.firstTime
  if (events.floor > 0 && time < (first ?? 0)) throw compacted(events)
  if (first === undefined || time < first) throw expired(`the log begins at ${first === undefined ? 'no time yet: it is empty' : new Date(first).toISOString()}; there is nothing to read at ${text}`)
  return {
    time,
    sequences: new Map([...past.histories].map(([stream, history]) => [stream, stream === 'EVENTS' && sequence !== undefined ? sequence : history.sequenceAt(time)]))
  }
}

export const pastIsReadOnly = (moment: string): Refusal => new Refusal(405, 'MethodNotAllowed', `this is the past: the cluster as of ${moment} can be read, not changed`, {})
