/** Generated names: a base and five letters that make no words (apiserver's `names.SimpleNameGenerator`). */
import { lettersFrom } from '#events/meta/hash.ts'

const SUFFIX = 5
const LONGEST_BASE = 63 - SUFFIX

export const generatedSuffix = (random: () => number): string => lettersFrom(SUFFIX, (below) => Math.floor(random() * below))

export const generatedName = (base: string, random: () => number): string => `${base.slice(0, LONGEST_BASE)}${generatedSuffix(random)}`
