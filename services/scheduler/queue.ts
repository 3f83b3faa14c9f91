/** Which pod is next: by priority, then by age; pods that did not fit wait for a reason to try again. Pure of time. */

interface Waiting {
  readonly id: string
  readonly priority: number
  readonly sequence: number
  attempts: number
  /** Not before this, milliseconds. */
  notBefore: number
}

const FIRST_BACKOFF_MS = 1_000
const LAST_BACKOFF_MS = 10_000

const before = (a: Waiting, b: Waiting): boolean => a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence)

export class SchedulingQueue {
  readonly #known = new Map<string, Waiting>()
  /** A binary heap; entries that are no longer known (or were handed out) are skipped when they surface. */
  #heap: Waiting[] = []
  readonly #active = new Set<Waiting>()
  readonly #backingOff = new Set<Waiting>()
  readonly #unschedulable = new Map<string, { readonly waiting: Waiting; readonly since: number }>()

  has(id: string): boolean {
    return this.#known.has(id)
  }
  get size(): number {
    return this.#known.size
  }
  add(id: string, priority: number, sequence: number): void {
    if (this.#known.has(id)) return
    const waiting: Waiting = { id, priority, sequence, attempts: 0, notBefore: 0 }
    this.#known.set(id, waiting)
    this.#activate(waiting)
  }
  remove(id: string): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined) return
    this.#known.delete(id)
    this.#active.delete(waiting)
    this.#backingOff.delete(waiting)
    this.#unschedulable.delete(id)
  }
  /** The next pod to try, handed out once. */
  next(now: number): string | undefined {
    for (const waiting of this.#backingOff)
      if (waiting.notBefore <= now) {
        this.#backingOff.delete(waiting)
        this.#activate(waiting)
      }
    for (;;) {
      const top = this.#pop()
      if (top === undefined) return undefined
      if (!this.#active.delete(top)) continue
      top.attempts += 1
      return top.id
    }
  }
  /** Try again after a pause that grows. */
  retry(id: string, now: number): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined || this.#active.has(waiting)) return
    waiting.notBefore = now + Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, waiting.attempts - 1))
    this.#backingOff.add(waiting)
  }
  /** It fits nowhere: wait until the cluster changes. */
  unschedulable(id: string, now: number): void {
    const waiting = this.#known.get(id)
    if (waiting === undefined) return
    waiting.notBefore = now + Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, waiting.attempts - 1))
    this.#unschedulable.set(id, { waiting, since: now })
  }
  /** A node came or changed, a pod went: what did not fit may fit now (after its back-off). */
  clusterChanged(): void {
    for (const { waiting } of this.#unschedulable.values()) this.#backingOff.add(waiting)
    this.#unschedulable.clear()
  }
  /** Nothing changed for long: try anyway. */
  wake(now: number, afterMs: number): void {
    for (const [id, { waiting, since }] of this.#unschedulable)
      if (now - since >= afterMs) {
        this.#unschedulable.delete(id)
        this.#backingOff.add(waiting)
      }
  }
  #activate(waiting: Waiting): void {
    this.#active.add(waiting)
    const heap = this.#heap
    let at = heap.push(waiting) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(heap[at] as Waiting, heap[parent] as Waiting)) break
      ;[heap[at], heap[parent]] = [heap[parent] as Waiting, heap[at] as Waiting]
      at = parent
    }
  }
  #pop(): Waiting | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return top
    heap[0] = last
    for (let at = 0; ; ) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const right = left + 1
      const child = right < heap.length && before(heap[right] as Waiting, heap[left] as Waiting) ? right : left
      if (!before(heap[child] as Waiting, heap[at] as Waiting)) break
      ;[heap[at], heap[child]] = [heap[child] as Waiting, heap[at] as Waiting]
      at = child
    }
    return top
  }
}
