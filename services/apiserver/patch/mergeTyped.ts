/** Structured merge (KEP-555): what a manager applies, laid over what is there, field by field as the schema says. */
import { isObject } from '#events/meta/json.ts'
import type { FieldSchema } from '#events/schema/Schema.ts'
import { fieldBelow, isNothing, itemSegment, shapeFor, type Json, type Shape } from './shape.ts'

const mergeField = (field: FieldSchema | undefined, live: unknown, applied: unknown): unknown => {
  if (applied === undefined) return live
  if (live === undefined) return applied
  const [left, right] = [shapeFor(field, live), shapeFor(field, applied)]
  return left.by === 'whole' || right.by === 'whole' ? applied : mergeValues(right, live, applied)
}

/** Neither is touched; what is shared stays shared. */
export const mergeValues = (shape: Shape, live: unknown, applied: unknown): unknown => {
  // Nothing on either side: the applier says which kind of nothing it is.
  if (isNothing(live) && isNothing(applied)) return applied ?? live
  if (shape.by === 'fields' || shape.by === 'entries') {
    const merged: Json = isObject(live) ? { ...live } : {}
    if (isObject(applied))
      for (const key in applied) if (applied[key] !== undefined) merged[key] = mergeField(fieldBelow(shape, key), merged[key], applied[key])
    return merged
  }
  return shape.by === 'whole'
    ? (applied ?? live)
    : mergeLists(shape, Array.isArray(live) ? live : [], Array.isArray(applied) ? applied : [])
}

/**
 * The applier's items in the applier's order, the others between them where they stood: before the applier's item that they stood
 * before. An item that stands twice in what is there is nobody's to merge with.
 */
const mergeLists = (shape: Shape & { readonly items: FieldSchema | undefined }, live: unknown[], applied: unknown[]): unknown[] => {
  const segmentsOf = (list: unknown[]): string[] => list.map((item) => itemSegment(shape, item))
  const [left, right] = [segmentsOf(live), segmentsOf(applied)]
  const present = new Map<string, unknown>()
  left.forEach((segment, at) => present.set(segment, present.has(segment) ? undefined : live[at]))
  const wanted = new Map(right.map((segment, at) => [segment, applied[at]]))
  const shared = right.filter((segment) => present.has(segment))
  let round = 0
  const done = new Set<string>()
  const merged: unknown[] = []
  const take = (at: number): void => {
    const segment = right[at] as string
    done.add(segment)
    merged.push(mergeField(shape.items, present.get(segment), applied[at]))
  }
  for (let [l, r] = [0, 0]; l < live.length || r < applied.length;) {
    const [mine, theirs] = [left[l], right[r]]
    if (mine !== undefined && theirs !== undefined) {
      if (mine === theirs) {
        take(r)
        l++
        r++
        round++
        continue
      }
      // Shared, and not the one of this round: it comes where the applier has it.
      if (wanted.has(mine) && shared[round] !== undefined && shared[round] !== mine) {
        l++
        continue
      }
    }
    if (mine !== undefined) {
      if (!wanted.has(mine)) {
        merged.push(live[l++])
        continue
      }
      if (done.has(mine)) l++
    }
    if (theirs === undefined) continue
    take(r++)
    if (shared[round] === theirs) round++
  }
  return merged
}
