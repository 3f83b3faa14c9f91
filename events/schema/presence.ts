/** Objects of built-in types as Go writes them: structs are there whether anything is in them or not, empty lists and texts are not. */
import { isObject } from '#events/meta/json.ts'
import type { FieldSchema, TypeSchema } from './Schema.ts'

type Json = Record<string, unknown>

/** What Go writes for a field that is always written and was not given. Of lists, maps and times that is null: nothing. */
export const zeroOf = (field: FieldSchema): unknown => {
  switch (field.type) {
    case 'string':
      return ''
    case 'integer':
    case 'number':
    case 'int-or-string':
      return 0
    case 'boolean':
      return false
    case 'quantity':
      return '0'
    case 'object':
      return emptyOf(field.object as TypeSchema)
    default:
      return null
  }
}

const empties = new WeakMap<TypeSchema, Json>()

/** An object of the type nobody has put anything into. Shared: not to be changed. */
export const emptyOf = (type: TypeSchema): Json => {
  let empty = empties.get(type)
  if (empty === undefined) {
    empty = {}
    for (const [name, field] of Object.entries(type.fields)) {
      if (field.presence === 'always') empty[name] = zeroOf(field)
      else if (field.presence === 'orNull') empty[name] = null
    }
    empties.set(type, empty)
  }
  return empty
}

export const isEmptyValue = (value: unknown): boolean =>
  value === '' ||
  value === 0 ||
  value === false ||
  (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0)
