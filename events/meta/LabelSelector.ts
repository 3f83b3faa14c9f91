/** Selecting objects by their labels: the query string form, the LabelSelector object, and plain label maps. */
import { badRequest, fieldErrorBody, type FieldError } from '#events/Refusal.ts'
import { badValue, badValues, forbiddenField, required } from './faults.ts'
import { labelValue, qualifiedName } from './names.ts'

export type Operator = '=' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt'

export interface Requirement {
  readonly key: string
  readonly operator: Operator
  readonly values: readonly string[]
}

/** All requirements must hold; none means everything matches. */
export type Selector = readonly Requirement[]

export type Labels = Readonly<Record<string, string>>

export interface LabelSelector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

export const EVERYTHING: Selector = []
/** No object has a label with an empty key. */
export const NOTHING: Selector = [{ key: '', operator: 'in', values: [] }]

const holds = ({ key, operator, values }: Requirement, labels: Labels): boolean => {
  const value = labels[key]
  switch (operator) {
    case '=':
    case 'in':
      return value !== undefined && values.includes(value)
    case '!=':
    case 'notin':
      return value === undefined || !values.includes(value)
    case 'exists':
      return value !== undefined
    case '!':
      return value === undefined
    case 'gt':
    case 'lt': {
      if (value === undefined || !/^-?\d+$/.test(value)) return false
      const bound = BigInt(values[0] as string)
      return operator === 'gt' ? BigInt(value) > bound : BigInt(value) < bound
    }
  }
}

const NO_LABELS: Labels = {}

export const matches = (selector: Selector, labels: Labels | undefined): boolean => {
  for (const requirement of selector) if (!holds(requirement, labels ?? NO_LABELS)) return false
  return true
}

/** A plain map of labels, as Services and ReplicationControllers use; empty or absent selects nothing there. */
export const selectorOfMap = (map: Labels | undefined): Selector => {
  const entries = Object.entries(map ?? {})
  return entries.length === 0 ? NOTHING : entries.map(([key, value]) => ({ key, operator: '=', values: [value] }))
}

const OPERATORS: Readonly<Record<string, Operator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!', Gt: 'gt', Lt: 'lt' }

/** Selectors are parsed once per object, not once per label set they are held against. */
const parsed = new WeakMap<LabelSelector, Selector>()

/** Absent selects nothing, empty selects everything. */
export const selectorOf = (selector: LabelSelector | undefined): Selector => {
  if (selector === undefined || selector === null) return NOTHING
  let found = parsed.get(selector)
  if (found === undefined) {
    found = [
      ...Object.entries(selector.matchLabels ?? {}).map(([key, value]): Requirement => ({ key, operator: '=', values: [value] })),
      ...(selector.matchExpressions ?? []).map(({ key, operator, values }): Requirement => ({
        key,
        operator: OPERATORS[operator] ?? 'exists',
        values: values ?? []
      }))
    ]
    parsed.set(selector, found)
  }
  return found
}

export const matchesSelector = (selector: LabelSelector | undefined, labels: Labels | undefined): boolean =>
  matches(selectorOf(selector), labels)

const byKey = (a: Requirement, b: Requirement): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

/** The query string form, keys in order: `app=web,tier in (a,b)`. */
export const formatSelector = (selector: Selector): string =>
  [...selector]
    .sort(byKey)
    .map(({ key, operator, values }) => {
      switch (operator) {
        case '=':
        case '!=':
          return `${key}${operator}${values[0] ?? ''}`
        case 'in':
        case 'notin':
          return `${key} ${operator} (${[...values].sort().join(',')})`
        case 'exists':
          return key
        case '!':
          return `!${key}`
        case 'gt':
          return `${key}>${values[0]}`
        case 'lt':
          return `${key}<${values[0]}`
      }
    })
    .join(',')

/** As tables and the scale subresource show a LabelSelector. */
export const formatLabelSelector = (selector: LabelSelector | undefined): string => {
  if (selector === undefined || selector === null) return '<none>'
  const text = formatSelector(selectorOf(selector))
  return text === '' ? '<none>' : text
}

/** As tables show a map of labels: `a=b,c=d`, or `<none>`. */
export const formatLabels = (labels: Labels | undefined): string => {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`)
  return pairs.length === 0 ? '<none>' : pairs.sort().join(',')
}

export const validateLabels = (labels: Labels | undefined, field: string, errors: FieldError[]): void => {
  if (labels === undefined || labels === null) return
  for (const key in labels) {
    for (const message of qualifiedName(key)) errors.push(badValue(field, key, message))
    for (const message of labelValue(String(labels[key]))) errors.push(badValue(field, labels[key], message))
  }
}

export const validateLabelSelector = (selector: LabelSelector | undefined, field: string, errors: FieldError[]): void => {
  if (selector === undefined || selector === null) return
  validateLabels(selector.matchLabels, `${field}.matchLabels`, errors)
  selector.matchExpressions?.forEach(({ key, operator, values }, index) => {
    const path = `${field}.matchExpressions[${index}]`
    const count = values?.length ?? 0
    if (operator === 'In' || operator === 'NotIn') {
      if (count === 0) errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (count > 0) errors.push(forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    } else errors.push(badValue(`${path}.operator`, operator, 'not a valid selector operator'))
    errors.push(...badValues(`${path}.key`, key, qualifiedName(key ?? '')))
    values?.forEach((value, at) => errors.push(...badValues(`${path}.values[${at}]`, value, labelValue(value))))
  })
}

// ---- The query string form --------------------------------------------------------------------------------------

const TOKEN = /\s*(==|!=|=|!|\(|\)|,|>|<|[^\s=!(),<>]+|$)/y
const SYMBOLS = new Set(['==', '!=', '=', '!', '(', ')', ',', '>', '<', ''])
const BINARY: Readonly<Record<string, Operator>> = { in: 'in', notin: 'notin', '=': '=', '==': '=', '!=': '!=', '>': 'gt', '<': 'lt' }

const tokensOf = (text: string): string[] => {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  for (;;) {
    const token = TOKEN.exec(text)?.[1] ?? ''
    tokens.push(token)
    if (token === '') return tokens
  }
}

const wrong = (why: string): never => {
  throw badRequest(`unable to parse requirement: ${why}`)
}

const checked = (requirement: Requirement): Requirement => {
  const { key, operator, values } = requirement
  const fault = (field: string, error: FieldError): never => wrong(`${field}: ${fieldErrorBody(error)}`)
  for (const message of qualifiedName(key)) fault('key', badValue('key', key, message))
  if ((operator === 'in' || operator === 'notin') && values.length === 0)
    fault('values', badValue('values', [], "for 'in', 'notin' operators, values set can't be empty"))
  if ((operator === 'gt' || operator === 'lt') && !/^[+-]?\d+$/.test(values[0] ?? ''))
    fault('values[0]', badValue('values[0]', values[0], "for 'Gt', 'Lt' operators, the value must be an integer"))
  values.forEach((value, index) => {
    for (const message of labelValue(value)) fault(`values[${index}][${key}]`, badValue('', value, message))
  })
  return requirement
}

/** `a=b,c!=d,e in (x,y),!f,g`. Throws a 400 Refusal in upstream's words. */
export const parseSelector = (text: string): Selector => {
  const tokens = tokensOf(text)
  let at = 0
  const peek = (): string => tokens[at] ?? ''
  const next = (): string => tokens[at++] ?? ''
  const identifier = (token: string): boolean => !SYMBOLS.has(token)

  const valueSet = (): string[] => {
    const open = next()
    if (open !== '(') wrong(`found '${open}' expected: '('`)
    const values: string[] = []
    let expectValue = true
    for (;;) {
      const token = next()
      if (identifier(token)) {
        if (!expectValue) wrong(`found '${token}', expected: ',' or ')'`)
        values.push(token)
        expectValue = false
      } else if (token === ',') {
        if (expectValue) values.push('')
        expectValue = true
      } else if (token === ')') {
        if (expectValue) values.push('')
        return [...new Set(values)]
      } else wrong(`found '${token}', expected: ',', ')' or identifier`)
    }
  }
  const requirement = (): Requirement => {
    const negated = peek() === '!'
    if (negated) next()
    const key = next()
    if (!identifier(key)) wrong(`found '${key}', expected: identifier`)
    if (peek() === '' || peek() === ',') return { key, operator: negated ? '!' : 'exists', values: [] }
    const sign = next()
    const operator = Object.hasOwn(BINARY, sign)
      ? (BINARY[sign] as Operator)
      : wrong(`found '${sign}', expected: in, notin, =, ==, !=, gt, lt`)
    if (negated) wrong(`found '${sign}', expected: ',' or 'end of string'`)
    if (operator === 'in' || operator === 'notin') return { key, operator, values: valueSet() }
    if (peek() === '' || peek() === ',') return { key, operator, values: [''] }
    const value = next()
    if (!identifier(value)) wrong(`found '${value}', expected: identifier`)
    return { key, operator, values: [value] }
  }

  const requirements: Requirement[] = []
  if (peek() === '') return requirements
  for (;;) {
    if (peek() !== '!' && !identifier(peek())) throw badRequest(`found '${peek()}', expected: !, identifier, or 'end of string'`)
    requirements.push(checked(requirement()))
    const end = next()
    if (end === '') return requirements
    if (end !== ',') throw badRequest(`found '${end}', expected: ',' or 'end of string'`)
    if (peek() !== '!' && !identifier(peek())) throw badRequest(`found '${peek()}', expected: identifier after ','`)
  }
}
