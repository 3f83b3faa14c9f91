/**
 * What stands, as one number: the exclusive or of a hash of each object with its version. It goes along with the fold at two hashes an
 * entry, whatever the number of objects, and is kept beside an index: pages that rot there have no checksum, and a keyframe that is
 * written from them would be believed where the log is not read any more. Against chance, not against who can write the index.
 */
import { hash } from 'node:crypto'
import type { Standing } from './Keyframe.ts'

const BYTES = 32

export class Tally {
  readonly #sum: Buffer

  constructor(sum: Uint8Array = Buffer.alloc(BYTES)) {
    this.#sum = Buffer.from(sum)
  }
  /** One that was not there is; one that was there is no more. */
  toggle({ collection, id, version }: Standing): void {
    const digest = hash('sha256', `${collection}\n${id}\n${version}`, 'buffer')
    for (let at = 0; at < BYTES; at++) this.#sum[at] = (this.#sum[at] as number) ^ (digest[at] as number)
  }
  get bytes(): Uint8Array {
    return this.#sum
  }
}

export const tallyOf = (standing: readonly Standing[]): Tally => {
  const tally = new Tally()
  for (const one of standing) tally.toggle(one)
  return tally
}
