/** Values that are a number or a percentage: `maxSurge: 25%`. */
import type { FieldError } from '#events/Refusal.ts'
import { badValue } from './faults.ts'

export type IntOrString = number | string

const PERCENT = /^[0-9]+%$/

/** The percentage, or undefined for a plain number. */
export const percentOf = (value: IntOrString): number | undefined =>
  typeof value === 'string' && PERCENT.test(value) ? Number(value.slice(0, -1)) : undefined

/** The count a value means out of `total`; undefined when it is neither a number nor a percentage. */
export const scaledValue = (value: IntOrString, total: number, round: 'up' | 'down'): number | undefined => {
  if (typeof value === 'number') return value
  const percent = percentOf(value)
  if (percent === undefined) return undefined
  const exact = (percent * total) / 100
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact)
}

/** A count or percentage that is not negative, as upstream words it. */
export const checkCountOrPercent = (value: IntOrString | undefined, field: string, errors: FieldError[]): void => {
  if (value === undefined) return
  if (typeof value === 'number') {
    if (value < 0) errors.push(badValue(field, value, 'must be greater than or equal to 0'))
  } else if (!PERCENT.test(value))
    errors.push(
      badValue(
        field,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
      )
    )
}
