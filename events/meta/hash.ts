/** Short hashes of texts, for names and comparisons; not for secrets. */

/** FNV-1a, 32 bit, over UTF-16 code units. Another basis and prime make another hash. */
export const fnv1a = (text: string, basis = 0x811c9dc5, prime = 0x01000193): number => {
  let value = basis
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), prime)
  return value >>> 0
}

/** The same as eight hexadecimal digits. */
export const fnv1aHex = (text: string): string => fnv1a(text).toString(16).padStart(8, '0')

/** The letters of made-up names: no vowels and no look-alikes, so no words (`k8s.io/apimachinery/pkg/util/rand`). */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789'

/** So many letters; `draw(n)` gives a whole number below n for each. */
export const lettersFrom = (count: number, draw: (below: number) => number): string => {
  let letters = ''
  for (let n = 0; n < count; n++) letters += LETTERS[draw(LETTERS.length)]
  return letters
}

/** A number in so many of these letters, the last digit first. */
export const lettersOf = (number: bigint, count: number): string => {
  let left = number
  return lettersFrom(count, (below) => {
    const digit = Number(left % BigInt(below))
    left /= BigInt(below)
    return digit
  })
}
