/**
 * Strategic merge patch: a merge patch that knows which lists are keyed (`patchMergeKey`) and takes directives
 * (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`), as kubectl computes it.
 */
import { isObject } from '#events/meta/json.ts'
import { badRequest } from '#events/Refusal.ts'
import { fieldOf, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { applyMergePatch } from './merge.ts'

type Json = Record<string, unknown>

const DIRECTIVE = '$patch'
const RETAIN = '$retainKeys'
const ORDER = '$setElementOrder/'
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/'

/** Characters of a directive in a message. */
const LONGEST_SHOWN = 64

/** The patched document; the given one is not touched. */
export const applyStrategicMergePatch = (type: TypeSchema, original: unknown, patch: Json): unknown =>
  mergeObject(type, isObject(original) ? original : {}, patch)

const childType = (field: FieldSchema | undefined): TypeSchema | undefined => (field?.type === 'object' ? field.object : undefined)

/** What the patch's directive alone makes of the object; undefined when it is to be merged. */
const directed = (patch: Json): Json | undefined => {
  const directive = patch[DIRECTIVE]
  if (directive === undefined || directive === 'merge') return undefined
  if (directive === 'replace') return withoutDirectives(patch)
  if (directive === 'delete') return {}
  throw badRequest(`unknown patch type: ${JSON.stringify(directive).slice(0, LONGEST_SHOWN)}`)
}

const mergeObject = (type: TypeSchema | undefined, original: Json, patch: Json): Json => {
  const whole = directed(patch)
  if (whole !== undefined) return whole
  const merged: Json = { ...original }
  const retain = patch[RETAIN]
  if (retain !== undefined) {
    if (!Array.isArray(retain)) throw badRequest('invalid patch format of retainKeys')
    const retained = new Set(retain)
    for (const key of Object.keys(merged)) if (!retained.has(key)) delete merged[key]
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE || key === RETAIN || key === '__proto__' || key.startsWith(ORDER)) continue
    if (key.startsWith(DELETE_PRIMITIVES)) {
      const name = key.slice(DELETE_PRIMITIVES.length)
      if (!Array.isArray(value)) throw badRequest(`error when patching: the value of ${key} must be a list`)
      const gone = new Set(value)
      if (Array.isArray(merged[name])) merged[name] = (merged[name] as unknown[]).filter((item) => !gone.has(item))
      continue
    }
    if (value === null) {
      delete merged[key]
      continue
    }
    const field = type === undefined ? undefined : fieldOf(type, key)
    merged[key] = mergeValue(field, merged[key], value, patch[`${ORDER}${key}`], key)
  }
  // An order may come alone: nothing in the list changed but its order.
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(ORDER)) continue
    const name = key.slice(ORDER.length)
    const field = type === undefined ? undefined : fieldOf(type, name)
    const list = merged[name]
    if (patch[name] !== undefined || !Array.isArray(list) || field?.patchStrategy?.includes('merge') !== true) continue
    merged[name] = ordered(list, patch[key], field.patchMergeKey, list)
  }
  return merged
}

const mergeValue = (field: FieldSchema | undefined, original: unknown, value: unknown, order: unknown, name: string): unknown => {
  if (Array.isArray(value)) {
    if (field?.type !== 'array' || field.patchStrategy?.includes('merge') !== true) return structuredClone(value)
    const present = Array.isArray(original) ? original : []
    const merged =
      field.patchMergeKey === undefined ? mergePrimitives(present, value) : mergeList(field, field.patchMergeKey, present, value, name)
    // As upstream: in the patch's own order first, then in the one it names.
    const patched = ordered(merged, value, field.patchMergeKey, present)
    return order === undefined ? patched : ordered(patched, order, field.patchMergeKey, present)
  }
  if (!isObject(value)) return value
  if (field?.type === 'object') return mergeObject(childType(field), isObject(original) ? original : {}, value)
  if (field?.type === 'map' || field?.type === 'any' || field === undefined) {
    if (!(DIRECTIVE in value) || field?.type === 'any') return applyMergePatch(original, value)
    const { [DIRECTIVE]: _, ...merged } = value
    return directed(value) ?? applyMergePatch(original, merged)
  }
  return structuredClone(value)
}

const mergePrimitives = (present: readonly unknown[], added: readonly unknown[]): unknown[] => {
  const known = new Set(present)
  return [...present, ...added.filter((item) => !known.has(item))]
}

/** Stands for a deleted item until the list is whole. */
const GONE = Symbol('gone')

const mergeList = (field: FieldSchema, key: string, present: readonly unknown[], patch: readonly unknown[], name: string): unknown[] => {
  const type = childType(field.items)
  if (patch.some((item) => isObject(item) && item[DIRECTIVE] === 'replace'))
    return patch
      .filter((item) => isObject(item) && !(DIRECTIVE in item && Object.keys(item).length === 1))
      .map((item) => withoutDirectives(item as Json))
  const merged: unknown[] = [...present]
  // Where each key is: a patch may name as many items as there are, and a search for each would take their square.
  const places = new Map<unknown, number[]>()
  merged.forEach((item, at) => {
    if (!isObject(item)) return
    const known = places.get(item[key])
    if (known === undefined) places.set(item[key], [at])
    else known.push(at)
  })
  for (const item of patch) {
    if (!isObject(item)) throw badRequest(`error when patching: an item of ${name} is not an object`)
    const value = item[key]
    if (value === undefined)
      throw badRequest(`error when patching: map: map[${Object.keys(item).join(' ')}] does not contain declared merge key: ${key}`)
    const [at] = places.get(value) ?? []
    if (item[DIRECTIVE] === 'delete') {
      for (const place of places.get(value) ?? []) merged[place] = GONE
      places.delete(value)
    } else if (at === undefined) {
      places.set(value, [merged.length])
      merged.push(mergeObject(type, {}, item))
    } else merged[at] = mergeObject(type, merged[at] as Json, item)
  }
  return merged.filter((item) => item !== GONE)
}

/**
 * The list in the order the patch's author saw: items it names in that order, those it does not know (the server's own) in the order
 * they had. Of one of either, the server's comes first only where it was before the other on the server: what the patch brings anew
 * comes before the server's own, as upstream has it (strategicpatch's mergeSortedSlice).
 */
const ordered = (list: readonly unknown[], order: unknown, key: string | undefined, present: readonly unknown[]): unknown[] => {
  if (!Array.isArray(order)) throw badRequest(`error when patching: the value of ${ORDER} must be a list`)
  const idOf = (item: unknown): unknown => (key === undefined ? item : isObject(item) ? item[key] : undefined)
  const placesIn = (items: readonly unknown[]): Map<unknown, number> => new Map(items.map((item, at) => [idOf(item), at]))
  const [named, before] = [placesIn(order), placesIn(present)]
  const place = (places: ReadonlyMap<unknown, number>, item: unknown): number => places.get(idOf(item)) ?? Number.POSITIVE_INFINITY
  const theirs = list.filter((item) => named.has(idOf(item))).toSorted((a, b) => place(named, a) - place(named, b))
  const own = list.filter((item) => !named.has(idOf(item))).toSorted((a, b) => place(before, a) - place(before, b))
  const result: unknown[] = []
  for (let [left, right] = [0, 0]; left < own.length || right < theirs.length;) {
    const [mine, other] = [own[left], theirs[right]]
    const isFirst = before.has(idOf(other)) && place(before, mine) < place(before, other)
    const isOwn = right === theirs.length || (left < own.length && isFirst)
    result.push(isOwn ? own[left++] : theirs[right++])
  }
  return result
}

const withoutDirectives = (value: Json): Json => {
  const { [DIRECTIVE]: _, ...rest } = value
  return structuredClone(rest)
}
