/** Which pod is next: by priority, then by age; pods that did not fit wait for a reason to try again. Pure of time. */
import { Heap } from './heap.ts'

interface Waiting {
  readonly id: string
  readonly priority: number
  readonly sequence: number
  attempts: number
  /** Not before this, milliseconds. */
  notBefore: number
  place: 'active' | 'backing-off' | 'unschedulable' | 'out'
  /** When it was found to fit nowhere. */
  since: number
  /** Its place depends on other pods. */
  social: boolean
}

const FIRST_BACKOFF_MS = 1_000
const LAST_BACKOFF_MS = 10_000

/** Holds no more than there are pods without a node: bounded by the cluster's state. */
export class SchedulingQueue {
  readonly #known = new Map<string, Waiting>()
  // Entries that have moved on since they were put in are skipped when they surface.
  readonly #active = new Heap<Waiting>((a, b) => a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence))
  readonly #backingOff = new Heap<Waiting>((a, b) => a.notBefore < b.notBefore || (a.notBefore === b.notBefore && a.sequence < b.sequence))
  readonly #unschedulable = new Set<Waiting>()

  has(id: string): boolean {
    return this.#known.has(id)
  }
  get size(): number {
    return this.#known.size
  }
  /** A pod that waits already keeps its place. */
  add(id: string, priority: number, sequence: number): void {
    if (this.#known.has(id)) return
    const waiting: Waiting = { id, priority, sequence, attempts: 0, notBefore: 0, place: 'out', since: 0, social: false }
    this.#known.set(id, waiting)
    this.#activate(waiting)
  }
  remove(id: string): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined) return
    this.#known.delete(id)
    this.#unschedulable.delete(waiting)
    waiting.place = 'out'
  }
  /** The pod itself changed: look at it at once, if it waits for the cluster to change. */
  podChanged(id: string): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined || waiting.place !== 'unschedulable') return
    this.#unschedulable.delete(waiting)
    this.#activate(waiting)
  }
  /** The next pod to try, handed out once. */
  next(now: number): string | undefined {
    for (
      let top = this.#backingOff.top;
      top !== undefined && (top.place !== 'backing-off' || top.notBefore <= now);
      top = this.#backingOff.top
    ) {
      this.#backingOff.pop()
      if (top.place === 'backing-off') this.#activate(top)
    }
    for (;;) {
      const top = this.#active.pop()
      if (top === undefined) return undefined
      if (top.place !== 'active') continue
      top.place = 'out'
      top.attempts += 1
      return top.id
    }
  }
  /** When the next backing-off pod may be tried; undefined: none waits for time alone. */
  get due(): number | undefined {
    return this.#backingOff.top?.notBefore
  }
  /** Try again after a pause that grows. */
  retry(id: string, now: number): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined || waiting.place !== 'out') return
    waiting.notBefore = now + backoff(waiting.attempts)
    this.#backOff(waiting)
  }
  /** It fits nowhere: wait until the cluster changes. `social`: a pod that comes may help. */
  unschedulable(id: string, now: number, social: boolean): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined || waiting.place !== 'out') return
    waiting.notBefore = now + backoff(waiting.attempts)
    waiting.since = now
    waiting.social = social
    waiting.place = 'unschedulable'
    this.#unschedulable.add(waiting)
  }
  /** What did not fit may fit now, after its back-off: all of it, or what depends on other pods. */
  clusterChanged(help: 'room' | 'company'): void {
    for (const waiting of this.#unschedulable) if (help === 'room' || waiting.social) this.#backOff(waiting)
  }
  /** Nothing changed for long: try anyway. */
  wake(now: number, afterMs: number): void {
    for (const waiting of this.#unschedulable) if (now - waiting.since >= afterMs) this.#backOff(waiting)
  }
  #backOff(waiting: Waiting): void {
    this.#unschedulable.delete(waiting)
    waiting.place = 'backing-off'
    this.#backingOff.push(waiting)
  }
  #activate(waiting: Waiting): void {
    waiting.place = 'active'
    this.#active.push(waiting)
  }
}

const backoff = (attempts: number): number => Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, attempts - 1))
