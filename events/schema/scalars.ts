/** Reading of single JSON values as Go's decoder would: the wire forms of numbers, quantities, times and bytes. */
import { formatQuantity, parseQuantity, QUANTITY_MESSAGE } from '#events/meta/Quantity.ts'
import type { FieldSchema } from './Schema.ts'

/** What is wrong with a value: `mismatch` is put in its place among the struct fields, `text` stands alone. */
export type Fault = { readonly mismatch: string; readonly goType: string } | { readonly text: string }

/** A value's form after reading, or its fault. */
export class Bad {
  readonly fault: Fault
  constructor(fault: Fault) {
    this.fault = fault
  }
}

const local = (name: string): string => name.slice(name.lastIndexOf('.') + 1)
const packageName = (name: string): string => name.split('.').at(-2) ?? ''

/** `v1.PodSpec` of `io.k8s.api.core.v1.PodSpec`. */
export const goTypeName = (name: string): string => `${packageName(name)}.${local(name)}`

/** The Go type upstream names in its decoding errors; a named string type shows as `string`. */
export const goType = (field: FieldSchema): string => {
  switch (field.type) {
    case 'boolean':
      return 'bool'
    case 'integer':
      return field.format ?? 'int64'
    case 'number':
      return 'float64'
    case 'object':
      return goTypeName(field.ref ?? '')
    case 'array':
      return `[]${field.items === undefined ? 'interface {}' : goType(field.items)}`
    case 'map':
      return field.items?.type === 'quantity'
        ? 'v1.ResourceList'
        : `map[string]${field.items === undefined ? 'interface {}' : goType(field.items)}`
    case 'bytes':
      return '[]uint8'
    case 'int-or-string':
      return 'int32'
    default:
      return 'string'
  }
}

/** The JSON word Go uses: `string`, `number`, `bool`, `array`, `object`. */
export const jsonWord = (value: unknown): string => {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

export const mismatch = (value: unknown, type: string): Bad => new Bad({ mismatch: jsonWord(value), goType: type })

const limits: Readonly<Record<string, number>> = { int32: 2 ** 31, int64: 2 ** 63 }

const integer = (value: unknown, format: string): unknown => {
  if (typeof value !== 'number') return mismatch(value, format)
  const limit = limits[format] ?? 2 ** 63
  if (Number.isInteger(value) && value >= -limit && value < limit) return value
  return new Bad({ mismatch: `number ${value}`, goType: format })
}

const QUANTITY_SHAPE = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/

/** Canonical forms already worked out; the same few amounts come again and again. */
const canonical = new Map<string, string>()
const MOST_CANONICAL = 4096

/** A quantity may be written as a number; it is kept as a string in canonical form (`1000m` is `1`). */
const quantity = (value: unknown): unknown => {
  if (typeof value !== 'string' && typeof value !== 'number') return new Bad({ text: QUANTITY_MESSAGE })
  const text = typeof value === 'string' ? value.trim() : String(value).replace('e+', 'e')
  const known = canonical.get(text)
  if (known !== undefined) return known
  const parsed = parseQuantity(text)
  if (parsed === undefined) return new Bad({ text: QUANTITY_SHAPE.test(text) ? "unable to parse quantity's suffix" : QUANTITY_MESSAGE })
  const form = formatQuantity(parsed)
  if (canonical.size >= MOST_CANONICAL) canonical.clear()
  canonical.set(text, form)
  return form
}

const wholeSeconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const microSeconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const anyTime = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:Z|[+-]\d\d:\d\d)$/

/** RFC 3339 in, UTC out: whole seconds, or six decimals for a micro time. */
const time = (value: unknown, micro: boolean): unknown => {
  if (typeof value !== 'string') return mismatch(value, 'string')
  const parsed = anyTime.exec(value)
  const milliseconds = parsed === null ? NaN : Date.parse(value.replace(',', '.'))
  if (parsed === null || Number.isNaN(milliseconds)) {
    const layout = micro ? '2006-01-02T15:04:05.000000Z07:00' : '2006-01-02T15:04:05Z07:00'
    const shown = JSON.stringify(value.slice(0, 64))
    return new Bad({ text: `parsing time ${shown} as "${layout}": cannot parse ${shown} as "2006"` })
  }
  if (micro ? microSeconds.test(value) : wholeSeconds.test(value)) return value
  const seconds = new Date(milliseconds).toISOString().slice(0, 19)
  return micro ? `${seconds}.${(parsed[2] ?? '').slice(0, 6).padEnd(6, '0')}Z` : `${seconds}Z`
}

const base64Form = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Standard base64 with padding; line breaks are dropped. */
const bytes = (value: unknown): unknown => {
  if (typeof value !== 'string') return mismatch(value, '[]uint8')
  if (base64Form.test(value)) return value
  const joined = value.replace(/[\r\n]/g, '')
  if (base64Form.test(joined)) return joined
  const illegal = joined.search(/[^A-Za-z0-9+/]/)
  return new Bad({ text: `illegal base64 data at input byte ${illegal === -1 ? joined.length - (joined.length % 4) : illegal}` })
}

/** Reads one scalar: the value to keep, or {@link Bad}. */
export const scalar = (field: FieldSchema): ((value: unknown) => unknown) => {
  switch (field.type) {
    case 'string':
      return (value) => (typeof value === 'string' ? value : mismatch(value, 'string'))
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : mismatch(value, 'bool'))
    case 'integer': {
      const format = field.format ?? 'int64'
      return (value) => integer(value, format)
    }
    case 'number':
      return (value) => (typeof value === 'number' ? value : mismatch(value, 'float64'))
    case 'int-or-string':
      return (value) => (typeof value === 'string' ? value : integer(value, 'int32'))
    case 'quantity':
      return quantity
    case 'time':
      return (value) => time(value, field.format === 'date-time-micro')
    case 'bytes':
      return bytes
    default:
      return (value) => value
  }
}

/** What Go leaves in a list or map for a JSON null. */
export const zero = (field: FieldSchema | undefined): unknown => {
  switch (field?.type) {
    case 'string':
    case 'bytes':
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
    case 'map':
      return {}
    case 'array':
      return []
    default:
      return null
  }
}
