/** Why a document can't be applied: what its schema does not know, or knows otherwise (structured merge's own words). */
import { isObject } from '#events/meta/json.ts'
import type { FieldSchema } from '#events/schema/Schema.ts'
import { readable } from './fieldSet.ts'
import { fieldBelow, isNamed, itemFault, itemSegment, shapeFor, type Shape } from './shape.ts'

const MOST_FAULTS = 100
/** Characters of a value in a message. */
const LONGEST_SHOWN = 256

/** As Go prints a value with %v. */
export const printed = (value: unknown): string => {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(printed).join(' ')}]`
  if (!isObject(value)) return String(value)
  return `map[${Object.keys(value)
    .toSorted()
    .map((key) => `${key}:${printed(value[key])}`)
    .join(' ')}]`
}
const shown = (value: unknown): string => printed(value).slice(0, LONGEST_SHOWN)

const goTypeOf = (value: unknown): string => {
  if (Array.isArray(value)) return '[]interface {}'
  if (isObject(value)) return 'map[string]interface {}'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

const scalarFault = (field: FieldSchema, value: unknown): string | undefined => {
  const isScalar = typeof value !== 'object'
  switch (field.type) {
    case 'integer':
    case 'number':
      return typeof value === 'number' ? undefined : `expected numeric (int or float), got ${goTypeOf(value)}`
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got &{${shown(value)}}`
    case 'string':
      return typeof value === 'string' ? undefined : `expected string, got &{${shown(value)}}`
    case 'int-or-string':
    case 'quantity':
    case 'time':
    case 'bytes':
      return isScalar ? undefined : `expected any scalar, got &{${shown(value)}}`
    case 'array':
      return Array.isArray(value) ? undefined : `expected list, got &{${shown(value)}}`
    case 'object':
    case 'map':
      return isObject(value) ? undefined : `expected map, got &{${shown(value)}}`
    case 'any':
      return undefined
  }
}

const walk = (field: FieldSchema | undefined, value: unknown, path: string, faults: string[]): void => {
  if (field === undefined || value === null || value === undefined || faults.length >= MOST_FAULTS) return
  const fault = scalarFault(field, value)
  if (fault !== undefined) {
    faults.push(`${path}: ${fault}`)
    return
  }
  // What merges as a whole is judged by its parts all the same.
  if (Array.isArray(value)) walkList(field, shapeFor(field, value), value, path, faults)
  else if (field.object !== undefined) walkFields({ by: 'fields', type: field.object }, value as object, path, faults)
  else if (field.type === 'map') walkFields({ by: 'entries', items: field.items }, value as object, path, faults)
}

const walkList = (field: FieldSchema, shape: Shape, list: readonly unknown[], path: string, faults: string[]): void => {
  const seen = new Set<string>()
  for (const [at, item] of list.entries()) {
    if (shape.by === 'whole') {
      walk(field.items, item, `${path}[${at}]`, faults)
      continue
    }
    const fault = itemFault(shape, item)
    if (fault !== undefined) {
      // As upstream: what comes behind it is not looked at.
      faults.push(`${path}: element ${at}: ${fault}`)
      return
    }
    const segment = itemSegment(shape, item)
    if (seen.has(segment)) faults.push(`${path}: duplicate entries for key ${readable(segment)}`)
    seen.add(segment)
    walk(field.items, item, path + readable(segment), faults)
  }
}

const walkFields = (shape: Shape, value: object, path: string, faults: string[]): void => {
  for (const [key, part] of Object.entries(value)) {
    const field = fieldBelow(shape, key)
    if (field === undefined && shape.by === 'fields' && !isNamed(shape, key)) {
      faults.push(`${path}.${key}: field not declared in schema`)
      // As upstream: the first one that nobody knows ends the look at its siblings.
      return
    }
    walk(field, part, `${path}.${key}`, faults)
  }
}

/** Undefined when the document fits; several faults are a list, a line each. */
export const typedFaults = (shape: Shape, document: object): string | undefined => {
  const faults: string[] = []
  walkFields(shape, document, '', faults)
  if (faults.length === 0) return undefined
  return faults.length === 1 ? faults[0] : ['errors:', ...faults.map((fault) => `  ${fault}`)].join('\n')
}
