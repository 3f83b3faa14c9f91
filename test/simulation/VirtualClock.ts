/** Time and chance from one seed: timers run in order of their time, and nothing waits. */
import type { Clock, Timer } from '#services/platform/Clock.ts'

interface Scheduled {
  readonly at: number
  readonly order: number
  readonly task: () => void
  cancelled: boolean
}

/** mulberry32: small, and good enough to shuffle a cluster with. */
export const generator = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value = (value + Math.imul(value ^ (value >>> 7), value | 61)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

const before = (a: Scheduled, b: Scheduled): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

export class VirtualClock implements Clock {
  readonly random: () => number
  #now = Date.parse('2026-01-01T00:00:00Z')
  readonly #began = this.#now
  #order = 0
  readonly #heap: Scheduled[] = []

  constructor(seed: number) {
    this.random = generator(seed)
  }
  now(): number {
    return this.#now
  }
  /** Milliseconds since the beginning. */
  get elapsed(): number {
    return this.#now - this.#began
  }
  after(ms: number, task: () => void): Timer {
    const timer: Scheduled = { at: this.#now + Math.max(0, ms), order: this.#order++, task, cancelled: false }
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(heap[at] as Scheduled, heap[parent] as Scheduled)) break
      ;[heap[at], heap[parent]] = [heap[parent] as Scheduled, heap[at] as Scheduled]
      at = parent
    }
    return { cancel: () => void (timer.cancelled = true) }
  }
  uuid(): string {
    const hex = (length: number): string => Array.from({ length }, () => Math.floor(this.random() * 16).toString(16)).join('')
    return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`
  }
  /** Time goes on and nothing happens in it, as on a machine that sleeps: what was due is late. */
  skip(ms: number): void {
    this.#now += ms
  }
  /** Runs what is due until `done` says so or `ms` have passed; true when it said so. */
  async run(ms: number, done: () => boolean = () => false): Promise<boolean> {
    const end = this.#now + ms
    for (;;) {
      // Everything that follows from what just ran, before time goes on: promises settle in a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve))
      if (done()) return true
      const next = this.#pop()
      if (next === undefined || next.at > end) {
        if (next !== undefined) this.#push(next)
        this.#now = end
        return done()
      }
      this.#now = Math.max(this.#now, next.at)
      next.task()
      // Timers of one moment run together, in order.
      // What the first one left may be cancelled, and the next behind it hours away.
      for (let also = this.#pop(); also !== undefined; also = this.#pop()) {
        if (also.at > this.#now) {
          this.#push(also)
          break
        }
        also.task()
      }
    }
  }
  #push(timer: Scheduled): void {
    this.#heap.push(timer)
    for (let at = this.#heap.length - 1; at > 0;) {
      const parent = (at - 1) >> 1
      if (!before(this.#heap[at] as Scheduled, this.#heap[parent] as Scheduled)) break
      ;[this.#heap[at], this.#heap[parent]] = [this.#heap[parent] as Scheduled, this.#heap[at] as Scheduled]
      at = parent
    }
  }
  #pop(): Scheduled | undefined {
    for (;;) {
      const heap = this.#heap
      const top = heap[0]
      const last = heap.pop()
      if (top === undefined || last === undefined) return undefined
      if (heap.length > 0) {
        heap[0] = last
        for (let at = 0; ;) {
          const left = 2 * at + 1
          if (left >= heap.length) break
          const child = left + 1 < heap.length && before(heap[left + 1] as Scheduled, heap[left] as Scheduled) ? left + 1 : left
          if (!before(heap[child] as Scheduled, heap[at] as Scheduled)) break
          ;[heap[at], heap[child]] = [heap[child] as Scheduled, heap[at] as Scheduled]
          at = child
        }
      }
      if (!top.cancelled) return top
    }
  }
}
