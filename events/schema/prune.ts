/**
 * Reading a custom object: a copy without what no field describes, and with what the schema fills in. Types are not judged here:
 * a wrong one is a fault of validation, with its place, as upstream has it.
 */
import { isObject, own, put } from '#events/meta/json.ts'
import { DEEPEST } from './depth.ts'
import { DEDUCED, type FieldSchema } from './Schema.ts'

/** As upstream: a hundred strict errors are enough. */
const MOST_UNKNOWN = 100
/** List items and map entries a document may have altogether, as for built-in kinds. */
const MOST_VALUES = 100_000
const LONGEST_PATH = 1024

export interface Pruned {
  readonly value: unknown
  /** `unknown field "spec.foo"`, at most 100. */
  readonly unknownFields: readonly string[]
  /** Why it can't be taken at all: too deep, too many values. */
  readonly error?: string
}

interface State {
  readonly unknown: string[]
  values: number
  error: string | undefined
}

const enter = (count: number, depth: number, state: State): boolean => {
  state.values += count
  if (state.values > MOST_VALUES) state.error ??= `the object has more than ${MOST_VALUES} list items and map entries`
  if (depth > DEEPEST) state.error ??= 'exceeded max depth'
  return state.error === undefined
}

const prune = (field: FieldSchema, value: unknown, path: string, depth: number, state: State): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    if (!enter(value.length, depth, state)) return []
    // A list where a map should be is a fault of validation: its items are not the map's values.
    const items = (field.type === 'map' ? undefined : field.items) ?? DEDUCED
    return value.map((item, at) => prune(items, item, `${path}[${at}]`, depth + 1, state))
  }
  const keys = Object.keys(value)
  if (!enter(keys.length, depth, state)) return {}
  const pruned: Record<string, unknown> = {}
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key]
    const known =
      field.object !== undefined && Object.hasOwn(field.object.fields, key)
        ? field.object.fields[key]
        : field.type === 'map'
          ? (field.items ?? DEDUCED)
          : undefined
    if (known !== undefined) put(pruned, key, prune(known, item, path === '' ? key : `${path}.${key}`, depth + 1, state))
    else if (field.preserveUnknown === true || (field.type === 'any' && field.object === undefined))
      put(pruned, key, prune(DEDUCED, item, path, depth + 1, state))
    else if (state.unknown.length < MOST_UNKNOWN)
      state.unknown.push(`unknown field ${JSON.stringify((path === '' ? key : `${path}.${key}`).slice(0, LONGEST_PATH))}`)
  }
  return pruned
}

/** A copy of the value that shares nothing with it. */
export const pruned = (field: FieldSchema, value: unknown): Pruned => {
  const state: State = { unknown: [], values: 0, error: undefined }
  const result = prune(field, value, '', 0, state)
  return { value: result, unknownFields: state.unknown, ...(state.error === undefined ? {} : { error: state.error }) }
}

const needs = new WeakMap<FieldSchema, boolean>()

/** True when there is anything to fill in, or a null to take out, at any depth. Types that refer to themselves have no defaults. */
const hasDefaults = (field: FieldSchema): boolean => {
  const known = needs.get(field)
  if (known !== undefined) return known
  needs.set(field, false)
  const found =
    field.default !== undefined ||
    (field.object !== undefined && field.ref === undefined && Object.values(field.object.fields).some(hasDefaults)) ||
    (field.items !== undefined && hasDefaults(field.items))
  needs.set(field, found)
  return found
}

/** True when reading an object with this schema may have to fill something in. */
export const fillsIn = (field: FieldSchema): boolean => hasDefaults(field)

/**
 * Fills in defaults, in place, from the outside in: what a default brings along gets its own. Nulls of fields that may not be
 * null count as left out, and go.
 */
export const fillIn = (field: FieldSchema, value: unknown): void => {
  if (Array.isArray(value)) {
    const { items } = field
    if (items !== undefined && field.type !== 'map') for (const item of value) fillIn(items, item)
    return
  }
  if (!isObject(value)) return
  const { object, items } = field
  if (object !== undefined && field.ref === undefined) {
    for (const key in object.fields) {
      const part = object.fields[key] as FieldSchema
      const given = own(value, key)
      if (given === undefined || (given === null && part.nullable !== true)) {
        if (part.default !== undefined) put(value, key, structuredClone(part.default))
        else if (given === null) delete value[key]
      }
      const filled = own(value, key)
      if (filled !== undefined) fillIn(part, filled)
    }
    return
  }
  if (field.type === 'map' && items !== undefined)
    for (const key of Object.keys(value)) {
      if (value[key] === null && items.nullable !== true && items.default !== undefined) put(value, key, structuredClone(items.default))
      fillIn(items, value[key])
    }
}
