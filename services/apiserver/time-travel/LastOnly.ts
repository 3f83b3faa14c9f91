/**
 * The past of a stream that keeps only the last state of each object: heartbeats and Leases. They have no index, for a heartbeat per
 * node and ten seconds would be most of it; what there is to say is said from the view.
 */
import type { ResourceRef } from '#events/Key.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Version } from '#projections/History.ts'
import type { Entry } from '#projections/Objects.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'

/** An event that began its object's life. */
const CREATED = /\.created\.v\d+$/

const timeOf = ({ facts }: Entry): number => Date.parse(facts.time)

export class LastOnly implements PastIndex {
  readonly forgets = true
  readonly #view: View

  constructor(view: View) {
    this.#view = view
  }
  get stream(): StreamName {
    return this.#view.stream
  }
  get lastSequence(): number {
    return this.#view.objects.sequence
  }
  get firstTime(): undefined {
    return undefined
  }
  get floor(): number {
    return 0
  }
  reaches(): Promise<boolean> {
    return Promise.resolve(true)
  }
  sequenceAt(time: number): number {
    let last = 0
    for (const entry of this.#entries()) if (timeOf(entry) <= time && entry.sequence > last) last = entry.sequence
    return last
  }
  timeOf(sequence: number): number | undefined {
    let last: number | undefined
    for (const entry of this.#entries()) if (entry.sequence <= sequence) last = Math.max(last ?? 0, timeOf(entry))
    return last
  }
  /** Of what has changed since, the version before the last change, which nobody has any more. */
  versionAt(ref: ResourceRef, id: string, sequence: number): number | undefined {
    const slash = id.indexOf('/')
    const entry = this.#view.objects.collection(ref).get(id.slice(0, slash), id.slice(slash + 1))
    return entry === undefined ? undefined : versionOf(entry, sequence)
  }
  deletedSince(): boolean {
    return false
  }
  liveAt(ref: ResourceRef, sequence: number, namespace?: string): readonly Version[] {
    return this.#view.objects
      .collection(ref)
      .list(namespace)
      .flatMap((entry) => {
        const version = versionOf(entry, sequence)
        return version === undefined ? [] : [{ id: entry.id, sequence: version }]
      })
  }
  *#entries(): Generator<Entry> {
    for (const collection of this.#view.objects.collections()) yield* collection.values()
  }
}

const versionOf = ({ sequence, facts }: Entry, at: number): number | undefined => {
  if (sequence <= at) return sequence
  // Renewed or changed since: it was there before, in a state that is gone.
  return CREATED.test(facts.type) || facts.expected === 0 ? undefined : Math.min(facts.expected, at)
}
