/** Generated names: a base and five letters that make no words (apiserver's `names.SimpleNameGenerator`). */

/** No vowels, no look-alikes. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX = 5
const LONGEST_BASE = 63 - SUFFIX

export const generatedSuffix = (random: () => number): string => {
  let suffix = ''
  for (let n = 0; n < SUFFIX; n++) suffix += ALPHABET[Math.floor(random() * ALPHABET.length)]
  return suffix
}

export const generatedName = (base: string, random: () => number): string => `${base.slice(0, LONGEST_BASE)}${generatedSuffix(random)}`
