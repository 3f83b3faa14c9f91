/**
 * What is remembered of a stream outside of it: who it is, how far it went, and what its chain was there. The log can't
 * vouch for itself: a store that lost its tail, or was made anew, looks exactly like a younger one.
 */
import type { Base, Damage } from '#events/Log.ts'

/** A place in a stream and the hash of everything up to it; without a hash for streams that have no chain. */
export interface Place {
  readonly sequence: number
  readonly hash?: Uint8Array
}

/** A floor of history, and what must be left up to it. */
export interface Floor extends Base {
  readonly floor: number
}

export interface Ledger {
  readonly stream: string
  /** The identity the stream was made with. */
  readonly identity: string
  /** The furthest place that was folded, and so the furthest that can have been acknowledged. */
  head(): Place
  /** Places on the way, ascending; they tell where a chain that ends wrong went wrong. */
  marks(): readonly Place[]
  /** Survives the end of this process; the end of the machine after at most a second. */
  remember(place: Place): void
  mark(place: Place): void
  /** Floors that were decided on, ascending: the stream's own is one of them. Another process may raise it at any time. */
  floors(): readonly Floor[]
  /** What was found to be wrong with the stream, by whom it matters to: nothing is decided on it any more. */
  damage(): Damage | undefined
  report(damage: Damage): void
}

/** The twin that forgets with its process. */
export class MemoryLedger implements Ledger {
  readonly stream: string
  readonly identity: string
  #head: Place = { sequence: 0 }
  readonly #marks: Place[] = []
  #floors: readonly Floor[] = []
  #damage: Damage | undefined

  constructor(stream: string, identity: string) {
    this.stream = stream
    this.identity = identity
  }
  head(): Place {
    return this.#head
  }
  marks(): readonly Place[] {
    return this.#marks
  }
  remember(place: Place): void {
    this.#head = place
  }
  mark(place: Place): void {
    this.#marks.push(place)
  }
  floors(): readonly Floor[] {
    return this.#floors
  }
  raise(floors: readonly Floor[]): void {
    this.#floors = floors
  }
  damage(): Damage | undefined {
    return this.#damage
  }
  report(damage: Damage): void {
    this.#damage = damage
  }
}
