/** Puts each mistake back that was made once, and runs seeds until one of them finds it. */
import { PUT_BACK, type PutBack } from './mistakes.ts'
import { simulate } from './simulate.ts'

export interface Found {
  readonly name: string
  /** How many seeds it took; 0: none of them found it. */
  readonly seeds: number
  readonly seed: number
  readonly fault: string
}

/** The first of `most` seeds that tells of the mistake in its own words. */
export const find = async ({ name, mistakes, signs }: PutBack, most: number, from = 1): Promise<Found> => {
  for (let seed = from; seed < from + most; seed++) {
    const fault = (await simulate(seed, { mistakes })).faults.find((one) => signs.test(one))
    if (fault !== undefined) return { name, seeds: seed - from + 1, seed, fault }
  }
  return { name, seeds: 0, seed: 0, fault: '' }
}

/** True when each of them was found. `only`: those whose name has this in it. */
export const putBack = async (most: number, from: number, only: string, say: (line: string) => void): Promise<boolean> => {
  let all = true
  for (const one of PUT_BACK) {
    if (!one.name.includes(only)) continue
    const { seeds, seed, fault } = await find(one, most, from)
    all &&= seeds > 0
    say(seeds > 0 ? `${one.name}: found by seed ${seed}, after ${seeds}: ${fault}` : `${one.name}: NOT FOUND in ${most} seeds`)
  }
  return all
}
