/**
 * A collection at one moment, in order, read object by object: what is present from memory, older versions from the log.
 *
 * A client that takes its time must not keep a whole collection's old versions alive: its listing is released after a
 * while, which leaves names and sequences, and what has changed meanwhile comes from the log, which forgets nothing.
 */
import type { ResourceRef } from '#events/Key.ts'
import { subjectOf } from '#events/Subject.ts'
import type { Entry } from '#projections/Objects.ts'
import { Snapshot, type Identified } from '#projections/Sorted.ts'
import type { View } from '#services/platform/View.ts'
import type { Versions } from './Versions.ts'

export interface Listing {
  readonly size: number
  /** In any order, but reading ahead expects ascending ones. */
  at(index: number): Entry | Promise<Entry>
  /** The place of that object's version in the log. */
  version(index: number): number
  /** The index of the first object whose id is greater. */
  after(id: string): number
  /** The same list for another or a slower reader: holds no object that is not at hand anyway. */
  released(): Listing
}

/** A version of an object, by its place in the log. */
export interface Reference extends Identified {
  readonly sequence: number
}

/** Objects at hand: present ones. */
class HeldListing implements Listing {
  readonly size: number
  readonly #entries: Snapshot<Entry>
  readonly #release: (entries: Snapshot<Entry>) => Listing

  constructor(entries: Snapshot<Entry>, release: (entries: Snapshot<Entry>) => Listing) {
    this.size = entries.size
    this.#entries = entries
    this.#release = release
  }
  at(index: number): Entry {
    return this.#entries.at(index)
  }
  version(index: number): number {
    return this.#entries.at(index).sequence
  }
  after(id: string): number {
    return indexAfter(this.#entries, id)
  }
  released(): Listing {
    return this.#release(this.#entries)
  }
}

/** Read ahead of the reader: about so much, and never more than so many. */
const AHEAD_BYTES = 256 * 1024
const AHEAD_COUNT = 64

/** Objects by their places in the log. */
class ReferenceListing implements Listing {
  readonly size: number
  readonly #references: Snapshot<Reference>
  readonly #read: (reference: Reference) => Entry | Promise<Entry>
  readonly #ahead = new Map<number, Entry | Promise<Entry>>()
  #next = 0
  /** Characters per object so far, and how many there were. */
  #seen = { size: 0, count: 0 }

  constructor(references: Snapshot<Reference>, read: (reference: Reference) => Entry | Promise<Entry>) {
    this.size = references.size
    this.#references = references
    this.#read = read
  }
  at(index: number): Entry | Promise<Entry> {
    const found = this.#ahead.get(index) ?? this.#read(this.#references.at(index))
    this.#ahead.delete(index)
    // What is at hand is read when it is wanted.
    if (!(found instanceof Promise)) return found
    this.#readAhead(index + 1)
    return found.then((entry) => {
      this.#seen = { size: this.#seen.size + entry.text.length, count: this.#seen.count + 1 }
      return entry
    })
  }
  version(index: number): number {
    return this.#references.at(index).sequence
  }
  after(id: string): number {
    return indexAfter(this.#references, id)
  }
  released(): Listing {
    return new ReferenceListing(this.#references, this.#read)
  }
  #readAhead(from: number): void {
    const { size, count } = this.#seen
    const wanted = count === 0 ? 2 : Math.min(AHEAD_COUNT, Math.floor(AHEAD_BYTES / (1 + size / count)))
    this.#next = Math.max(this.#next, from)
    while (this.#ahead.size < wanted && this.#next < this.size) {
      const reading = this.#read(this.#references.at(this.#next))
      // Who reads that far gets the error; who leaves before does not want it.
      if (reading instanceof Promise) reading.catch(() => {})
      this.#ahead.set(this.#next++, reading)
    }
  }
}

const indexAfter = (items: Snapshot<Identified>, id: string): number => {
  const at = items.lowerBound(id)
  return at < items.size && items.at(at).id === id ? at + 1 : at
}

const released = new WeakMap<readonly Entry[], readonly Reference[]>()

const kept = (entries: Snapshot<Entry>): Listing => new HeldListing(entries, kept)

export const presentListing = (view: View, versions: Versions, ref: ResourceRef, namespace?: string): Listing =>
  new HeldListing(
    view.objects.collection(ref).snapshot(namespace),
    // PULSE remembers the last version only; Leases are few and small.
    view.stream === 'PULSE'
      ? kept
      : (entries) =>
          pastListing(
            view,
            versions,
            ref,
            entries.map(released, ({ id, sequence }) => ({ id, sequence }))
          )
  )

/** One object, or none. */
export const shortListing = (entries: readonly Entry[]): Listing => kept(new Snapshot([entries]))

export const pastListing = (view: View, versions: Versions, ref: ResourceRef, references: Snapshot<Reference>): Listing => {
  const present = view.objects.collection(ref)
  return new ReferenceListing(references, ({ id, sequence }) => {
    const slash = id.indexOf('/')
    const entry = present.get(id.slice(0, slash), id.slice(slash + 1))
    return entry?.sequence === sequence
      ? entry
      : versions.read(view, sequence, subjectOf(view.stream, { ...ref, namespace: id.slice(0, slash), name: id.slice(slash + 1) }))
  })
}
