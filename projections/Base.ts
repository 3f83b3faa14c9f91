/**
 * What of history is kept at a floor: of every object that was there, the version it had. A fold of the entries up to the
 * floor, which comes to the same whether or not the older ones have gone already.
 */
import type { Hash } from './Chain.ts'

export interface KeptVersion {
  readonly subject: string
  readonly sequence: number
  /** 32 bytes that stand for the entry (`Seal.digest`). */
  readonly digest: Uint8Array
}

export class Base {
  readonly #kept = new Map<string, KeptVersion>()

  /** The next entry, in the order of sequences; only events of ours count. */
  take(subject: string, sequence: number, digest: Uint8Array, deleted: boolean): void {
    // Taken out first: a map keeps the place of what it overwrites, and places must ascend.
    this.#kept.delete(subject)
    if (!deleted) this.#kept.set(subject, { subject, sequence, digest })
  }
  get entries(): number {
    return this.#kept.size
  }
  /** By ascending sequence. */
  versions(): IterableIterator<KeptVersion> {
    return this.#kept.values()
  }
  /** Of the version that is kept of a subject, if one is. */
  sequenceOf(subject: string): number | undefined {
    return this.#kept.get(subject)?.sequence
  }
  /** What all of them come to: each version's place and digest, linked one after the other. */
  digest(hash: Hash): Uint8Array {
    const link = new Uint8Array(32 + 8 + 32)
    const view = new DataView(link.buffer)
    for (const { sequence, digest } of this.#kept.values()) {
      view.setBigUint64(32, BigInt(sequence))
      link.set(digest, 40)
      link.set(hash(link), 0)
    }
    return link.slice(0, 32)
  }
}
