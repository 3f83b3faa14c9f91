/**
 * Where in a stream every version of every object is, and when each event happened: what lets the past be read
 * without replaying it. A fold of the stream's entries; bodies stay in the log.
 */
import { objectId, resourceId, type ResourceRef } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { keyOfSubject, type StreamName } from '#events/Subject.ts'

export interface Version {
  readonly id: string
  readonly sequence: number
}

/** The decider's clock and not the log's: a restored log was stored later than it happened. Milliseconds. */
export const decidedAt = ({ time, headers }: Pick<LogEntry, 'time' | 'headers'>): number => {
  const decided = Date.parse(headers['ce-time'] ?? '')
  return Number.isNaN(decided) ? time : decided
}

/** The last index whose value is ≤ wanted; -1 when none is. */
const lastUpTo = (length: number, valueAt: (index: number) => number, wanted: number): number => {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (valueAt(middle) <= wanted) low = middle + 1
    else high = middle
  }
  return low - 1
}

export class History {
  readonly #stream: StreamName
  /** Collection → object → versions, each `sequence * 2 + (deleted ? 1 : 0)`, ascending. */
  readonly #versions = new Map<string, Map<string, number[]>>()
  #sequences = new Float64Array(1024)
  #times = new Float64Array(1024)
  #count = 0
  #floor = 0

  constructor(stream: StreamName) {
    this.#stream = stream
  }
  get lastSequence(): number {
    return this.#count === 0 ? 0 : (this.#sequences[this.#count - 1] as number)
  }
  get firstTime(): number | undefined {
    return this.#count === 0 ? undefined : this.#times[0]
  }
  /** What was before is not all there: 0 when everything is. */
  get floor(): number {
    return this.#floor
  }
  /** The ids of those that ever had an object. */
  collections(): readonly string[] {
    return [...this.#versions.keys()]
  }
  /** Everything before `floor` is compacted: of each object the version it had then is left. `time`: when that was. */
  raise(floor: number, time: number): void {
    if (floor <= this.#floor) return
    this.#floor = floor
    for (const [collection, objects] of this.#versions) {
      for (const [id, versions] of objects) {
        const at = lastUpTo(versions.length, (index) => Math.floor((versions[index] as number) / 2), floor)
        if (at < 0) continue
        const kept = versions.slice((versions[at] as number) % 2 === 1 ? at + 1 : at)
        if (kept.length === 0) objects.delete(id)
        else objects.set(id, kept)
      }
      if (objects.size === 0) this.#versions.delete(collection)
    }
    const behind = lastUpTo(this.#count, (index) => this.#sequences[index] as number, floor) + 1
    const left = this.#count - behind
    const [sequences, times] = [new Float64Array(Math.max(1024, left + 1)), new Float64Array(Math.max(1024, left + 1))]
    sequences.set(this.#sequences.subarray(behind, this.#count), 1)
    times.set(this.#times.subarray(behind, this.#count), 1)
    sequences[0] = floor
    times[0] = time
    ;[this.#sequences, this.#times, this.#count] = [sequences, times, left + 1]
  }
  /** What was stored before `first` has left the stream, of each object alike. */
  expire(first: number): void {
    for (const [collection, objects] of this.#versions) {
      for (const [id, versions] of objects) {
        const kept = versions.filter((version) => version >= first * 2)
        if (kept.length === 0) objects.delete(id)
        else if (kept.length < versions.length) objects.set(id, kept)
      }
      if (objects.size === 0) this.#versions.delete(collection)
    }
    const behind = lastUpTo(this.#count, (index) => this.#sequences[index] as number, first - 1) + 1
    ;[this.#sequences, this.#times] = [this.#sequences.slice(behind), this.#times.slice(behind)]
    this.#count -= behind
  }
  apply(entry: LogEntry): void {
    if (entry.sequence <= this.lastSequence) return
    this.pass(entry)
    const key = keyOfSubject(this.#stream, entry.subject)
    if (key === undefined) return
    const collection = resourceId(key)
    let objects = this.#versions.get(collection)
    if (objects === undefined) this.#versions.set(collection, (objects = new Map()))
    const id = objectId(key.namespace, key.name)
    const version = entry.sequence * 2 + (entry.headers['reckon-deleted'] === 'true' ? 1 : 0)
    const versions = objects.get(id)
    if (versions === undefined) objects.set(id, [version])
    else versions.push(version)
  }
  /** An entry that is no event is a place in time all the same. */
  pass({ sequence, time, headers }: LogEntry): void {
    if (sequence <= this.lastSequence) return
    this.#remember(sequence, decidedAt({ time, headers }))
  }
  #remember(sequence: number, time: number): void {
    if (this.#count === this.#sequences.length) {
      const grown = (old: Float64Array): Float64Array<ArrayBuffer> => {
        const next = new Float64Array(Math.max(1024, old.length * 2))
        next.set(old)
        return next
      }
      this.#sequences = grown(this.#sequences)
      this.#times = grown(this.#times)
    }
    this.#sequences[this.#count] = sequence
    // The log's clock may step back (a server restarted on another clock); a moment is still one place.
    this.#times[this.#count] = Math.max(time, this.#count === 0 ? 0 : (this.#times[this.#count - 1] as number))
    this.#count += 1
  }
  /** The last sequence stored at or before `time` (milliseconds); 0 before the first. */
  sequenceAt(time: number): number {
    const at = lastUpTo(this.#count, (index) => this.#times[index] as number, time)
    return at < 0 ? 0 : (this.#sequences[at] as number)
  }
  /** When the last event up to `sequence` was stored; undefined before the first. */
  timeOf(sequence: number): number | undefined {
    const at = lastUpTo(this.#count, (index) => this.#sequences[index] as number, sequence)
    return at < 0 ? undefined : this.#times[at]
  }
  /** The sequences of all of an object's versions, deletions among them. */
  versionsOf(ref: ResourceRef, id: string): readonly number[] {
    return (this.#versions.get(resourceId(ref))?.get(id) ?? []).map((version) => Math.floor(version / 2))
  }
  /** The version of an object that was live at `sequence`. */
  versionAt(ref: ResourceRef, id: string, sequence: number): number | undefined {
    const versions = this.#versions.get(resourceId(ref))?.get(id)
    if (versions === undefined) return undefined
    const at = lastUpTo(versions.length, (index) => Math.floor((versions[index] as number) / 2), sequence)
    const version = at < 0 ? undefined : (versions[at] as number)
    return version === undefined || version % 2 === 1 ? undefined : version / 2
  }
  /** Whether the object was deleted after `sequence`, and so is perhaps another one now. */
  deletedSince(ref: ResourceRef, id: string, sequence: number): boolean {
    const versions = this.#versions.get(resourceId(ref))?.get(id) ?? []
    for (let at = versions.length - 1; at >= 0 && Math.floor((versions[at] as number) / 2) > sequence; at--)
      if ((versions[at] as number) % 2 === 1) return true
    return false
  }
  /** The objects of a collection that were live at `sequence`, in the order lists show them. */
  liveAt(ref: ResourceRef, sequence: number, namespace?: string): readonly Version[] {
    const found: Version[] = []
    for (const id of this.#versions.get(resourceId(ref))?.keys() ?? []) {
      if (namespace !== undefined && !id.startsWith(`${namespace}/`)) continue
      const version = this.versionAt(ref, id, sequence)
      if (version !== undefined) found.push({ id, sequence: version })
    }
    return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  }
}
