/**
 * Reading the state at a moment: the present from the view, the past from the history and the log. Gets, lists and
 * tables ask a Reader and do not know which it is.
 */
import { compactedText } from '#events/compaction.ts'
import { decodeFacts } from '#events/Event.ts'
import { objectId, type ResourceRef } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { badRequest, expired, Refusal } from '#events/Refusal.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import type { History } from '#projections/History.ts'
import { Entry } from '#projections/Objects.ts'
import type { View, Views } from '../../platform/View.ts'

export interface Reader {
  /** The sequence, in the collection's stream, that is read at. */
  sequence(ref: ResourceRef): number
  /** Milliseconds: what ages are relative to. */
  readonly now: number
  get(ref: ResourceRef, namespace: string, name: string): Promise<Entry | undefined> | Entry | undefined
  list(ref: ResourceRef, namespace?: string): Promise<readonly Entry[]> | readonly Entry[]
}

export const presentReader = (views: Views, now: number): Reader => ({
  now,
  sequence: (ref) => views.of(ref).objects.sequence,
  get: (ref, namespace, name) => views.collection(ref).get(namespace, name),
  list: (ref, namespace) => views.collection(ref).list(namespace)
})

/** Old versions asked for again and again (a dashboard looking at one moment) are read once. */
const KEPT = 4_096
/** Reads of the log in flight for one list. */
const PARALLEL = 64

/** Old versions by stream and sequence, the most recently used ones kept. */
export class Versions {
  readonly #kept = new Map<string, Entry>()

  /** `subject`: the object's. */
  async read(view: View, sequence: number, subject: string): Promise<Entry> {
    const key = `${view.stream}:${sequence}`
    const known = this.#kept.get(key)
    if (known !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, known)
      return known
    }
    const stored = await view.log.get(sequence, subject)
    const entry = stored === undefined ? undefined : view.versionOf(stored)
    if (entry === undefined) throw expired(`${view.stream} no longer has version ${sequence}`)
    this.#kept.set(key, entry)
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value as string)
    return entry
  }
}

export const entryOf = (stream: StreamName, stored: LogEntry): Entry => new Entry(decodeFacts(stream, stored), stored.text)

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
    list: async (ref, namespace) => {
      const { view, history, sequence } = at(ref)
      const live = history.liveAt(ref, sequence, namespace)
      const entries: Entry[] = []
      for (let from = 0; from < live.length; from += PARALLEL)
        entries.push(...(await Promise.all(live.slice(from, from + PARALLEL).map(({ id, sequence: version }) => versions.read(view, version, subjectIn(view, ref, id))))))
      return entries
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
  if (first === undefined || time < first) throw expired(`the log begins at ${first === undefined ? 'no time yet: it is empty' : new Date(first).toISOString()}; there is nothing to read at ${new Date(time).toISOString()}`)
  return {
    time,
    sequences: new Map([...past.histories].map(([stream, history]) => [stream, stream === 'EVENTS' && sequence !== undefined ? sequence : history.sequenceAt(time)]))
  }
}

export const pastIsReadOnly = (moment: string): Refusal => new Refusal(405, 'MethodNotAllowed', `this is the past: the cluster as of ${moment} can be read, not changed`, {})
