/** JSON Merge Patch (RFC 7386). */
import { isObject } from '#events/meta/json.ts'

/** A new document; neither argument is touched. Keys that reach for a prototype are dropped. */
export const applyMergePatch = (document: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return structuredClone(patch)
  const merged: Record<string, unknown> = isObject(document) ? { ...document } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (key === '__proto__') continue
    if (value === null) delete merged[key]
    else merged[key] = applyMergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value)
  }
  return merged
}
