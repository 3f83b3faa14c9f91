/**
 * Sets of fields (FieldsV1, KEP-555): which parts of an object somebody owns, as a tree. `f:` names a field, `k:` an
 * item of a keyed list, `v:` one of a set, `.` the thing itself; an empty node is a leaf and owns all below it.
 */
import type { FieldSet } from '#events/KubeObject.ts'
import { isObject } from '#events/meta/json.ts'
import { DEDUCED, fieldOf, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { same } from '#events/meta/faults.ts'

export type { FieldSet }

type Json = Record<string, unknown>

const LEAF: FieldSet = {}
export const isEmpty = (set: FieldSet): boolean => {
  for (const _ in set) return false
  return true
}

/** How a value of the field is taken apart: whole, by field, by key or by item. */
type Shape =
  | { readonly by: 'whole' }
  | { readonly by: 'fields'; readonly type: TypeSchema }
  | { readonly by: 'entries'; readonly items: FieldSchema | undefined }
  | { readonly by: 'keys'; readonly keys: readonly string[]; readonly items: FieldSchema | undefined }
  | { readonly by: 'items' }

const WHOLE: Shape = { by: 'whole' }
const shapes = new WeakMap<FieldSchema, Shape>()

const shapeOf = (field: FieldSchema | undefined): Shape => {
  if (field === undefined) return WHOLE
  let shape = shapes.get(field)
  if (shape === undefined) shapes.set(field, (shape = computeShape(field)))
  return shape
}

const computeShape = (field: FieldSchema): Shape => {
  if (field.object !== undefined)
    return field.mapType === 'atomic' || field.object.mapType === 'atomic' ? WHOLE : { by: 'fields', type: field.object }
  if (field.type === 'any') return field.preserveUnknown === true ? { by: 'entries', items: DEDUCED } : WHOLE
  if (field.type === 'map') return field.mapType === 'atomic' ? WHOLE : { by: 'entries', items: field.items }
  if (field.type !== 'array') return WHOLE
  if (field.listType === 'map' && field.listMapKeys !== undefined) return { by: 'keys', keys: field.listMapKeys, items: field.items }
  return field.listType === 'set' ? { by: 'items' } : WHOLE
}

/** Keys a client may leave out because they have a default: the only one among the list keys is a port's protocol. */
const keyValue = (item: Json, key: string): unknown => item[key] ?? (key === 'protocol' ? 'TCP' : undefined)

export const itemKey = (item: unknown, keys: readonly string[]): string => {
  if (!isObject(item)) return 'k:{}'
  const sorted = keys.length === 1 ? keys : keys.toSorted()
  return `k:${JSON.stringify(Object.fromEntries(sorted.map((key) => [key, keyValue(item, key)])))}`
}
const itemValue = (item: unknown): string => `v:${JSON.stringify(item)}`

/** Every field a value sets. */
export const setOf = (field: FieldSchema | undefined, value: unknown): FieldSet => {
  const shape = shapeOf(field)
  if (shape.by === 'whole') return LEAF
  if (shape.by === 'fields' || shape.by === 'entries') {
    if (!isObject(value)) return LEAF
    // An empty object owns itself and nothing below: a leaf would own what others put there.
    const set: Record<string, FieldSet> = shape.by === 'entries' || isEmptyObject(value) ? { '.': LEAF } : {}
    for (const key in value)
      if (value[key] !== undefined) set[`f:${key}`] = setOf(shape.by === 'fields' ? fieldOf(shape.type, key) : shape.items, value[key])
    return set
  }
  if (!Array.isArray(value)) return LEAF
  const set: Record<string, FieldSet> = {}
  if (shape.by === 'items') for (const item of value) set[itemValue(item)] = LEAF
  else for (const item of value) set[itemKey(item, shape.keys)] = { '.': LEAF, ...setOf(shape.items, item) }
  return set
}

const isEmptyObject = (value: Json): boolean => {
  for (const _ in value) return false
  return true
}

/** Every field of a whole object. */
export const setOfObject = (type: TypeSchema, object: Json): FieldSet => {
  const set: Record<string, FieldSet> = {}
  for (const key in object) if (object[key] !== undefined) set[`f:${key}`] = setOf(fieldOf(type, key), object[key])
  return stripped(set)
}

/** Fields nobody owns: identity and what only the server sets. */
const UNOWNED = [
  'f:name',
  'f:namespace',
  'f:uid',
  'f:creationTimestamp',
  'f:generation',
  'f:managedFields',
  'f:resourceVersion',
  'f:selfLink',
  'f:deletionTimestamp',
  'f:deletionGracePeriodSeconds',
  'f:generateName'
]

const stripped = (set: FieldSet): FieldSet => {
  const { 'f:apiVersion': _, 'f:kind': __, 'f:metadata': metadata, ...rest } = set
  if (metadata === undefined) return rest
  const kept: Record<string, FieldSet> = { ...metadata }
  for (const field of UNOWNED) delete kept[field]
  return isEmpty(kept) ? rest : { ...rest, 'f:metadata': kept }
}

export const union = (a: FieldSet, b: FieldSet): FieldSet => {
  if (a === b) return a
  if (isEmpty(a)) return isEmpty(b) || '.' in b ? b : { '.': LEAF, ...b }
  if (isEmpty(b)) return '.' in a ? a : { '.': LEAF, ...a }
  const joined: Record<string, FieldSet> = { ...a }
  for (const key in b) joined[key] = key in joined ? union(joined[key] as FieldSet, b[key] as FieldSet) : (b[key] as FieldSet)
  return joined
}

/** `a` without what `b` owns; undefined when nothing is left. A leaf of `b` takes everything below it. */
export const minus = (a: FieldSet, b: FieldSet): FieldSet | undefined => {
  let result: Record<string, FieldSet> | undefined
  for (const key in b) {
    const mine = a[key]
    if (mine === undefined) continue
    const theirs = b[key] as FieldSet
    const rest = isEmpty(theirs) ? undefined : isEmpty(mine) ? mine : minus(mine, theirs)
    if (rest === mine) continue
    result ??= { ...a }
    if (rest === undefined) delete result[key]
    else result[key] = rest
  }
  if (result === undefined) return a
  return isEmpty(result) ? undefined : result
}

/** What both own, or undefined. A leaf of either covers what the other has below it. */
export const intersection = (a: FieldSet, b: FieldSet): FieldSet | undefined => {
  if (isEmpty(a)) return b
  if (isEmpty(b)) return a
  let result: Record<string, FieldSet> | undefined
  for (const key in a) {
    const theirs = b[key]
    if (theirs === undefined) continue
    const shared = intersection(a[key] as FieldSet, theirs)
    if (shared !== undefined) (result ??= {})[key] = shared
  }
  return result
}

export interface Difference {
  /** Added or given another value. */
  readonly changed: FieldSet | undefined
  readonly removed: FieldSet | undefined
}

const NONE: Difference = { changed: undefined, removed: undefined }

/** Where two values differ. Subtrees shared by reference are not looked into. */
export const difference = (field: FieldSchema | undefined, before: unknown, after: unknown): Difference => {
  if (before === after) return NONE
  if (after === undefined) return { changed: undefined, removed: LEAF }
  if (before === undefined) return { changed: setOf(field, after), removed: undefined }
  const shape = shapeOf(field)
  if (shape.by === 'whole') return same(before, after) ? NONE : { changed: LEAF, removed: undefined }
  if (shape.by === 'fields' || shape.by === 'entries') {
    if (!isObject(before) || !isObject(after)) return same(before, after) ? NONE : { changed: setOf(field, after), removed: undefined }
    return combine((add) => {
      for (const key in after)
        add(`f:${key}`, difference(shape.by === 'fields' ? fieldOf(shape.type, key) : shape.items, before[key], after[key]))
      for (const key in before)
        if (after[key] === undefined && before[key] !== undefined) add(`f:${key}`, { changed: undefined, removed: LEAF })
    })
  }
  if (!Array.isArray(before) || !Array.isArray(after)) return { changed: setOf(field, after), removed: undefined }
  const segment = shape.by === 'items' ? itemValue : (item: unknown): string => itemKey(item, shape.keys)
  const items = shape.by === 'keys' ? shape.items : undefined
  const old = new Map(before.map((item) => [segment(item), item]))
  const now = new Map(after.map((item) => [segment(item), item]))
  return combine((add) => {
    for (const [key, item] of now) {
      const previous = old.get(key)
      add(
        key,
        previous === undefined
          ? { changed: shape.by === 'items' ? LEAF : { '.': LEAF, ...setOf(items, item) }, removed: undefined }
          : difference(items, previous, item)
      )
    }
    for (const key of old.keys()) if (!now.has(key)) add(key, { changed: undefined, removed: LEAF })
  })
}

const combine = (collect: (add: (segment: string, difference: Difference) => void) => void): Difference => {
  let changed: Record<string, FieldSet> | undefined
  let removed: Record<string, FieldSet> | undefined
  collect((segment, part) => {
    if (part.changed !== undefined) (changed ??= {})[segment] = part.changed
    if (part.removed !== undefined) (removed ??= {})[segment] = part.removed
  })
  return changed === undefined && removed === undefined ? NONE : { changed, removed }
}

/** The differences of two whole objects, without what nobody owns. */
export const objectDifference = (type: TypeSchema, before: Json | undefined, after: Json): Difference => {
  if (before === undefined) return { changed: setOfObject(type, after), removed: undefined }
  const { changed, removed } = combine((add) => {
    for (const key in after)
      if (key !== 'apiVersion' && key !== 'kind') add(`f:${key}`, difference(fieldOf(type, key), before[key], after[key]))
    for (const key in before)
      if (after[key] === undefined && before[key] !== undefined) add(`f:${key}`, { changed: undefined, removed: LEAF })
  })
  const strip = (set: FieldSet | undefined): FieldSet | undefined => {
    const rest = set === undefined ? undefined : stripped(set)
    return rest === undefined || isEmpty(rest) ? undefined : rest
  }
  return { changed: strip(changed), removed: strip(removed) }
}

/** The owned paths, as people read them: `.spec.containers[name="web"].image`. */
export const paths = (set: FieldSet, prefix = ''): string[] => {
  if (isEmpty(set)) return [prefix]
  return Object.keys(set)
    .toSorted()
    .flatMap((segment) => {
      if (segment === '.') return Object.keys(set).length === 1 ? [prefix] : []
      return paths(set[segment] as FieldSet, prefix + readable(segment))
    })
}

const readable = (segment: string): string => {
  const text = segment.slice(2)
  if (segment.startsWith('f:')) return /^[\w-]+$/.test(text) ? `.${text}` : `.${text}`
  if (segment.startsWith('v:')) return `[=${text}]`
  const keys = JSON.parse(text) as Json
  return `[${Object.entries(keys)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join(',')}]`
}
