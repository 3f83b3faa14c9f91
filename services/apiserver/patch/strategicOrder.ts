/** In which order a strategic merge patch leaves a list: what the author named in that order, what the server has of its own between. */
import { isObject } from '#events/meta/json.ts'
import { badRequest, Refusal } from '#events/Refusal.ts'
import { printed } from './typedFaults.ts'

const LONGEST_SHOWN = 256
const NOWHERE = -1

/** As Go tells values apart before it merges them. */
export const kindOf = (value: unknown): string => (Array.isArray(value) ? 'list' : value === null ? 'null' : typeof value)

/** Lists merge when their items are all of one type. */
export const typesFault = (items: readonly unknown[]): Refusal | undefined => {
  const [first] = items
  if (first === undefined) return badRequest('no elements in any of the given slices')
  if (Array.isArray(first)) return new Refusal(422, 'Invalid', 'lists of lists are not supported')
  return items.every((item) => item !== null && kindOf(item) === kindOf(first))
    ? undefined
    : badRequest(`list element types are not identical: ${printed(items).slice(0, LONGEST_SHOWN)}`)
}

/** Why the item can't be found again: it is no object, or has no key. */
export const keyFault = (item: unknown, key: string): Refusal | undefined => {
  if (!isObject(item)) return badRequest(`expected a map[string]interface {}, but received a ${kindOf(item)}`)
  if (key in item) return undefined
  return badRequest(`map: ${printed(item).slice(0, LONGEST_SHOWN)} does not contain declared merge key: ${key}`)
}

/** Up to so many items are put into their places one by one. */
const FEW = 20

/** Stable. An item that the order does not know goes before what it is compared with, as upstream has it. */
const sortedBy = (items: readonly unknown[], placeOf: (item: unknown) => number): unknown[] => {
  if (items.length > FEW) return items.toSorted((a, b) => placeOf(a) - placeOf(b))
  const result = [...items]
  const isLess = (a: unknown, b: unknown): boolean => {
    const [left, right] = [placeOf(a), placeOf(b)]
    return left === NOWHERE || right === NOWHERE || left < right
  }
  for (let i = 1; i < result.length; i++)
    for (let j = i; j > 0 && isLess(result[j], result[j - 1]); j--) [result[j], result[j - 1]] = [result[j - 1], result[j]]
  return result
}

/**
 * `merged` with what `order` names in that order, and what it doesn't in the order of `before`. Of one of either, the server's own
 * comes first only where it stood before the other: what the patch brings anew comes before it (strategicpatch's mergeSortedSlice).
 */
export const inOrder = (
  merged: readonly unknown[],
  order: readonly unknown[],
  before: readonly unknown[],
  key: string | undefined
): unknown[] => {
  if (key !== undefined)
    for (const item of [...merged, ...order]) {
      const fault = keyFault(item, key)
      if (fault !== undefined) throw fault
    }
  const idOf = (item: unknown): unknown => (key === undefined ? item : isObject(item) ? item[key] : undefined)
  const placesIn = (items: readonly unknown[]): ((item: unknown) => number) => {
    const places = new Map<unknown, number>()
    items.forEach((item, at) => {
      if (!places.has(idOf(item))) places.set(idOf(item), at)
    })
    return (item) => places.get(idOf(item)) ?? NOWHERE
  }
  const [named, present] = [placesIn(order), placesIn(before)]
  const theirs = sortedBy(
    merged.filter((item) => named(item) !== NOWHERE),
    named
  )
  const own = sortedBy(
    merged.filter((item) => named(item) === NOWHERE),
    present
  )
  const result: unknown[] = []
  for (let [left, right] = [0, 0]; left < own.length || right < theirs.length;) {
    const [mine, other] = [present(own[left]), present(theirs[right])]
    const isOwn = right >= theirs.length || (left < own.length && mine !== NOWHERE && other !== NOWHERE && mine < other)
    result.push(isOwn ? own[left++] : theirs[right++])
  }
  return result
}
