/** How a value of a field is taken apart for structured merge (KEP-555): whole, by field, by entry, by key or by item. */
import { isObject } from '#events/meta/json.ts'
import { zeroOf } from '#events/schema/presence.ts'
import { DEDUCED, fieldOf, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'

export type Json = Record<string, unknown>

export type Shape =
  | { readonly by: 'whole' }
  | { readonly by: 'fields'; readonly type: TypeSchema }
  | { readonly by: 'entries'; readonly items: FieldSchema | undefined }
  | { readonly by: 'keys'; readonly keys: readonly string[]; readonly items: FieldSchema | undefined }
  | { readonly by: 'items'; readonly items: FieldSchema | undefined }

const WHOLE: Shape = { by: 'whole' }
const shapes = new WeakMap<FieldSchema, Shape>()

const compute = (field: FieldSchema): Shape => {
  if (field.object !== undefined)
    return field.mapType === 'atomic' || field.object.mapType === 'atomic' ? WHOLE : { by: 'fields', type: field.object }
  if (field.type === 'any') return field.preserveUnknown === true ? { by: 'entries', items: DEDUCED } : WHOLE
  if (field.type === 'map') return field.mapType === 'atomic' ? WHOLE : { by: 'entries', items: field.items }
  if (field.type !== 'array') return WHOLE
  if (field.listType === 'map' && field.listMapKeys !== undefined) return { by: 'keys', keys: field.listMapKeys, items: field.items }
  return field.listType === 'set' ? { by: 'items', items: field.items } : WHOLE
}

const shapeOf = (field: FieldSchema | undefined): Shape => {
  if (field === undefined) return WHOLE
  let shape = shapes.get(field)
  if (shape === undefined) shapes.set(field, (shape = compute(field)))
  return shape
}

/** The shape of this very value: free JSON is a map only where it is one. Null takes any shape. */
export const shapeFor = (field: FieldSchema | undefined, value: unknown): Shape => {
  const shape = shapeOf(field)
  if (shape.by === 'whole' || value === null || value === undefined) return shape
  const fits = shape.by === 'fields' || shape.by === 'entries' ? isObject(value) : Array.isArray(value)
  return fits ? shape : WHOLE
}

export const ofType = (type: TypeSchema): Shape => ({ by: 'fields', type })

/** What stands below a field or entry of the shape. */
export const fieldBelow = (shape: Shape, name: string): FieldSchema | undefined =>
  shape.by === 'fields' ? fieldOf(shape.type, name) : shape.by === 'entries' ? shape.items : undefined

/** Whether the schema names the field: entries of maps, and what is kept though no field describes it, are not named. */
export const isNamed = (shape: Shape, name: string): boolean => shape.by === 'fields' && Object.hasOwn(shape.type.fields, name)

/** Absent, null, or with nothing in it: which of these it is can be told only as a whole. */
export const isNothing = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)

/** Keys that may be left out though Go omits them when they are empty; the published documents say so with a default. */
const OPTIONAL_KEYS = new Set(['io.k8s.api.core.v1.LocalObjectReference name'])

/** What an item has for a key that it leaves out: of a port its protocol, of what Go always writes its zero. */
const keyDefault = (items: FieldSchema | undefined, key: string): unknown => {
  const type = items?.object
  const field = type?.fields[key]
  if (field?.default !== undefined) return field.default
  if (key === 'protocol') return 'TCP'
  const isWritten = field?.presence === 'always' || (type?.name.startsWith('io.k8s.') === true && field?.required === true)
  return isWritten ? (zeroOf(field) ?? undefined) : OPTIONAL_KEYS.has(`${type?.name} ${key}`) ? '' : undefined
}

/** Why the item has no place in a keyed list or a set; undefined when it has. In upstream's words. */
export const itemFault = (shape: Shape, item: unknown): string | undefined => {
  if (shape.by === 'items') {
    if (item === null) return "associative list without keys has an element that's an explicit null"
    if (Array.isArray(item)) return 'not supported: associative list with lists as elements'
    return isObject(item) ? "associative list without keys has an element that's a map type" : undefined
  }
  if (shape.by !== 'keys') return undefined
  if (item === null) return 'associative list with keys may not have a null element'
  if (!isObject(item)) return 'associative list with keys may not have non-map elements'
  if (shape.keys.some((key) => (item[key] ?? keyDefault(shape.items, key)) !== undefined)) return undefined
  const keys = shape.keys.map((key) => JSON.stringify(key)).join(' ')
  return `associative list with keys has an element that omits all key fields [${keys}] (and doesn't have default values for any key fields)`
}

/** Of a stored or sent object that a list has an item in which nobody could find again. */
export class Untypable extends Error {}

/** The segment of a list's item: `k:{"name":"web"}`, `v:"a"`. Throws {@link Untypable} for what has none of its keys. */
export const itemSegment = (shape: Shape, item: unknown): string => {
  if (shape.by !== 'keys' || !isObject(item)) return `v:${JSON.stringify(item)}`
  const keys = shape.keys.length === 1 ? shape.keys : shape.keys.toSorted()
  const named = Object.fromEntries(keys.map((key) => [key, item[key] ?? keyDefault(shape.items, key)]))
  if (keys.every((key) => named[key] === undefined)) throw new Untypable(itemFault(shape, item))
  return `k:${JSON.stringify(named)}`
}
