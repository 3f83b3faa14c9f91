/**
 * Where keyframes are kept, by stream and sequence; in NATS' object store, or in memory for tests. Which are kept: many of the last
 * hours, ever fewer of before. A start takes the newest; the others are there for when that one can't be trusted.
 */
export interface Kept {
  readonly sequence: number
  /** Milliseconds: when it was stored. */
  readonly time: number
}

export interface Keyframes {
  /** Ascending. */
  list(stream: string): Promise<readonly Kept[]>
  /** Undefined when there is none. Rejects when what is there is not whole. */
  get(stream: string, sequence: number): Promise<Uint8Array | undefined>
  put(stream: string, sequence: number, bytes: Uint8Array): Promise<void>
  remove(stream: string, sequence: number): Promise<void>
}

const HOUR = 3_600_000
/** So many of the newest are kept, while they are no older than the hours; and two in any case. */
const NEWEST = { most: 8, least: 2, hours: 6 } as const
/** The oldest ones: some 42 days. */
const DOUBLINGS = 10

/**
 * Those that are not needed. Behind the newest, of each span of age that is twice as long as the one before (1, 2, 4 … hours) the
 * oldest is kept: the newest of a span would be replaced before it is old enough for the next.
 */
export const superfluous = (kept: readonly Kept[], floor: number, now: number): readonly number[] => {
  const usable = kept.filter(({ sequence }) => sequence >= floor).sort((a, b) => b.sequence - a.sequence)
  const newest = usable.filter(({ time }, at) => at < NEWEST.least || (at < NEWEST.most && now - time <= NEWEST.hours * HOUR))
  const wanted = new Set(newest.map(({ sequence }) => sequence))
  const spans = new Map<number, number>()
  for (const { sequence, time } of usable) {
    const span = Math.floor(Math.log2(Math.max(1, (now - time) / HOUR)))
    if (span < DOUBLINGS) spans.set(span, sequence)
  }
  for (const sequence of spans.values()) wanted.add(sequence)
  return kept.filter(({ sequence }) => !wanted.has(sequence)).map(({ sequence }) => sequence)
}

/** The twin that forgets with its process. */
export class MemoryKeyframes implements Keyframes {
  readonly #kept = new Map<string, { readonly bytes: Uint8Array } & Kept>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }
  list(stream: string): Promise<readonly Kept[]> {
    const found = [...this.#kept].filter(([name]) => name.startsWith(`${stream}-`)).map(([, { sequence, time }]) => ({ sequence, time }))
    return Promise.resolve(found.sort((a, b) => a.sequence - b.sequence))
  }
  get(stream: string, sequence: number): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#kept.get(`${stream}-${sequence}`)?.bytes)
  }
  put(stream: string, sequence: number, bytes: Uint8Array): Promise<void> {
    this.#kept.set(`${stream}-${sequence}`, { bytes, sequence, time: this.#now() })
    return Promise.resolve()
  }
  remove(stream: string, sequence: number): Promise<void> {
    this.#kept.delete(`${stream}-${sequence}`)
    return Promise.resolve()
  }
}
