/** Short ways to write the field errors of validation, in the words of apimachinery's `field` package. */
import type { FieldError } from '#events/Refusal.ts'

export const required = (field: string, detail?: string): FieldError => ({
  type: 'Required',
  field,
  ...(detail === undefined ? {} : { detail })
})
export const badValue = (field: string, value: unknown, detail: string): FieldError => ({ type: 'Invalid', field, value, detail })
export const forbiddenField = (field: string, detail: string): FieldError => ({ type: 'Forbidden', field, detail })
export const duplicate = (field: string, value: unknown): FieldError => ({ type: 'Duplicate', field, value })
export const missing = (field: string, value: unknown): FieldError => ({ type: 'NotFound', field, value })
export const tooLong = (field: string, bytes: number): FieldError => ({
  type: 'TooLong',
  field,
  detail: `may not be more than ${bytes} bytes`
})
export const tooMany = (field: string, count: number, limit: number): FieldError => ({
  type: 'TooMany',
  field,
  value: count,
  detail: `must have at most ${limit} items`
})

/** `Unsupported value: "x": supported values: "A", "B"`; the supported ones are listed in order. */
export const unsupported = (field: string, value: unknown, supported: readonly string[]): FieldError => ({
  type: 'NotSupported',
  field,
  value,
  detail: `supported values: ${[...supported]
    .sort()
    .map((one) => JSON.stringify(one))
    .join(', ')}`
})

/** One Invalid per message. */
export const badValues = (field: string, value: unknown, messages: readonly string[]): FieldError[] =>
  messages.map((message) => badValue(field, value, message))

export const nonNegative = (value: number | undefined, field: string, errors: FieldError[]): void => {
  if (value !== undefined && value < 0) errors.push(badValue(field, value, 'must be greater than or equal to 0'))
}

/** Required when absent or empty, else one of `supported`. */
export const oneOf = (value: string | undefined, field: string, supported: readonly string[], errors: FieldError[]): void => {
  if (value === undefined || value === '') errors.push(required(field))
  else if (!supported.includes(value)) errors.push(unsupported(field, value, supported))
}

export const immutable = (value: unknown, old: unknown, field: string, errors: FieldError[]): void => {
  if (!same(withoutEmpty(value), withoutEmpty(old))) errors.push(badValue(field, value, 'field is immutable'))
}

/** Upstream can't tell an empty list or map from none at all. */
const withoutEmpty = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(withoutEmpty)
  const kept = Object.entries(value)
    .map(([key, part]) => [key, withoutEmpty(part)] as const)
    .filter(([, part]) => part !== undefined)
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** Equal as JSON: key order does not matter; an absent field equals an undefined one. */
export const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!same(a[index], b[index])) return false
    return true
  }
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  for (const key in left) if (!same(left[key], right[key])) return false
  for (const key in right) if (right[key] !== undefined && left[key] === undefined) return false
  return true
}
