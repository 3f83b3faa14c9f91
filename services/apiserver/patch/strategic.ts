/**
 * Strategic merge patch: a merge patch that knows which lists are keyed (`patchMergeKey`) and takes directives
 * (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`), as kubectl computes it.
 */
import { isObject } from '#events/meta/json.ts'
import { badRequest, Refusal } from '#events/Refusal.ts'
import { fieldOf, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { applyMergePatch } from './merge.ts'
import { inOrder, keyFault, kindOf, typesFault } from './strategicOrder.ts'
import { printed } from './typedFaults.ts'

type Json = Record<string, unknown>

const DIRECTIVE = '$patch'
const RETAIN = '$retainKeys'
const ORDER = '$setElementOrder/'
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/'

/** Characters of a value in a message. */
const LONGEST_SHOWN = 256

/** The patched document; neither is touched. Throws 400, and 422 for lists of lists. */
export const applyStrategicMergePatch = (type: TypeSchema, original: unknown, patch: Json): unknown =>
  mergeObject(type, isObject(original) ? original : {}, patch)

const childType = (field: FieldSchema | undefined): TypeSchema | undefined => (field?.type === 'object' ? field.object : undefined)

const shown = (value: unknown): string => printed(value).slice(0, LONGEST_SHOWN)

const unknownDirective = (directive: unknown, patch: Json): Refusal =>
  badRequest(`unknown patch type: ${shown(directive)} in map: ${shown(patch)}`)

/** What the patch's directive alone makes of the object; undefined when it is to be merged. */
const directed = (patch: Json): Json | undefined => {
  if (!(DIRECTIVE in patch)) return undefined
  const { [DIRECTIVE]: directive, ...rest } = patch
  if (directive === 'replace') return structuredClone(rest)
  if (directive === 'delete') return {}
  throw unknownDirective(directive, patch)
}

/** The value without what a directive stands in, and without nulls: nothing was there that they could be meant for. */
const asNew = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((item: unknown) => asNew(item)).filter((item) => item !== undefined)
  if (!isObject(value)) return value
  if (DIRECTIVE in value) return undefined
  const made: Json = {}
  for (const [key, part] of Object.entries(value)) {
    const kept = part === null || key === '__proto__' ? undefined : asNew(part)
    if (kept !== undefined) made[key] = kept
  }
  return made
}

/** KEP-less, documented with kubectl: of a union only these fields stay; a patch that brings others contradicts itself. */
const retaining = (original: Json, patch: Json): Json => {
  const retain = patch[RETAIN]
  if (!(RETAIN in patch)) return { ...original }
  const isDirective = (key: string): boolean => key === RETAIN || key.startsWith(ORDER) || key.startsWith(DELETE_PRIMITIVES)
  if (!Array.isArray(retain)) throw badRequest('invalid patch format of retainKeys')
  const retained = new Set<unknown>(retain)
  for (const [key, value] of Object.entries(patch))
    if (value !== null && !isDirective(key) && !retained.has(key)) throw badRequest('invalid patch format of retainKeys')
  return Object.fromEntries(Object.entries(original).filter(([key]) => retained.has(key)))
}

const mergeObject = (type: TypeSchema | undefined, original: Json, patch: Json): Json => {
  const whole = directed(patch)
  if (whole !== undefined) return whole
  const merged = retaining(original, patch)
  const done = new Set<string>([RETAIN])
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(ORDER)) continue
    done.add(key)
    const name = key.slice(ORDER.length)
    if (!(name in merged) && !(name in patch)) continue
    const field = type === undefined ? undefined : fieldOf(type, name)
    merged[name] = mergeOrdered(field, merged[name], patch[name], order, name)
    done.add(name)
  }
  for (const [key, value] of Object.entries(patch)) {
    if (done.has(key) || key === '__proto__' || key.startsWith(DELETE_PRIMITIVES)) continue
    if (value === null) delete merged[key]
    else {
      const next = mergeValue(type === undefined ? undefined : fieldOf(type, key), merged[key], value)
      if (next === undefined) delete merged[key]
      else merged[key] = next
    }
  }
  // Last: what a patch adds and removes at once is removed.
  for (const [key, value] of Object.entries(patch)) if (key.startsWith(DELETE_PRIMITIVES)) removePrimitives(merged, key, value)
  return merged
}

const removePrimitives = (merged: Json, key: string, value: unknown): void => {
  const name = key.slice(DELETE_PRIMITIVES.length)
  const present = merged[name]
  if (!Array.isArray(present) || value === null) return
  if (!Array.isArray(value)) throw badRequest('invalid patch format of primitive list')
  const gone = new Set<unknown>(value)
  if (present.length > 0 || value.length > 0) merged[name] = present.filter((item) => !gone.has(item))
}

/** Undefined where nothing comes of it. */
const mergeValue = (field: FieldSchema | undefined, original: unknown, value: unknown): unknown => {
  if (original === undefined || kindOf(original) !== kindOf(value)) return asNew(value)
  if (Array.isArray(value)) return mergeList(field, original as unknown[], value).merged
  if (!isObject(value)) return value
  const isReplaced = field?.patchStrategy?.includes('replace') === true
  if (isReplaced) return structuredClone(value)
  if (field?.type === 'object') return mergeObject(childType(field), original as Json, value)
  return directed(value) ?? (field?.type === 'map' ? mergeObject(undefined, original as Json, value) : applyMergePatch(original, value))
}

/** A list whose order the patch's author names: as far as it goes, that is the order of what the author knows. */
const mergeOrdered = (field: FieldSchema | undefined, original: unknown, patch: unknown, order: unknown, name: string): unknown[] => {
  for (const [what, list] of [
    ['original', original],
    ['patch', patch],
    ['order', order]
  ] as const)
    if (list !== undefined && !Array.isArray(list))
      throw badRequest(`expected a []interface {}, but received a ${kindOf(list)} for the ${what} of ${name}`)
  const [live, given, wanted] = [(original ?? []) as unknown[], (patch ?? []) as unknown[], order as unknown[]]
  const key = field?.patchMergeKey
  checkOrder(given, wanted, key)
  const { merged, before } =
    patch === undefined
      ? { merged: live, before: live }
      : original === undefined
        ? { merged: asNew(given) as unknown[], before: [] }
        : mergeList(field, live, given)
  const fault = typesFault([...live, ...given])
  if (fault !== undefined) throw fault
  return inOrder(merged, wanted, before, key)
}

/** The patch's own order must not contradict the order it names. */
const checkOrder = (given: readonly unknown[], order: readonly unknown[], key: string | undefined): void => {
  if (given.length === 0 || order.length === 0) return
  const idOf = (item: unknown): unknown => {
    if (key === undefined) return item
    const fault = keyFault(item, key)
    if (fault !== undefined) throw fault
    return (item as Json)[key]
  }
  const isSpecial = (item: unknown): boolean => isObject(item) && DIRECTIVE in item
  const named = given.filter((item) => key === undefined || !isObject(item) || item[DIRECTIVE] !== 'delete')
  let [at, next] = [0, 0]
  // As upstream has it, a `replace` behind the last of the order contradicts it.
  while (at < named.length && next < order.length) {
    if (isSpecial(named[at])) at++
    else if (idOf(named[at]) === idOf(order[next++])) at++
  }
  if (at < named.length)
    throw badRequest(`The order in patch list:\n${shown(given)}\n doesn't match $setElementOrder list:\n${shown(order)}\n`)
}

interface MergedList {
  readonly merged: unknown[]
  /** The order of the present list as it is looked up in afterwards. */
  readonly before: readonly unknown[]
}

const mergeList = (field: FieldSchema | undefined, live: readonly unknown[], patch: readonly unknown[]): MergedList => {
  if (field?.type !== 'array' || field.patchStrategy?.includes('merge') !== true)
    return { merged: structuredClone([...patch]), before: live }
  if (live.length === 0 && patch.length === 0) return { merged: [], before: live }
  const fault = typesFault([...live, ...patch])
  if (fault !== undefined) throw fault
  const key = field.patchMergeKey
  if (!isObject(live[0] ?? patch[0])) {
    const merged = [...new Set([...live, ...patch])]
    return { merged: inOrder(merged, patch, live, undefined), before: live }
  }
  if (key === undefined) throw badRequest('cannot merge lists without merge key')
  const { kept, changes, before } = withoutDeleted(live as Json[], patch as Json[], key)
  const merged: Json[] = [...kept]
  const view = [...before]
  // Where each key is: a patch may name as many items as there are, and a search for each would take their square.
  const places = new Map<unknown, number>()
  merged.forEach((item, at) => {
    if (item[key] !== undefined && !places.has(item[key])) places.set(item[key], at)
  })
  for (const item of changes) {
    const value = item[key]
    if (value === undefined) throw keyFault(item, key) as Refusal
    const at = places.get(value)
    if (at !== undefined) {
      merged[at] = mergeObject(childType(field.items), merged[at] as Json, item)
      continue
    }
    places.set(value, merged.length)
    // What comes to stand where a deleted item stood is known by that place from then on.
    if (merged.length < view.length) view[merged.length] = item
    merged.push(structuredClone(item))
  }
  return { merged: inOrder(merged, changes, kept, key), before: view }
}

interface Special {
  readonly kept: readonly Json[]
  readonly changes: readonly Json[]
  readonly before: readonly Json[]
}

/** The items that a directive deletes are deleted first, wherever in the patch it stands; `replace` deletes all. */
const withoutDeleted = (live: readonly Json[], patch: readonly Json[], key: string): Special => {
  const changes: Json[] = []
  const gone = new Set<unknown>()
  let replace = false
  for (const item of patch) {
    if (!(DIRECTIVE in item)) changes.push(item)
    else if (item[DIRECTIVE] === 'replace') replace = true
    else if (item[DIRECTIVE] === 'merge') throw badRequest('merging lists cannot yet be specified in the patch')
    else if (item[DIRECTIVE] !== 'delete') throw unknownDirective(item[DIRECTIVE], item)
    else if (!(key in item)) throw keyFault(item, key) as Refusal
    else gone.add(item[key])
  }
  if (replace) return { kept: structuredClone(changes), changes: [], before: live }
  const kept = live.filter((item) => !(key in item) || !gone.has(item[key]))
  // As long as it was: behind what moved up stands what stood there.
  return { kept, changes, before: [...kept, ...live.slice(kept.length)] }
}
