/** Names made from what an object is for, so that the same decision made twice makes one object. Plain functions. */
import { fnv1a, lettersOf } from '#events/meta/hash.ts'

/** Five letters: FNV-1a, then mixed so that texts that differ at the end only share nothing (MurmurHash3's finalizer). */
export const suffixOf = (text: string): string => {
  let value = fnv1a(text)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return lettersOf(BigInt((value ^ (value >>> 16)) >>> 0), 5)
}
