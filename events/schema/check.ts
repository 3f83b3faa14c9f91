/** Whether a value is what its schema says, in the words of upstream's validation (kube-openapi), one fault per rule that is broken. */
import { badValue, duplicate, required, same, tooLong, tooMany, unsupported } from '#events/meta/faults.ts'
import { isObject, own } from '#events/meta/json.ts'
import type { FieldError } from '#events/Refusal.ts'
import { formatOf } from './formats.ts'
import { patternOf } from './structural.ts'
import type { FieldSchema, ValidationRule } from './Schema.ts'

/**
 * Evaluates a rule in CEL on a value (and what it was before); undefined when it holds, else its message. What has no evaluator is
 * carried along and not judged.
 */
export type Evaluate = (rule: ValidationRule, self: unknown, oldSelf: unknown) => string | undefined

/** A client is shown a hundred; looking for more costs only time. */
const MOST_FAULTS = 200

const TYPE_WORDS: Readonly<Partial<Record<FieldSchema['type'], string>>> = {
  string: 'string',
  integer: 'integer',
  number: 'number',
  boolean: 'boolean',
  array: 'array',
  object: 'object',
  map: 'object',
  'int-or-string': 'integer,string'
}

/** What JSON calls a value. */
const jsonType = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'array'
      : typeof value === 'number'
        ? Number.isInteger(value)
          ? 'integer'
          : 'number'
        : typeof value

const fits = (type: FieldSchema['type'], value: unknown): boolean => {
  switch (type) {
    case 'string':
    case 'bytes':
    case 'time':
      return typeof value === 'string'
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    case 'array':
      return Array.isArray(value)
    case 'object':
    case 'map':
      return isObject(value)
    case 'int-or-string':
    case 'quantity':
      return typeof value === 'string' || Number.isInteger(value)
    case 'any':
      return true
  }
}

const characters = (text: string): number => {
  let count = 0
  for (const _ of text) count += 1
  return count
}

/** Whole numbers exactly; of others, whose parts no machine can say exactly, one in a thousand million may be missing (as upstream). */
const isMultiple = (value: number, of: number): boolean => {
  if (Number.isInteger(value) && Number.isInteger(of)) return value % of === 0
  const times = of < 1 ? (1 / of) * value : value / of
  return Number.isInteger(times) || Math.abs(times - Math.round(times)) < 1e-9 * Math.abs(Math.round(times))
}

const numberFaults = (field: FieldSchema, value: number, path: string, errors: FieldError[]): void => {
  const { minimum, maximum, multipleOf } = field
  const said = (what: string): void => void errors.push(badValue(path, value, `${path} in body should be ${what}`))
  if (maximum !== undefined && (field.exclusiveMaximum === true ? value >= maximum : value > maximum))
    said(`less than ${field.exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`)
  if (minimum !== undefined && (field.exclusiveMinimum === true ? value <= minimum : value < minimum))
    said(`greater than ${field.exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`)
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) said(`a multiple of ${multipleOf}`)
}

const textFaults = (field: FieldSchema, value: string, path: string, errors: FieldError[]): void => {
  const { maxLength, minLength, pattern } = field
  // Most texts are short in bytes already: no need to count their characters.
  if (maxLength !== undefined && value.length > maxLength && characters(value) > maxLength) errors.push(tooLong(path, maxLength))
  if (minLength !== undefined && (value.length < minLength || characters(value) < minLength))
    errors.push(badValue(path, value, `${path} in body should be at least ${minLength} chars long`))
  if (pattern !== undefined && patternOf(pattern)?.test(value) === false)
    errors.push(badValue(path, value, `${path} in body should match '${pattern}'`))
  if (field.type === 'string' && formatOf(field.format)?.(value) === false)
    errors.push({
      type: 'TypeInvalid',
      field: path,
      value,
      detail: `${path} in body must be of type ${field.format}: ${JSON.stringify(value)}`
    })
}

const listFaults = (
  field: FieldSchema,
  value: readonly unknown[],
  path: string,
  errors: FieldError[],
  evaluate: Evaluate | undefined,
  old: unknown
): void => {
  if (field.maxItems !== undefined && value.length > field.maxItems) errors.push(tooMany(path, value.length, field.maxItems))
  if (field.minItems !== undefined && value.length < field.minItems)
    errors.push(badValue(path, value.length, `${path} in body should have at least ${field.minItems} items`))
  const { items } = field
  const before = Array.isArray(old) ? old : []
  const find = finder(field, before)
  if (items !== undefined)
    for (let at = 0; at < value.length && errors.length < MOST_FAULTS; at++)
      check(items, value[at], `${path}[${at}]`, errors, evaluate, find(value[at]))
  if (field.listType === 'set' || field.uniqueItems === true) repeated(value, canonical, (item) => item, path, errors)
  const { listMapKeys: keys } = field
  if (field.listType === 'map' && keys !== undefined) {
    const keyed = (item: unknown): Record<string, unknown> => Object.fromEntries(keys.map((key) => [key, ownOf(item, key)]))
    repeated(value, (item) => canonical(keyed(item)), keyed, path, errors)
  }
}

/** Items may be anything: a fault of their type is told where they are. */
const ownOf = (item: unknown, key: string): unknown => (isObject(item) ? own(item, key) : undefined)

/** One text for all values that are equal, in whatever order their fields were written. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part
  )

/** What an item of a list was before: by its keys; items of other lists can't be told apart. */
const finder = ({ listType, listMapKeys: keys }: FieldSchema, before: readonly unknown[]): ((item: unknown) => unknown) => {
  if (listType !== 'map' || keys === undefined || before.length === 0) return () => undefined
  const key = (item: unknown): string => canonical(keys.map((name) => ownOf(item, name)))
  const known = new Map(before.map((item) => [key(item), item]))
  return (item) => known.get(key(item))
}

const repeated = (
  value: readonly unknown[],
  id: (item: unknown) => string,
  shown: (item: unknown) => unknown,
  path: string,
  errors: FieldError[]
): void => {
  const seen = new Set<string>()
  value.forEach((item, at) => {
    const key = id(item)
    if (seen.has(key) && errors.length < MOST_FAULTS) errors.push(duplicate(`${path}[${at}]`, shown(item)))
    seen.add(key)
  })
}

const objectFaults = (
  field: FieldSchema,
  value: Record<string, unknown>,
  path: string,
  errors: FieldError[],
  evaluate: Evaluate | undefined,
  old: unknown
): void => {
  const { object, items } = field
  const below = (key: string): string => (path === '' ? key : `${path}.${key}`)
  const before = isObject(old) ? old : {}
  if (field.maxProperties !== undefined || field.minProperties !== undefined) {
    const count = Object.keys(value).length
    if (field.maxProperties !== undefined && count > field.maxProperties) errors.push(tooMany(path, count, field.maxProperties))
    if (field.minProperties !== undefined && count < field.minProperties)
      errors.push(badValue(path, count, `${path} in body should have at least ${field.minProperties} properties`))
  }
  if (object !== undefined) {
    for (const key in object.fields) {
      const part = object.fields[key] as FieldSchema
      const given = own(value, key)
      if (given === undefined) {
        if (part.required === true) errors.push(required(below(key)))
      } else if (part.ref === undefined) check(part, given, below(key), errors, evaluate, own(before, key))
      if (errors.length >= MOST_FAULTS) return
    }
    for (const key of object.required ?? []) if (own(value, key) === undefined) errors.push(required(below(key)))
  }
  if (field.type === 'map' && items !== undefined)
    for (const key of Object.keys(value)) {
      check(items, value[key], below(key), errors, evaluate, own(before, key))
      if (errors.length >= MOST_FAULTS) return
    }
}

/** Each alternative is looked at once: they may hold alternatives themselves, and twice at every level is without end. */
const faultsOf = (field: FieldSchema, value: unknown, path: string): readonly FieldError[] => {
  const errors: FieldError[] = []
  check(field, value, path, errors, undefined, undefined)
  return errors
}

/** Upstream's validation gives these no place but in their words; what the first of several alternatives lacks is told as well. */
const conditionFaults = (field: FieldSchema, value: unknown, path: string, errors: FieldError[]): void => {
  const failed = (what: string): void => void errors.push(badValue('<nil>', '', `${JSON.stringify(path)} ${what}`))
  for (const one of field.allOf ?? []) check(one, value, path, errors, undefined, undefined)
  const { anyOf, oneOf } = field
  if (anyOf !== undefined) {
    const [first, ...others] = anyOf
    const faults = first === undefined ? [] : faultsOf(first, value, path)
    if ((first === undefined || faults.length > 0) && !others.some((one) => faultsOf(one, value, path).length === 0)) {
      failed('must validate at least one schema (anyOf)')
      errors.push(...faults)
    }
  }
  if (oneOf !== undefined) {
    const found = oneOf.map((one) => faultsOf(one, value, path))
    const count = found.filter(({ length }) => length === 0).length
    if (count !== 1)
      failed(`must validate one and only one schema (oneOf). ${count === 0 ? 'Found none valid' : `Found ${count} valid alternatives`}`)
    if (count === 0) errors.push(...(found[0] ?? []))
  }
  if (field.not !== undefined && faultsOf(field.not, value, path).length === 0) failed('must not validate the schema (not)')
}

/**
 * What is as it was is stored already: a definition that has become stricter must not keep its objects from changing in other
 * parts, least of all from losing a finalizer (KEP-4008). It is looked at only where there are faults, which is seldom.
 */
const check = (
  field: FieldSchema,
  value: unknown,
  path: string,
  errors: FieldError[],
  evaluate: Evaluate | undefined,
  old: unknown
): void => {
  const known = errors.length
  judge(field, value, path, errors, evaluate, old)
  if (errors.length > known && old !== undefined && same(value, old)) errors.length = known
}

const judge = (
  field: FieldSchema,
  value: unknown,
  path: string,
  errors: FieldError[],
  evaluate: Evaluate | undefined,
  old: unknown
): void => {
  if (value === null && field.nullable === true) return
  if (!fits(field.type, value)) {
    const word = TYPE_WORDS[field.type] ?? field.type
    errors.push({
      type: 'TypeInvalid',
      field: path === '' ? '<nil>' : path,
      value: jsonType(value),
      detail: `${path === '' ? '' : `${path} in body `}must be of type ${word}: ${JSON.stringify(jsonType(value))}`
    })
    return
  }
  if (field.enum !== undefined && !field.enum.some((one) => same(one, value)))
    errors.push(unsupported(path, value, field.enum as readonly string[]))
  if (typeof value === 'number') numberFaults(field, value, path, errors)
  else if (typeof value === 'string') textFaults(field, value, path, errors)
  else if (Array.isArray(value)) listFaults(field, value, path, errors, evaluate, old)
  else if (isObject(value)) objectFaults(field, value, path, errors, evaluate, old)
  conditionFaults(field, value, path, errors)
  if (evaluate === undefined || field.validations === undefined) return
  for (const rule of field.validations) {
    const message = evaluate(rule, value, old)
    if (message !== undefined) errors.push(ruleFault(rule, message, path, value))
  }
}

const REASONS: Readonly<Record<string, FieldError['type']>> = {
  FieldValueInvalid: 'Invalid',
  FieldValueForbidden: 'Forbidden',
  FieldValueRequired: 'Required',
  FieldValueDuplicate: 'Duplicate'
}

const ruleFault = ({ reason, fieldPath }: ValidationRule, message: string, path: string, value: unknown): FieldError => ({
  type: REASONS[reason ?? ''] ?? 'Invalid',
  field: `${path}${fieldPath ?? ''}`.replace(/^\./, ''),
  value: isObject(value) ? 'object' : Array.isArray(value) ? 'array' : value,
  detail: message
})

/**
 * Faults of a value; `old`: what it was before, for rules about the change, and because what has not changed is left in peace. Named
 * built-in types (ObjectMeta) are checked elsewhere.
 */
export const checkValue = (field: FieldSchema, value: unknown, path = '', evaluate?: Evaluate, old?: unknown): FieldError[] => {
  const errors: FieldError[] = []
  check(field, value, path, errors, evaluate, old)
  return errors
}
