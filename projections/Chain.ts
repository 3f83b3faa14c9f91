/**
 * The hash chain over a stream: each entry's digest, linked to all before it. What an event says of the chain it was
 * decided on is compared with this fold, so that nothing in the log can change, vanish or move without being seen.
 *
 * The links are computed by whoever reads, not carried from event to event: a header with the hash of the event before
 * would force every writer to wait for every other. Instead an event names the last place its writer had folded and
 * the hash there (`Anchor`); several API servers write at once and each event still commits to all of the past.
 */

/** SHA-256 of what it is given, 32 bytes. Given by the shell: the pure part computes no hashes of its own. */
export type Hash = (data: Uint8Array) => Uint8Array

export interface Anchor {
  /** How often a loss had been accepted when the event was written: hashes change with it. */
  readonly epoch: number
  readonly sequence: number
  /** The first 16 bytes of the hash, base64url. */
  readonly hash: string
}

/** `2.1041:kq3…`: an anchor's form in a header. */
export const textOfAnchor = ({ epoch, sequence, hash }: Anchor): string => `${epoch}.${sequence}:${hash}`

export const anchorOf = (text: string | undefined): Anchor | undefined => {
  const found = /^(\d{1,9})\.(\d{1,16}):([A-Za-z0-9_-]{22})$/.exec(text ?? '')
  return found === null ? undefined : { epoch: Number(found[1]), sequence: Number(found[2]), hash: found[3] as string }
}

const SHORT = 16
/** Anchors name places some hundred events back; one further back than this is not compared. */
const RECENT = 65_536
const FIRST: Uint8Array = new Uint8Array(32)

export const base64url = (bytes: Uint8Array): string => {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

export class Chain {
  readonly #hash: Hash
  readonly #recent = new Uint8Array(RECENT * SHORT)
  readonly #link = new Uint8Array(32 + 8 + 32)
  readonly #view = new DataView(this.#link.buffer)
  /** Places before this are not in `#recent`. */
  #from: number
  #sequence: number
  #head: Uint8Array

  /** Begins behind `sequence`, where the hash is known: nothing, at 0. */
  constructor(hash: Hash, sequence = 0, head: Uint8Array = FIRST) {
    this.#hash = hash
    this.#sequence = sequence
    this.#head = head
    this.#from = sequence
    this.#remember()
  }
  get sequence(): number {
    return this.#sequence
  }
  get head(): Uint8Array {
    return this.#head
  }
  /** The newest place, as an event names it. */
  anchor(epoch: number): Anchor {
    return { epoch, sequence: this.#sequence, hash: base64url(this.#head.subarray(0, SHORT)) }
  }
  /** The next entry. What lies between is missing, and is part of the chain as missing. */
  extend(sequence: number, digest: Uint8Array): void {
    this.#link.set(this.#head)
    this.#view.setBigUint64(32, BigInt(sequence))
    this.#link.set(digest, 40)
    this.#head = this.#hash(this.#link)
    // Places in between stand for what was before them.
    if (sequence - this.#sequence > 1) this.#from = sequence
    this.#sequence = sequence
    this.#remember()
  }
  /** Whether the chain at the anchor's place is the one its writer saw; undefined when that place is not known here. */
  agrees({ sequence, hash }: Anchor): boolean | undefined {
    if (sequence > this.#sequence || sequence < this.#from || sequence <= this.#sequence - RECENT) return undefined
    const at = (sequence % RECENT) * SHORT
    return base64url(this.#recent.subarray(at, at + SHORT)) === hash
  }
  #remember(): void {
    this.#recent.set(this.#head.subarray(0, SHORT), (this.#sequence % RECENT) * SHORT)
  }
}
