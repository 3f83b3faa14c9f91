/** Names made from what an object is for, so that the same decision made twice makes one object. Plain functions. */

/** No vowels, no look-alikes: as the API server generates names. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

/** Five letters: FNV-1a, then mixed so that texts that differ at the end only share nothing (MurmurHash3's finalizer). */
export const suffixOf = (text: string): string => {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  value = (value ^ (value >>> 16)) >>> 0
  let suffix = ''
  for (let n = 0; n < 5; n++) {
    suffix += ALPHABET[value % ALPHABET.length]
    value = Math.floor(value / ALPHABET.length)
  }
  return suffix
}
