/**
 * What was served at moments of the past: folded from the definitions of then. Which versions of them those were is asked of the
 * index each time, which is cheap; schemas and documents are made once for each set, not for each request, since every line of a
 * client that looks around in the past asks again.
 */
import { DEFINITIONS } from '#events/collections.ts'
import type { Api } from '#events/Api.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { presentListing, type Listing } from './Listing.ts'
import { momentOf, pastReader, type Past } from './Reader.ts'

/**
 * Sets of definitions that are remembered: nobody reads in many pasts at once, and one of hundreds of definitions takes a hundred
 * megabytes.
 */
const KEPT = 2

/** Two listings of the same objects in the same versions have the same: a place in the log is one object's. */
const idOf = (listing: Listing): string => Array.from({ length: listing.size }, (_, index) => listing.version(index)).join()

export class PastApis {
  readonly #past: Past
  readonly #clock: Clock
  /** By the versions of the definitions, the one that was asked for last at the end. */
  readonly #made = new Map<string, Promise<Api>>()

  constructor(past: Past, clock: Clock) {
    this.#past = past
    this.#clock = clock
  }
  /** Throws a Refusal for what is no moment, or can't be read. */
  async at(moment: string): Promise<Api> {
    const { views, versions } = this.#past
    const { sequences, time } = await momentOf(moment, this.#past, this.#clock.now())
    const listing = await pastReader(this.#past, sequences, time).list(DEFINITIONS)
    if (listing.size === 0) return views.builtIn
    const id = idOf(listing)
    if (id === idOf(presentListing(views.of(DEFINITIONS), versions, DEFINITIONS))) return views.api
    const made = this.#made.get(id) ?? this.#make(listing)
    this.#made.delete(id)
    this.#made.set(id, made)
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= KEPT) break
      this.#made.delete(oldest)
    }
    // What could not be read now may be read later.
    made.catch(() => this.#made.get(id) === made && this.#made.delete(id))
    return made
  }
  async #make(listing: Listing): Promise<Api> {
    const definitions: KubeObject[] = []
    for (let index = 0; index < listing.size; index++) definitions.push((await listing.at(index)).object)
    return this.#past.views.builtIn.with(definitions, -1)
  }
}
