/** Structural decoding of a request's JSON into a fresh object of a type: wrong types are errors, unknown fields and nulls are dropped. */
import { isObject, put } from '#events/meta/json.ts'
import { badRequest, type Refusal } from '#events/Refusal.ts'
import { DEEPEST } from './depth.ts'
import { Bad, goType, goTypeName, mismatch, scalar, zero } from './scalars.ts'
import { typeNamed, type FieldSchema, type TypeSchema } from './Schema.ts'

/** How unknown and duplicate fields are treated (the `fieldValidation` query parameter, KEP-2885). */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface Decoded {
  /** The object without unknown fields and nulls, in the order given: a deep copy that shares nothing with the input. */
  readonly value: unknown
  /** `unknown field "spec.foo"`, at most 100; empty when the mode is Ignore. */
  readonly unknownFields: string[]
  /** Type faults in Go's words, in document order, at most 100; the client is shown the first. */
  readonly errors: string[]
}

interface State {
  readonly collect: boolean
  readonly unknown: string[]
  readonly errors: string[]
  values: number
  /** Struct fields as strings, list indexes as numbers, map keys wrapped. */
  readonly path: (string | number | { readonly key: string })[]
}

type Read = (value: unknown, state: State) => unknown

/** As upstream: a hundred strict errors are enough. */
const MOST_UNKNOWN = 100
const MOST_ERRORS = 100
/** Characters of a path in a message: keys are the client's, and may be megabytes. */
const LONGEST_PATH = 1024
/**
 * List items and map entries a document may have altogether. What the log takes of the largest real objects has a tenth of
 * it; three megabytes of `{}` are a million, and every one of them would have its faults.
 */
const MOST_VALUES = 100_000

const compiled = new Map<string, Read>()

/** `spec.containers[0].ports`, map keys like fields. */
const pathText = (path: State['path'], last?: string): string => {
  let text = ''
  for (const segment of last === undefined ? path : [...path, last]) {
    if (typeof segment === 'number') text += `[${segment}]`
    else text += `${text === '' ? '' : '.'}${typeof segment === 'string' ? segment : segment.key}`
  }
  return text.length > LONGEST_PATH ? `${text.slice(0, LONGEST_PATH)}…` : text
}

const fail = (bad: Bad, struct: string, state: State): void => {
  const { fault } = bad
  // A body may have a fault in every few bytes; the client is shown the first.
  if (state.errors.length >= MOST_ERRORS) return
  if ('text' in fault) {
    state.errors.push(fault.text)
    return
  }
  // Go names struct fields only, without indexes or map keys.
  const fields = state.path.filter((segment) => typeof segment === 'string').join('.')
  const where = fields === '' ? 'Go value' : `Go struct field ${struct}.${fields}`
  state.errors.push(`json: cannot unmarshal ${fault.mismatch} into ${where} of type ${fault.goType}`)
}

/** Copies free JSON, whose shape no type describes. */
const copy = (value: unknown, state: State, depth: number): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (depth > DEEPEST) {
    tooDeep(state)
    return null
  }
  const keys = Object.keys(value)
  if (tooMany(keys.length, state)) return null
  if (Array.isArray(value)) return value.map((item) => copy(item, state, depth + 1))
  const out: Record<string, unknown> = {}
  for (const key of keys) put(out, key, copy((value as Record<string, unknown>)[key], state, depth + 1))
  return out
}

/** Counts values; what there is too many of is not read. */
const tooMany = (count: number, state: State): boolean => {
  state.values += count
  if (state.values <= MOST_VALUES) return false
  const error = `the object has more than ${MOST_VALUES} list items and map entries`
  if (!state.errors.includes(error)) state.errors.push(error)
  return true
}

const tooDeep = (state: State): void => {
  if (!state.errors.includes('exceeded max depth')) state.errors.push('exceeded max depth')
}

const readerOf = (field: FieldSchema, struct: string): Read => {
  if (field.type === 'any') return (value, state) => copy(value, state, state.path.length)
  if (field.type === 'object') return readerOfType(field.ref ?? '', struct)
  if (field.type === 'array') return arrayReader(field, struct)
  if (field.type === 'map') return mapReader(field, struct)
  const read = scalar(field)
  return (value, state) => {
    const result = read(value)
    if (!(result instanceof Bad)) return result
    fail(result, struct, state)
    return value
  }
}

const arrayReader = (field: FieldSchema, struct: string): Read => {
  const items = field.items ?? { type: 'any' }
  const read = readerOf(items, struct)
  const type = goType(field)
  return (value, state) => {
    if (!Array.isArray(value)) {
      fail(mismatch(value, type), struct, state)
      return value
    }
    const out: unknown[] = []
    if (tooMany(value.length, state)) return out
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      state.path.push(i)
      out.push(item === null ? zero(items) : read(item, state))
      state.path.pop()
    }
    return out
  }
}

const mapReader = (field: FieldSchema, struct: string): Read => {
  const items = field.items ?? { type: 'any' }
  const read = readerOf(items, struct)
  const type = goType(field)
  const nested = items.type === 'object' || items.type === 'array' || items.type === 'map'
  return (value, state) => {
    if (!isObject(value)) {
      fail(mismatch(value, type), struct, state)
      return value
    }
    const out: Record<string, unknown> = {}
    const keys = Object.keys(value)
    if (tooMany(keys.length, state)) return out
    for (const key of keys) {
      const item = value[key]
      if (nested) state.path.push({ key })
      put(out, key, item === null ? zero(items) : read(item, state))
      if (nested) state.path.pop()
    }
    return out
  }
}

const readerOfType = (name: string, outer: string): Read => {
  const type = goTypeName(name)
  let fields: Map<string, Read> | undefined
  return (value, state) => {
    if (!isObject(value)) {
      fail(mismatch(value, type), outer, state)
      return value
    }
    fields ??= fieldsOf(name)
    return readFields(fields, value, state)
  }
}

const fieldReaders = new Map<string, Map<string, Read>>()

const fieldsOf = (name: string): Map<string, Read> => {
  let readers = fieldReaders.get(name)
  if (readers === undefined) {
    const struct = name.slice(name.lastIndexOf('.') + 1)
    readers = new Map(Object.entries(typeNamed(name).fields).map(([key, field]) => [key, readerOf(field, struct)]))
    fieldReaders.set(name, readers)
  }
  return readers
}

const readFields = (fields: Map<string, Read>, value: Record<string, unknown>, state: State): unknown => {
  const out: Record<string, unknown> = {}
  if (state.path.length > DEEPEST) {
    tooDeep(state)
    return out
  }
  for (const key of Object.keys(value)) {
    const item = value[key]
    const read = fields.get(key)
    if (read === undefined) {
      if (state.collect && state.unknown.length < MOST_UNKNOWN)
        state.unknown.push(`unknown field ${JSON.stringify(pathText(state.path, key))}`)
    } else if (item !== null && item !== undefined) {
      state.path.push(key)
      out[key] = read(item, state)
      state.path.pop()
    }
  }
  return out
}

/**
 * Decodes parsed JSON as `type`. Nothing is checked beyond structure: required fields and values are the kind's business.
 * Quantities take their canonical form, times become UTC, null list elements and map values become Go's zero value.
 */
export const decodeStrict = (type: TypeSchema, value: unknown, mode: FieldValidation): Decoded => {
  let read = compiled.get(type.name)
  if (read === undefined) {
    read = readerOfType(type.name, '')
    compiled.set(type.name, read)
  }
  const state: State = { collect: mode !== 'Ignore', unknown: [], errors: [], values: 0, path: [] }
  const result = read(value, state)
  return { value: result, unknownFields: state.unknown, errors: state.errors }
}

/** 400 BadRequest for a body that can't be decoded: `Deployment in version "v1" cannot be handled as a Deployment: …`. */
export const cannotDecode = (version: string, kind: string, why: string): Refusal =>
  badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`)

/** `strict decoding error: unknown field "a", duplicate field "b"`, the reason of a Strict refusal. */
export const strictDecodingError = (fields: readonly string[]): string => `strict decoding error: ${fields.join(', ')}`
