/** Amounts of resources: `500m`, `1.5Gi`, `2e3`. Exact to a billionth, in the canonical form the API shows. */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

export interface Quantity {
  /** The amount in billionths (10⁻⁹), rounded away from zero. */
  readonly nano: bigint
  readonly format: QuantityFormat
}

export const QUANTITY_MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

const SHAPE = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/
const DECIMAL = new Map(Object.entries({ n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }))
const DECIMAL_SUFFIX = new Map([...DECIMAL].map(([suffix, exponent]) => [exponent, suffix]))
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const NANO = 1_000_000_000n

/** Undefined when the text is not a quantity. */
export const parseQuantity = (text: string | number): Quantity | undefined => {
  const match = SHAPE.exec(String(text))
  if (match === null) return undefined
  const [, sign, whole = '', fraction = '', suffix, exponentText] = match
  if (whole === '' && fraction === '') return undefined
  const exponent = exponentText === undefined ? 0 : Number(exponentText)
  // Far outside what a resource can be; refusing keeps the arithmetic bounded.
  if (Math.abs(exponent) > 30 || whole.length + fraction.length > 60) return undefined
  const binary = suffix !== undefined && suffix.endsWith('i')
  const power = binary || suffix === undefined ? exponent : (DECIMAL.get(suffix) as number)
  let digits = BigInt(whole + fraction)
  if (binary) digits *= 1024n ** BigInt(BINARY.indexOf(suffix) + 1)
  const shift = 9 + power - fraction.length
  let nano: bigint
  if (shift >= 0) nano = digits * 10n ** BigInt(shift)
  else {
    const divisor = 10n ** BigInt(-shift)
    nano = (digits + divisor - 1n) / divisor
  }
  return { nano: sign === '-' ? -nano : nano, format: binary ? 'BinarySI' : exponentText === undefined ? 'DecimalSI' : 'DecimalExponent' }
}

const decimal = (nano: bigint, exponentForm: boolean): string => {
  let mantissa = nano
  let exponent = -9
  while (mantissa % 1000n === 0n && exponent < 18) {
    mantissa /= 1000n
    exponent += 3
  }
  if (exponent === 0) return String(mantissa)
  return exponentForm ? `${mantissa}e${exponent}` : `${mantissa}${DECIMAL_SUFFIX.get(exponent)}`
}

/** Canonical: no fraction, the largest suffix that needs none. */
export const formatQuantity = ({ nano, format }: Quantity): string => {
  if (nano === 0n) return '0'
  const whole = nano % NANO === 0n
  const value = nano / NANO
  if (format !== 'BinarySI' || !whole || (value < 1024n && value > -1024n)) return decimal(nano, format === 'DecimalExponent')
  let mantissa = value
  let power = 0
  while (mantissa % 1024n === 0n && power < BINARY.length) {
    mantissa /= 1024n
    power++
  }
  // Without a suffix it reads as a decimal amount next time, so it is written as one: what is stored must not change when it is applied
  // again.
  return power === 0 ? decimal(nano, false) : `${mantissa}${BINARY[power - 1]}`
}

// The same few amounts are parsed again and again (every pod, every filter), so parsing them is a lookup.
const known = new Map<string, Quantity>()
const KNOWN_MAX = 4096

const quantity = (text: string | number | undefined): Quantity => {
  if (text === undefined) return { nano: 0n, format: 'DecimalSI' }
  const key = String(text)
  let found = known.get(key)
  if (found === undefined) {
    found = parseQuantity(key) ?? { nano: 0n, format: 'DecimalSI' }
    if (known.size >= KNOWN_MAX) known.clear()
    known.set(key, found)
  }
  return found
}

export const canonicalQuantity = (text: string | number): string => {
  const parsed = parseQuantity(text)
  return parsed === undefined ? String(text) : formatQuantity(parsed)
}

/** Negative, zero or positive, as for sorting. Text that is no quantity counts as 0. */
export const compareQuantities = (a: string | number | undefined, b: string | number | undefined): number => {
  const difference = quantity(a).nano - quantity(b).nano
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The sum, in the format of `a` (of `b` when `a` is absent or zero). */
export const addQuantities = (a: string | number | undefined, b: string | number | undefined): string => {
  const left = quantity(a)
  const right = quantity(b)
  return formatQuantity({ nano: left.nano + right.nano, format: left.nano === 0n ? right.format : left.format })
}

export const subtractQuantities = (a: string | number | undefined, b: string | number | undefined): string => {
  const left = quantity(a)
  const right = quantity(b)
  return formatQuantity({ nano: left.nano - right.nano, format: left.nano === 0n ? right.format : left.format })
}

const ceilDivide = (value: bigint, divisor: bigint): number => Number(value > 0n ? (value + divisor - 1n) / divisor : value / divisor)

/** In thousandths, rounded up: `milliValue('0.5')` is 500. How CPU is counted. */
export const milliValue = (text: string | number | undefined): number => ceilDivide(quantity(text).nano, 1_000_000n)

/** In whole units, rounded up: bytes, pods. */
export const wholeValue = (text: string | number | undefined): number => ceilDivide(quantity(text).nano, NANO)
