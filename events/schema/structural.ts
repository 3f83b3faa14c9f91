/**
 * From the `openAPIV3Schema` of a CustomResourceDefinition to our schema, and what is wrong with one that is not structural
 * (every value has a type, conditions add no fields: upstream's "structural schemas").
 */
import { RE2JS, RE2JSException } from 're2js'
import type { FieldError } from '#events/Refusal.ts'
import { badValue, forbiddenField, required, unsupported } from '#events/meta/faults.ts'
import { isObject, put } from '#events/meta/json.ts'
import { DEDUCED, typeNamed, type FieldSchema, type TypeSchema, type ValidationRule } from './Schema.ts'

/** A JSON schema as a definition has it: `JSONSchemaProps`. */
export interface JsonSchema {
  readonly [word: string]: unknown
  readonly type?: string
  readonly format?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly required?: readonly string[]
}

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const STRING: FieldSchema = { type: 'string' }

/** Words that are the same in both, in the order they are rendered in. */
export const RULES = [
  'title',
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'nullable',
  'default',
  'example',
  'externalDocs'
] as const
const CONDITIONS = ['allOf', 'anyOf', 'oneOf'] as const

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

const typeOf = (schema: JsonSchema): FieldSchema['type'] => {
  if (schema['x-kubernetes-int-or-string'] === true) return 'int-or-string'
  switch (schema.type) {
    case 'string':
    case 'integer':
    case 'number':
    case 'boolean':
    case 'array':
      return schema.type
    case 'object':
      return schema.additionalProperties !== undefined && schema.additionalProperties !== false ? 'map' : 'object'
    default:
      return 'any'
  }
}

const typeSchema = (schema: JsonSchema, name: string): TypeSchema => {
  const fields: Record<string, FieldSchema> = {}
  const needed = new Set(schema.required)
  for (const [key, property] of Object.entries(schema.properties ?? {}))
    put(fields, key, fieldOfJson(property, `${name}.${key}`, needed.has(key)))
  if (schema['x-kubernetes-embedded-resource'] === true) embed(fields)
  const others = (schema.required ?? []).filter((key) => !Object.hasOwn(fields, key))
  return {
    name,
    fields,
    ...(schema['x-kubernetes-preserve-unknown-fields'] === true ? { unknown: DEDUCED } : {}),
    ...(others.length === 0 ? {} : { required: others }),
    ...(schema['x-kubernetes-map-type'] === 'atomic' ? { mapType: 'atomic' } : {})
  }
}

/** What every object has, whatever a definition says of it. */
const embed = (fields: Record<string, FieldSchema>): void => {
  fields['apiVersion'] ??= STRING
  fields['kind'] ??= STRING
  const metadata = { ...fields['metadata'], type: 'object', ref: OBJECT_META } as const
  fields['metadata'] = Object.defineProperty(metadata, 'object', { value: typeNamed(OBJECT_META), configurable: true })
}

/** `name`: where it stands, for messages. */
export const fieldOfJson = (schema: JsonSchema, name: string, isRequired = false): FieldSchema => {
  const type = typeOf(schema)
  const field: Writable<FieldSchema> = { type }
  if (isRequired) field.required = true
  if (schema.format !== undefined) field.format = schema.format
  if (schema.description !== undefined) field.description = schema.description
  for (const word of RULES) if (schema[word] !== undefined) (field as Record<string, unknown>)[word] = schema[word]
  for (const word of CONDITIONS)
    if (schema[word] !== undefined) field[word] = (schema[word] as readonly JsonSchema[]).map((one) => fieldOfJson(one, name))
  if (schema['not'] !== undefined) field.not = fieldOfJson(schema['not'] as JsonSchema, name)
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) field.preserveUnknown = true
  if (schema['x-kubernetes-embedded-resource'] === true) field.embedded = true
  if (schema['x-kubernetes-validations'] !== undefined) field.validations = schema['x-kubernetes-validations'] as readonly ValidationRule[]
  if (schema['x-kubernetes-list-type'] !== undefined)
    field.listType = schema['x-kubernetes-list-type'] as NonNullable<FieldSchema['listType']>
  if (schema['x-kubernetes-list-map-keys'] !== undefined) field.listMapKeys = schema['x-kubernetes-list-map-keys'] as readonly string[]
  if (schema['x-kubernetes-map-type'] !== undefined) field.mapType = schema['x-kubernetes-map-type'] as 'atomic' | 'granular'
  if (isObject(schema.items)) field.items = fieldOfJson(schema.items, name)
  if (type === 'map')
    field.items = schema.additionalProperties === true ? DEDUCED : fieldOfJson(schema.additionalProperties as JsonSchema, name)
  // A condition has no type of its own, and fields all the same.
  if (type === 'object' || schema.properties !== undefined || schema.required !== undefined) field.object = typeSchema(schema, name)
  return field
}

/** The field a whole custom object is: of the version's schema, with apiVersion, kind and metadata. */
export const rootOfJson = (schema: JsonSchema | undefined, name: string): FieldSchema => {
  const root = fieldOfJson({ ...(schema ?? { 'x-kubernetes-preserve-unknown-fields': true }), type: 'object' }, name)
  const fields = { ...root.object?.fields }
  embed(fields)
  return { ...root, object: { ...(root.object as TypeSchema), fields } }
}

const NOT_IN_CONDITIONS = [
  'description',
  'type',
  'default',
  'additionalProperties',
  'nullable',
  'title',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations'
]
const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string']
const UNSUPPORTED: Readonly<Record<string, string>> = {
  definitions: 'definitions is not supported',
  dependencies: 'dependencies is not supported',
  id: 'id is not supported',
  patternProperties: 'patternProperties is not supported',
  $ref: '$ref is not supported',
  $schema: '$schema is not supported',
  additionalItems: 'additionalItems is not supported'
}

/** `int-or-string` may say of itself what it is, in one of these two ways. */
const isIntOrString = (conditions: unknown): boolean => {
  const types = Array.isArray(conditions) ? (conditions as readonly JsonSchema[]).map((one) => one.type) : []
  return types.length === 2 && types.includes('integer') && types.includes('string')
}

/** Faults of a schema at `path`; `root`: of a whole object. */
export const structuralFaults = (schema: JsonSchema, path: string, root = true): FieldError[] => {
  const errors: FieldError[] = []
  visit(schema, path, root, errors)
  return errors
}

const visit = (schema: JsonSchema, path: string, root: boolean, errors: FieldError[]): void => {
  for (const [word, why] of Object.entries(UNSUPPORTED)) if (schema[word] !== undefined) errors.push(forbiddenField(`${path}.${word}`, why))
  const intOrString = schema['x-kubernetes-int-or-string'] === true
  const preserves = schema['x-kubernetes-preserve-unknown-fields'] === true
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    errors.push(badValue(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'))
  if (root && schema.type !== 'object')
    errors.push(
      schema.type === undefined || schema.type === ''
        ? required(`${path}.type`, 'must not be empty at the root')
        : badValue(`${path}.type`, schema.type, 'must be object at the root')
    )
  if (schema.type === undefined || schema.type === '') {
    if (!intOrString && !preserves && !root) errors.push(required(`${path}.type`, 'must not be empty for specified object fields'))
  } else if (!TYPES.includes(schema.type)) errors.push(unsupported(`${path}.type`, schema.type, TYPES))
  else if (intOrString) errors.push(badValue(`${path}.type`, schema.type, 'must be empty if x-kubernetes-int-or-string is true'))
  if (schema.type === 'array' && schema.items === undefined) errors.push(required(`${path}.items`, 'must be specified'))
  if (schema['x-kubernetes-embedded-resource'] === true && schema.type !== 'object')
    errors.push(badValue(`${path}.type`, schema.type ?? '', 'must be object if x-kubernetes-embedded-resource is true'))
  if (schema['x-kubernetes-embedded-resource'] === true && !preserves && schema.properties === undefined)
    errors.push(
      required(
        `${path}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'
      )
    )
  if (schema.properties !== undefined && schema.additionalProperties !== undefined)
    errors.push(forbiddenField(`${path}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'))
  if (schema.additionalProperties === false)
    errors.push(forbiddenField(`${path}.additionalProperties`, 'additionalProperties cannot be set to false'))
  if (schema['uniqueItems'] === true)
    errors.push(forbiddenField(`${path}.uniqueItems`, 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'))
  listFaults(schema, path, errors)
  if (typeof schema['pattern'] === 'string' && patternOf(schema['pattern']) === undefined)
    errors.push(badValue(`${path}.pattern`, schema['pattern'], "must be a valid regular expression, but isn't: error parsing regexp"))
  for (const word of CONDITIONS) {
    if (
      intOrString &&
      (word === 'anyOf' || word === 'allOf') &&
      (isIntOrString(schema[word]) || isIntOrString((schema[word] as readonly JsonSchema[] | undefined)?.[0]?.['anyOf']))
    )
      continue
    ;(schema[word] as readonly JsonSchema[] | undefined)?.forEach((one, at) => condition(one, schema, `${path}.${word}[${at}]`, errors))
  }
  if (schema['not'] !== undefined) condition(schema['not'] as JsonSchema, schema, `${path}.not`, errors)
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (root && key === 'metadata') metadataFaults(property, `${path}.properties[metadata]`, errors)
    visit(property, `${path}.properties[${key}]`, false, errors)
  }
  if (isObject(schema.items)) visit(schema.items, `${path}.items`, false, errors)
  else if (schema.items !== undefined) errors.push(forbiddenField(`${path}.items`, 'items must be a schema object and not an array'))
  if (![undefined, true, false].includes(schema.additionalProperties as boolean) && !isObject(schema.additionalProperties))
    errors.push(badValue(`${path}.additionalProperties`, schema.additionalProperties, 'must be a schema or a boolean'))
  if (isObject(schema.additionalProperties)) visit(schema.additionalProperties, `${path}.additionalProperties`, false, errors)
}

const metadataFaults = (metadata: JsonSchema, path: string, errors: FieldError[]): void => {
  if (metadata.type !== undefined && metadata.type !== 'object') errors.push(badValue(`${path}.type`, metadata.type, 'must be object'))
  for (const key of Object.keys(metadata.properties ?? {}))
    if (key !== 'name' && key !== 'generateName')
      errors.push(forbiddenField(path, 'must not specify anything other than name and generateName, but metadata is implicitly specified'))
}

const LIST_TYPES = ['atomic', 'map', 'set']

const listFaults = (schema: JsonSchema, path: string, errors: FieldError[]): void => {
  const listType = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys'] as readonly string[] | undefined
  const mapType = schema['x-kubernetes-map-type']
  if (listType !== undefined) {
    if (!LIST_TYPES.includes(listType as string)) errors.push(unsupported(`${path}.x-kubernetes-list-type`, listType, LIST_TYPES))
    if (schema.type !== 'array')
      errors.push(badValue(`${path}.type`, schema.type ?? '', 'must be array if x-kubernetes-list-type is specified'))
  }
  if (keys !== undefined && listType !== 'map')
    errors.push(badValue(`${path}.x-kubernetes-list-type`, listType ?? '', 'must be map if x-kubernetes-list-map-keys is non-empty'))
  if (mapType !== undefined && mapType !== 'atomic' && mapType !== 'granular')
    errors.push(unsupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']))
  if (mapType !== undefined && schema.type !== 'object')
    errors.push(badValue(`${path}.type`, schema.type ?? '', 'must be object if x-kubernetes-map-type is specified'))
  if (listType !== 'map') return
  if (keys === undefined || keys.length === 0)
    errors.push(required(`${path}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'))
  if (isObject(schema.items) && schema.items.type !== 'object')
    errors.push(badValue(`${path}.items.type`, schema.items.type ?? '', "must be object if parent array's x-kubernetes-list-type is map"))
  keys?.forEach((key, at) => {
    const property = schema.items?.properties?.[key]
    if (property === undefined)
      errors.push(badValue(`${path}.x-kubernetes-list-map-keys[${at}]`, key, `entries must all be names of item properties`))
    else if (schema.items?.required?.includes(key) !== true && property['default'] === undefined)
      errors.push(
        required(
          `${path}.items.properties[${key}].default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'
        )
      )
  })
}

/** A condition only narrows what the fields say: it adds none, and gives no types. */
const condition = (schema: JsonSchema, whole: JsonSchema | undefined, path: string, errors: FieldError[]): void => {
  for (const word of NOT_IN_CONDITIONS)
    if (schema[word] !== undefined) errors.push(forbiddenField(`${path}.${word}`, 'must be empty to be structural'))
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const described = whole?.properties?.[key]
    if (described === undefined && key !== 'metadata') {
      const owner = path.replace(/\.(allOf|anyOf|oneOf)\[\d+\].*$|\.not.*$/, '')
      errors.push(required(`${owner}.properties[${key}]`, `because it is defined in ${path}.properties[${key}]`))
    }
    condition(property, described, `${path}.properties[${key}]`, errors)
  }
  if (isObject(schema.items)) condition(schema.items, whole?.items, `${path}.items`, errors)
  for (const word of CONDITIONS)
    (schema[word] as readonly JsonSchema[] | undefined)?.forEach((one, at) => condition(one, whole, `${path}.${word}[${at}]`, errors))
  if (schema['not'] !== undefined) condition(schema['not'] as JsonSchema, whole, `${path}.not`, errors)
}

/** What a pattern is asked. */
export interface Pattern {
  /** Whether it is found anywhere in the text. */
  test(text: string): boolean
}

const patterns = new Map<string, Pattern | undefined>()
const MOST_PATTERNS = 4096

/**
 * A pattern in RE2's words; undefined when it is none. Whoever may make an object chooses the text, and RE2 takes time in
 * proportion to it: JavaScript's own expressions would be faster on most, and stand still on some for as long as one likes.
 */
export const patternOf = (pattern: string): Pattern | undefined => {
  if (patterns.has(pattern)) return patterns.get(pattern)
  let made: Pattern | undefined
  try {
    made = RE2JS.compile(pattern)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
  }
  if (patterns.size >= MOST_PATTERNS) patterns.clear()
  patterns.set(pattern, made)
  return made
}
