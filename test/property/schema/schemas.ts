/** Structural schemas and values that are nearly what they ask for, by chance; and what a schema means, said once more and simply. */
import { isIPv4 } from 'node:net'
import fc from 'fast-check'
import { isObject } from '#events/meta/json.ts'
import type { JsonSchema } from '#events/schema/structural.ts'

/** Names as people choose them, and as only attackers do. */
export const NAMES = [
  'a',
  'b',
  'spec',
  'length',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'a.b',
  'a[0]',
  '',
  'ключ',
  '\ud83d'
] as const
const name = fc.constantFrom(...NAMES)

/** Numbers JSON can say, at the edges of what machines hold. */
const NUMBERS = [0, -0, 1, -1, 2, 3, 0.5, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 2 ** 63, 1e21, 1e308, -1e308, 5e-324]
const TEXTS = ['', 'a', 'ab', 'abc', 'b', '7', '10.0.0.1', '::1', '😀', '😀a', '\ud83d', '\udc00x', 'a\u0000b', '__proto__', 'x'.repeat(40)]
const number = fc.oneof(fc.constantFrom(...NUMBERS), fc.integer({ min: -5, max: 5 }))
const text = fc.oneof(fc.constantFrom(...TEXTS), fc.string({ maxLength: 5, unit: 'binary' }))

/** RE2 and JavaScript read them alike. */
const PATTERNS = ['^a', 'b$', '[0-9]', '^[a-z]*$', 'a.c', '^$']

/** Own properties, whatever they are called. */
const object = <Value>(entries: readonly (readonly [string, Value])[]): Record<string, Value> => Object.fromEntries(entries)

/** Any JSON, small, with hostile names. */
export const json: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), number, text),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(name, tie('value')), { maxLength: 3 }).map(object)
  )
})).value

export interface Wanted {
  /** allOf, anyOf, oneOf and not. */
  readonly conditions: boolean
}

const optional = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 })

/** Without the words that are undefined. */
const said = (words: Record<string, unknown>): JsonSchema =>
  object(Object.entries(words).filter(([, value]) => value !== undefined)) as JsonSchema

const count = fc.nat({ max: 3 })
const nullable = optional(fc.constant(true))

const numberRules = {
  minimum: optional(fc.integer({ min: -3, max: 3 })),
  maximum: optional(fc.integer({ min: -3, max: 3 })),
  exclusiveMinimum: optional(fc.boolean()),
  exclusiveMaximum: optional(fc.boolean()),
  multipleOf: optional(fc.constantFrom(1, 2, 0.5))
}
const textRules = { minLength: optional(count), maxLength: optional(count), pattern: optional(fc.constantFrom(...PATTERNS)) }

const scalars = (): fc.Arbitrary<JsonSchema>[] => [
  fc
    .record({ type: fc.constant('string'), nullable, ...textRules, enum: optional(fc.array(text, { minLength: 1, maxLength: 3 })) })
    .map(said),
  fc.record({ type: fc.constant('string'), format: fc.constantFrom('ipv4', 'nobody-knows-it') }).map(said),
  fc
    .record({ type: fc.constantFrom('integer', 'number'), nullable, ...numberRules, enum: optional(fc.array(number, { minLength: 1 })) })
    .map(said),
  fc.record({ type: fc.constant('boolean'), nullable }).map(said),
  fc.constant(said({ 'x-kubernetes-int-or-string': true }))
]

const conditionOn = (properties: readonly string[]): fc.Arbitrary<JsonSchema> =>
  fc.oneof(
    fc.record(numberRules).map(said),
    fc.record(textRules).map(said),
    fc.record({ required: fc.subarray([...properties]), minItems: optional(count) }).map(said)
  )

/** Conditions on a schema with these properties. */
const withConditions = (schema: JsonSchema, { conditions }: Wanted): fc.Arbitrary<JsonSchema> => {
  if (!conditions) return fc.constant(schema)
  const one = conditionOn(Object.keys(schema.properties ?? {}))
  const some = optional(fc.array(one, { minLength: 1, maxLength: 3 }))
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(schema) },
    {
      weight: 1,
      arbitrary: fc.record({ allOf: some, anyOf: some, oneOf: some, not: optional(one) }).map((words) => ({ ...schema, ...said(words) }))
    }
  )
}

const withDefault = (schema: JsonSchema): fc.Arbitrary<JsonSchema> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(schema) },
    {
      weight: 1,
      arbitrary: valueOf(schema, 0).map((value) => (value === null || !isValid(schema, value) ? schema : { ...schema, default: value }))
    }
  )

const objects = (depth: number, wanted: Wanted): fc.Arbitrary<JsonSchema> =>
  fc
    .uniqueArray(fc.tuple(name, schemaOf(depth - 1, wanted).chain(withDefault)), { maxLength: 4, selector: ([key]) => key })
    .chain((properties) =>
      fc
        .record({
          type: fc.constant('object'),
          nullable,
          properties: fc.constant(properties.length === 0 ? undefined : object(properties)),
          required: fc.subarray(properties.map(([key]) => key)).map((keys) => (keys.length === 0 ? undefined : keys)),
          'x-kubernetes-preserve-unknown-fields': optional(fc.constant(true))
        })
        .map(said)
    )

const lists = (depth: number, wanted: Wanted): fc.Arbitrary<JsonSchema>[] => [
  fc
    .record({
      type: fc.constant('array'),
      nullable,
      items: schemaOf(depth - 1, wanted),
      minItems: optional(count),
      maxItems: optional(count)
    })
    .map(said),
  fc
    .record({
      type: fc.constant('array'),
      items: fc.oneof(...scalars(), fc.constant(ATOMIC)),
      'x-kubernetes-list-type': fc.constant('set')
    })
    .map(said),
  fc.constantFrom(...NAMES).map((key) =>
    said({
      type: 'array',
      items: { type: 'object', required: [key], properties: object([[key, { type: 'string' }]]) },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': [key]
    })
  )
]

/** An object that is one value, whatever it holds. */
const ATOMIC: JsonSchema = { type: 'object', 'x-kubernetes-map-type': 'atomic', 'x-kubernetes-preserve-unknown-fields': true }

/** A structural schema. Not asked is what pruning turns from good to bad: how many fields there are besides the described ones. */
export const schemaOf = (depth: number, wanted: Wanted): fc.Arbitrary<JsonSchema> =>
  (depth <= 0
    ? fc.oneof(...scalars())
    : fc.oneof(
        ...scalars(),
        { weight: 4, arbitrary: objects(depth, wanted) },
        ...lists(depth, wanted),
        fc
          .record({
            type: fc.constant('object'),
            additionalProperties: fc.oneof(fc.constant(true), schemaOf(depth - 1, wanted)),
            minProperties: optional(count),
            maxProperties: optional(count)
          })
          .map(said),
        fc.constant(said({ 'x-kubernetes-preserve-unknown-fields': true }))
      )
  ).chain((schema) => withConditions(schema, wanted))

/** Nearly what the schema asks for; `noise`: of a hundred values, as many are something else. */
export const valueOf = (schema: JsonSchema, noise: number): fc.Arbitrary<unknown> =>
  noise === 0
    ? exactly(schema, 0)
    : fc.oneof({ weight: 100 - noise, arbitrary: exactly(schema, noise) }, { weight: noise, arbitrary: json })

const exactly = (schema: JsonSchema, noise: number): fc.Arbitrary<unknown> => {
  const { properties = {}, items = {}, additionalProperties } = schema
  const given = schema['enum'] as readonly unknown[] | undefined
  if (given !== undefined) return fc.constantFrom(...given)
  if (schema['x-kubernetes-int-or-string'] === true) return fc.oneof(text, fc.integer())
  switch (schema.type) {
    case 'string':
      return text
    case 'integer':
      return number.map((value) => Math.trunc(value))
    case 'number':
      return number
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc
        .tuple(fc.array(valueOf(items, noise), { maxLength: 3 }), fc.nat({ max: 3 }))
        .map(([list, one]) => (one === 0 && list.length > 0 ? [...list, reversed(list[0])] : list))
    case 'object': {
      if (additionalProperties !== undefined)
        return fc
          .array(fc.tuple(name, isObject(additionalProperties) ? valueOf(additionalProperties, noise) : json), { maxLength: 3 })
          .map(object)
      const parts = Object.entries(properties).map(([key, part]) =>
        fc.tuple(
          fc.constant(key),
          fc.option(valueOf(part, noise), { nil: undefined, freq: schema.required?.includes(key) === true ? 20 : 2 })
        )
      )
      const unknown = noise === 0 ? fc.constant([]) : fc.array(fc.tuple(name, json), { maxLength: 1 })
      return fc
        .tuple(fc.tuple(...parts), unknown)
        .map(([described, others]) => object([...others, ...described].filter(([, value]) => value !== undefined)))
    }
    default:
      return json
  }
}

/** The same in other words. */
const reversed = (value: unknown): unknown => (isObject(value) ? object(Object.entries(value).reverse()) : value)

/** Alike to whoever reads them as JSON. */
export const alike = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => alike(item, b[at]))
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a)
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && alike(a[key], b[key]))
  }
  return a === b
}

const isOfType = (schema: JsonSchema, value: unknown): boolean => {
  if (schema['x-kubernetes-int-or-string'] === true) return typeof value === 'string' || Number.isInteger(value)
  switch (schema.type) {
    case 'string':
      return typeof value === 'string'
    case 'integer':
      return typeof value === 'number' && value % 1 === 0
    case 'number':
      return typeof value === 'number'
    case 'boolean':
      return value === true || value === false
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    default:
      return true
  }
}

const isDistinct = (values: readonly unknown[]): boolean =>
  values.every((value, at) => !values.slice(0, at).some((other) => alike(value, other)))

const part = (value: unknown, key: string): unknown => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined)

/** Whether a value is valid, word by word of the schema: OpenAPI v3 with Kubernetes' own. */
export const isValid = (schema: JsonSchema, value: unknown): boolean => {
  if (value === null && schema['nullable'] === true) return true
  if (!isOfType(schema, value)) return false
  const rules = schema as Readonly<Record<string, number>>
  const given = (word: string): boolean => rules[word] !== undefined
  if (given('enum') && !(schema['enum'] as readonly unknown[]).some((one) => alike(one, value))) return false
  if (typeof value === 'number') {
    if (given('minimum') && !(schema['exclusiveMinimum'] === true ? value > rules['minimum']! : value >= rules['minimum']!)) return false
    if (given('maximum') && !(schema['exclusiveMaximum'] === true ? value < rules['maximum']! : value <= rules['maximum']!)) return false
    if (given('multipleOf') && !Number.isInteger(value / rules['multipleOf']!)) return false
  }
  if (typeof value === 'string') {
    const length = [...value].length
    if (given('minLength') && length < rules['minLength']!) return false
    if (given('maxLength') && length > rules['maxLength']!) return false
    if (given('pattern') && !new RegExp(String(schema['pattern']), 'u').test(value)) return false
    if (schema.type === 'string' && schema.format === 'ipv4' && !isIPv4(value)) return false
  }
  if (Array.isArray(value)) {
    if (given('minItems') && value.length < rules['minItems']!) return false
    if (given('maxItems') && value.length > rules['maxItems']!) return false
    if (schema.items !== undefined && !value.every((item) => isValid(schema.items as JsonSchema, item))) return false
    if (schema['x-kubernetes-list-type'] === 'set' && !isDistinct(value)) return false
    const keys = schema['x-kubernetes-list-map-keys'] as readonly string[] | undefined
    if (keys !== undefined && !isDistinct(value.map((item) => keys.map((key) => part(item, key))))) return false
  }
  if (isObject(value)) {
    const size = Object.keys(value).length
    if (given('minProperties') && size < rules['minProperties']!) return false
    if (given('maxProperties') && size > rules['maxProperties']!) return false
    for (const key of schema.required ?? []) if (!Object.hasOwn(value, key)) return false
    for (const [key, described] of Object.entries(schema.properties ?? {}))
      if (Object.hasOwn(value, key) && !isValid(described, value[key])) return false
    const others = schema.additionalProperties
    if (isObject(others) && !Object.values(value).every((item) => isValid(others, item))) return false
  }
  const holds = (one: JsonSchema): boolean => isValid(one, value)
  const { allOf, anyOf, oneOf, not } = schema as Record<'allOf' | 'anyOf' | 'oneOf', readonly JsonSchema[] | undefined> & {
    not?: JsonSchema
  }
  return (
    (allOf?.every(holds) ?? true) &&
    (anyOf?.some(holds) ?? true) &&
    (oneOf === undefined || oneOf.filter(holds).length === 1) &&
    !(not !== undefined && holds(not))
  )
}

/** What a schema keeps of a value: what it describes, and all below where it keeps what it does not. */
export const keptOf = (schema: JsonSchema | undefined, value: unknown): unknown => {
  if (schema === undefined) return value
  if (Array.isArray(value)) return value.map((item) => keptOf(schema.items, item))
  if (!isObject(value)) return value
  const { properties = {}, additionalProperties: others } = schema
  const keepsAll = schema['x-kubernetes-preserve-unknown-fields'] === true || others === true
  return object(
    Object.entries(value).flatMap(([key, item]) =>
      Object.hasOwn(properties, key)
        ? [[key, keptOf(properties[key], item)] as const]
        : isObject(others)
          ? [[key, keptOf(others, item)] as const]
          : keepsAll
            ? [[key, item] as const]
            : []
    )
  )
}

/** The texts of all places in a value, as errors name them; of objects also the places of names that are not there. */
export const placesOf = (value: unknown, absent: readonly string[], path = ''): string[] => {
  if (Array.isArray(value)) return [path, ...value.flatMap((item, at) => placesOf(item, absent, `${path}[${at}]`))]
  if (!isObject(value)) return [path]
  const below = (key: string): string => (path === '' ? key : `${path}.${key}`)
  return [path, ...absent.map(below), ...Object.entries(value).flatMap(([key, item]) => placesOf(item, absent, below(key)))]
}

/** Null where a field is described and may not be null: it counts as left out. */
export const saysNull = (schema: JsonSchema, value: unknown): boolean => {
  const { items, properties = {}, additionalProperties: others } = schema
  if (Array.isArray(value)) return items !== undefined && value.some((item) => saysNull(items, item))
  if (!isObject(value)) return false
  const isNull = (described: JsonSchema, item: unknown): boolean =>
    (item === null && described['nullable'] !== true) || saysNull(described, item)
  if (isObject(others)) return Object.values(value).some((item) => saysNull(others, item))
  return Object.entries(properties).some(([key, described]) => Object.hasOwn(value, key) && isNull(described, value[key]))
}
