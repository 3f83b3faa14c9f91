/** The index of the past in memory: it forgets with its process. */
import { refOf, type ResourceRef } from '#events/Key.ts'
import { subjectOf, type StreamName } from '#events/Subject.ts'
import { History, type Version } from '#projections/History.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { Waiters } from '#services/platform/Waiters.ts'
import type { Keyframe, Standing } from './Keyframe.ts'
import type { PastStore, Reached, Taken } from './PastIndex.ts'

export class MemoryPast implements PastStore {
  readonly stream: StreamName
  readonly #waiters: Waiters
  #history: History
  #identity: string | undefined
  #reached: Reached = { sequence: 0 }
  #makings = 0
  begins = 0

  constructor(stream: StreamName, clock: Clock) {
    this.stream = stream
    this.#waiters = new Waiters(clock)
    this.#history = new History(stream)
  }
  get lastSequence(): number {
    return this.#reached.sequence
  }
  get firstTime(): number | undefined {
    return this.#history.firstTime
  }
  get floor(): number {
    return this.#history.floor
  }
  get making(): string {
    return String(this.#makings)
  }
  seed({ sequence, hash, time, standing }: Pick<Keyframe, 'sequence' | 'hash' | 'time' | 'standing'>): void {
    const headers = { 'ce-time': new Date(time).toISOString() }
    for (const { collection, id, version } of standing.toSorted((a, b) => a.version - b.version)) {
      const [namespace, name] = id.split('/') as [string, string]
      const subject = subjectOf(this.stream, { ...refOf(collection), namespace, name })
      this.#history.apply({ subject, sequence: version, headers, text: '', time })
    }
    this.#history.pass({ subject: '', sequence, headers, text: '', time })
    this.#reached = { sequence, chain: { sequence, hash } }
    this.begins = sequence
    this.#waiters.reached(sequence)
  }
  standingAt(sequence: number): readonly Standing[] {
    return this.#history.collections().flatMap((collection) => {
      const live = this.#history.liveAt(refOf(collection), sequence)
      return live.map(({ id, sequence: version }) => ({ collection, id, version }))
    })
  }
  begin(identity: string): Reached {
    if (this.#identity !== undefined && this.#identity !== identity) this.clear()
    this.#identity = identity
    return this.#reached
  }
  take(taken: readonly Taken[], reached: Reached): void {
    for (const { entry, event } of taken) {
      if (event) this.#history.apply(entry)
      else this.#history.pass(entry)
    }
    this.#reached = reached
    this.#waiters.reached(reached.sequence)
  }
  raise(floor: number, time: number): void {
    this.#history.raise(floor, time)
  }
  expire(first: number): void {
    this.#history.expire(first)
  }
  trim(): boolean {
    return false
  }
  clear(): void {
    this.#history = new History(this.stream)
    this.#reached = { sequence: 0 }
    this.begins = 0
    this.#makings += 1
  }
  close(): void {}
  sequenceAt(time: number): number {
    return this.#history.sequenceAt(time)
  }
  timeOf(sequence: number): number | undefined {
    return this.#history.timeOf(sequence)
  }
  versionAt(ref: ResourceRef, id: string, sequence: number): number | undefined {
    return this.#history.versionAt(ref, id, sequence)
  }
  placesOf(ref: ResourceRef, id: string): readonly number[] {
    return this.#history.versionsOf(ref, id)
  }
  deletedSince(ref: ResourceRef, id: string, sequence: number): boolean {
    return this.#history.deletedSince(ref, id, sequence)
  }
  liveAt(ref: ResourceRef, sequence: number, namespace?: string): readonly Version[] {
    return this.#history.liveAt(ref, sequence, namespace)
  }
  reaches(sequence: number, timeoutMs: number): Promise<boolean> {
    if (this.lastSequence >= sequence || timeoutMs <= 0) return Promise.resolve(this.lastSequence >= sequence)
    return this.#waiters
      .until(sequence, timeoutMs, () => new Error('late'))
      .then(
        () => true,
        () => false
      )
  }
}
