/**
 * What was lately, from the views alone: whether a version is of the last quarter of an hour, and whether its namespace has had another
 * tenant since. It is asked with every page and every watch, so that it must not wait for the index of the past, which is made
 * beside the views and may be a moment, or a whole history, behind them.
 */
import { NAMESPACES } from '#events/collections.ts'
import { resourceId } from '#events/Key.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Subscription } from '#events/Log.ts'
import type { Views } from '#services/platform/Views.ts'
import { LATELY_MS } from './authorizePast.ts'

/** What happens within it is of one moment. */
const GRAIN_MS = 1_000

interface Sample {
  readonly time: number
  /** The last one within the moment. */
  sequence: number
}

export interface Recent {
  /** Older versions are not of lately. */
  readonly oldest: number
  /** The namespace was deleted since. */
  readonly moved: boolean
}

export class Lately {
  readonly #clock: Clock
  readonly #samples = new Map<StreamName, Sample[]>()
  /** When namespaces were last deleted: sequences in EVENTS. */
  readonly #deleted = new Map<string, number>()
  readonly #subscriptions: readonly Subscription[]

  constructor(views: Views, clock: Clock) {
    this.#clock = clock
    this.#subscriptions = [...views.byStream.values()].map((view) => {
      const samples: Sample[] = [{ time: clock.now(), sequence: view.objects.sequence }]
      this.#samples.set(view.stream, samples)
      return view.subscribe(({ type, entry }) => {
        this.#note(samples, entry.sequence)
        if (type !== 'DELETED' || resourceId(entry.key) !== resourceId(NAMESPACES)) return
        this.#deleted.delete(entry.key.name)
        this.#deleted.set(entry.key.name, entry.sequence)
        const [before] = this.#samples.get('EVENTS') ?? []
        for (const [name, sequence] of this.#deleted) if (sequence < (before?.sequence ?? 0)) this.#deleted.delete(name)
      })
    })
  }
  close(): void {
    for (const subscription of this.#subscriptions) subscription.close()
  }
  /** Whether the namespace was deleted since this began. */
  isGoneSince(namespace: string): boolean {
    return this.#deleted.has(namespace)
  }
  /** What began before these is not known here. */
  begins(stream: StreamName): number {
    return this.#samples.get(stream)?.[0]?.sequence ?? 0
  }
  /** Undefined for a version of before what is known here. */
  of(stream: StreamName, sequence: number, namespace: string): Recent | undefined {
    const samples = this.#samples.get(stream) ?? []
    const [begin] = samples
    if (begin === undefined || sequence < begin.sequence) return undefined
    const edge = this.#clock.now() - LATELY_MS
    const oldest = samples.findLast(({ time }) => time <= edge)?.sequence ?? begin.sequence
    return { oldest, moved: (this.#deleted.get(namespace) ?? 0) > this.#inEvents(stream, sequence) }
  }
  /** No later than the place in EVENTS of another stream's sequence. */
  #inEvents(stream: StreamName, sequence: number): number {
    if (stream === 'EVENTS') return sequence
    const time = this.#samples.get(stream)?.findLast((sample) => sample.sequence < sequence)?.time ?? 0
    return this.#samples.get('EVENTS')?.findLast((sample) => sample.time < time)?.sequence ?? 0
  }
  #note(samples: Sample[], sequence: number): void {
    const now = this.#clock.now()
    const last = samples.at(-1) as Sample
    if (samples.length > 1 && now - last.time < GRAIN_MS) last.sequence = Math.max(last.sequence, sequence)
    else samples.push({ time: now, sequence: Math.max(last.sequence, sequence) })
    // One that is old enough is needed: what came before it is too old.
    while ((samples[1]?.time ?? now) < now - LATELY_MS - GRAIN_MS) samples.shift()
  }
}
