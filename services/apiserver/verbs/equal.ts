/** Equality of JSON values: key order does not matter, an absent key and `undefined` are the same. */
export const equalJson = (left: unknown, right: unknown): boolean => {
  if (left === right) return true
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (Array.isArray(left)) return Array.isArray(right) && left.length === right.length && left.every((item, at) => equalJson(item, right[at]))
  if (Array.isArray(right)) return false
  const a = left as Record<string, unknown>
  const b = right as Record<string, unknown>
  let shared = 0
  for (const key in a) {
    if (a[key] === undefined) continue
    if (b[key] === undefined || !equalJson(a[key], b[key])) return false
    shared += 1
  }
  for (const key in b) if (b[key] !== undefined) shared -= 1
  return shared === 0
}
