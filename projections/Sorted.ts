/**
 * A collection in the order lists show it, in chunks: a change copies one chunk at most, and a snapshot shares them all.
 *
 * Sorting when a list is asked for would be simpler, but every write spoils the order: with 150,000 objects each list
 * after a write then stops the process for a tenth of a second.
 */

export interface Identified {
  readonly id: string
}

type Chunk<Item> = readonly Item[]

/** Small enough that copying one costs less than finding the place in it, large enough that a snapshot is a short array. */
const LARGEST = 512
const MERGED_BELOW = 128

/** The first index whose item is not before `id`. */
const lowerBound = (items: Chunk<Identified>, id: string): number => {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((items[middle] as Identified).id < id) low = middle + 1
    else high = middle
  }
  return low
}

export class Sorted<Item extends Identified> {
  #chunks: Chunk<Item>[] = []
  /** Chunks no snapshot shares: changed in place. */
  readonly #own = new Set<Chunk<Item>>()
  #shared: Snapshot<Item> | undefined

  /** Replaces everything. */
  fill(items: readonly Item[]): void {
    const sorted = items.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
    this.#chunks = []
    for (let from = 0; from < sorted.length; from += LARGEST / 2) this.#chunks.push(sorted.slice(from, from + LARGEST / 2))
    this.#own.clear()
    this.#shared = undefined
  }
  put(item: Item): void {
    this.#unshare()
    const at = this.#chunkFor(item.id)
    if (at === this.#chunks.length) {
      this.#replace(at, [item])
      return
    }
    const chunk = this.#writable(at)
    const place = lowerBound(chunk, item.id)
    if (chunk[place]?.id === item.id) chunk[place] = item
    else chunk.splice(place, 0, item)
    if (chunk.length <= LARGEST) return
    this.#replace(at, chunk.slice(0, LARGEST / 2))
    this.#insert(at + 1, chunk.slice(LARGEST / 2))
  }
  remove(id: string): void {
    const at = this.#chunkFor(id)
    const present = this.#chunks[at]
    if (present === undefined) return
    const place = lowerBound(present, id)
    if (present[place]?.id !== id) return
    this.#unshare()
    const chunk = this.#writable(at)
    chunk.splice(place, 1)
    const next = this.#chunks[at + 1]
    if (chunk.length === 0) this.#drop(at)
    else if (next !== undefined && chunk.length + next.length < MERGED_BELOW) {
      this.#replace(at, [...chunk, ...next])
      this.#drop(at + 1)
    }
  }
  /** As it is now, whatever changes later. */
  snapshot(): Snapshot<Item> {
    if (this.#shared === undefined) {
      this.#own.clear()
      this.#shared = new Snapshot(this.#chunks)
    }
    return this.#shared
  }
  /** The chunk that holds `id` or would: the last one that begins at or before it. */
  #chunkFor(id: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#chunks[middle]?.[0] as Item).id <= id) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
  #unshare(): void {
    if (this.#shared === undefined) return
    this.#shared = undefined
    this.#chunks = [...this.#chunks]
  }
  #writable(at: number): Item[] {
    const chunk = this.#chunks[at] as Chunk<Item>
    if (this.#own.has(chunk)) return chunk as Item[]
    const copy = [...chunk]
    this.#replace(at, copy)
    return copy
  }
  #replace(at: number, chunk: Chunk<Item>): void {
    const before = this.#chunks[at]
    if (before !== undefined) this.#own.delete(before)
    this.#chunks[at] = chunk
    this.#own.add(chunk)
  }
  #insert(at: number, chunk: Chunk<Item>): void {
    this.#chunks.splice(at, 0, chunk)
    this.#own.add(chunk)
  }
  #drop(at: number): void {
    for (const chunk of this.#chunks.splice(at, 1)) this.#own.delete(chunk)
  }
}

/** A collection, or a range of it, at one moment. */
export class Snapshot<Item extends Identified> {
  readonly chunks: readonly Chunk<Item>[]
  /** Index of each chunk's first item. */
  readonly #starts: Uint32Array
  readonly #from: number
  readonly size: number

  constructor(chunks: readonly Chunk<Item>[], range?: { readonly starts: Uint32Array; readonly from: number; readonly to: number }) {
    this.chunks = chunks
    if (range !== undefined) {
      this.#starts = range.starts
      this.#from = range.from
      this.size = range.to - range.from
      return
    }
    this.#starts = new Uint32Array(chunks.length)
    let count = 0
    for (const [at, chunk] of chunks.entries()) {
      this.#starts[at] = count
      count += chunk.length
    }
    this.#from = 0
    this.size = count
  }
  at(index: number): Item {
    const wanted = this.#from + index
    let low = 0
    let high = this.#starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#starts[middle] as number) <= wanted) low = middle + 1
      else high = middle
    }
    return (this.chunks[low - 1] as Chunk<Item>)[wanted - (this.#starts[low - 1] as number)] as Item
  }
  /** The index of the first item that is not before `id`. */
  lowerBound(id: string): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.at(middle).id < id) low = middle + 1
      else high = middle
    }
    return low
  }
  slice(from: number, to: number): Snapshot<Item> {
    return new Snapshot(this.chunks, { starts: this.#starts, from: this.#from + from, to: this.#from + Math.max(from, to) })
  }
  /** Those in a namespace: the ids that begin with `<namespace>/` stand side by side. */
  within(namespace: string): Snapshot<Item> {
    return this.slice(this.lowerBound(`${namespace}/`), this.lowerBound(`${namespace}0`))
  }
  /** All of it with each chunk made into another one, once for all snapshots that share it. */
  map<Other extends Identified>(made: WeakMap<Chunk<Item>, Chunk<Other>>, make: (item: Item) => Other): Snapshot<Other> {
    const chunks = this.chunks.map((chunk) => {
      let found = made.get(chunk)
      if (found === undefined) made.set(chunk, (found = chunk.map(make)))
      return found
    })
    return new Snapshot(chunks, { starts: this.#starts, from: this.#from, to: this.#from + this.size })
  }
  toArray(): Item[] {
    const to = this.#from + this.size
    return this.chunks.flatMap((chunk, at) => {
      const start = this.#starts[at] as number
      return start >= to || start + chunk.length <= this.#from ? [] : chunk.slice(Math.max(0, this.#from - start), to - start)
    })
  }
}
