/** Renders type schemas as OpenAPI component schemas (v3) or definitions (v2), with the x-kubernetes facts clients read. */
import { RULES } from '#events/schema/structural.ts'
import { typeNamed, typeOfKind, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import type { DiscoveryKind } from '#services/apiserver/discovery/documents.ts'

export type Json = Record<string, unknown>

/** A kind to document: a built-in one, or one that brings its own schema (a custom resource's). */
export interface OpenApiKind extends DiscoveryKind {
  readonly listKind?: string
  readonly schema?: FieldSchema
}

/** Where schemas live, and whether a `$ref` may have siblings, differs between the two generations of OpenAPI. */
export type Dialect = 'v2' | 'v3'

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity'
const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'
const RAW_EXTENSION = 'io.k8s.apimachinery.pkg.runtime.RawExtension'

/** Types JSON writes as one value; clients show their names (`<Quantity>`), so they stay named. */
const valueType = (name: string, dialect: Dialect): Json | undefined => {
  switch (name) {
    case QUANTITY:
      return {
        description:
          'A fixed-point number with an optional suffix: decimal (n, u, m, k, M, G, T, P, E), binary (Ki, Mi, Gi, Ti, Pi, Ei) or an exponent.',
        ...(dialect === 'v3' ? { oneOf: [{ type: 'string' }, { type: 'number' }] } : { type: 'string' })
      }
    case INT_OR_STRING:
      return {
        description: 'An integer, or a string such as a port name or a percentage.',
        format: 'int-or-string',
        ...(dialect === 'v3' ? { oneOf: [{ type: 'integer' }, { type: 'string' }] } : { type: 'string' })
      }
    case `${META}.Time`:
      return { description: 'A moment in RFC 3339 form, to the second.', type: 'string', format: 'date-time' }
    case `${META}.MicroTime`:
      return { description: 'A moment in RFC 3339 form, to the microsecond.', type: 'string', format: 'date-time' }
    case RAW_EXTENSION:
      return { description: 'Any JSON object.', type: 'object' }
    case `${META}.Patch`:
      return { description: 'A patch, in the form its content type names.', type: 'object' }
    default:
      return undefined
  }
}

const root = (dialect: Dialect): string => (dialect === 'v3' ? '#/components/schemas/' : '#/definitions/')

const refTo = (name: string, dialect: Dialect): Json => ({ $ref: `${root(dialect)}${name}` })

/** Name of a value type a field refers to, if it is written as one. */
const valueName = (field: FieldSchema): string | undefined => {
  switch (field.type) {
    case 'quantity':
      return QUANTITY
    case 'int-or-string':
      return field.format === 'int-or-string' ? INT_OR_STRING : undefined
    case 'time':
      return field.format === 'date-time-micro' ? `${META}.MicroTime` : `${META}.Time`
    case 'any':
      return field.format === 'object' ? RAW_EXTENSION : undefined
    default:
      return undefined
  }
}

/** Adds what is needed to a schema: names of referred types are handed to `need`. */
const fieldSchema = (field: FieldSchema, dialect: Dialect, need: (name: string) => void): Json => {
  const schema: Json = {}
  const described = field.description ?? field.object?.description
  if (described !== undefined) schema['description'] = described
  const name = field.type === 'object' ? field.ref : valueName(field)
  // Of what may be null, or holds what nobody described, the older generation can only say nothing.
  const isOpen = dialect === 'v2' && (field.nullable === true || field.preserveUnknown === true)
  if (name !== undefined) {
    need(name)
    // Siblings of a $ref are ignored in v3.0, hence the wrapper; v2 clients read them.
    if (dialect === 'v3' && described !== undefined) schema['allOf'] = [refTo(name, dialect)]
    else Object.assign(schema, refTo(name, dialect))
  } else if (isOpen) {
    if (field.nullable !== true && field.type !== 'any') schema['type'] = field.type === 'map' ? 'object' : field.type
  } else if (field.type === 'array') {
    schema['type'] = 'array'
    if (field.items !== undefined) schema['items'] = elementSchema(field.items, dialect, need)
  } else if (field.type === 'map') {
    schema['type'] = 'object'
    schema['additionalProperties'] = elementSchema(field.items ?? { type: 'any' }, dialect, need)
  } else {
    if (field.object !== undefined) Object.assign(schema, typeSchema(field.object, dialect, need))
    if (described !== undefined) schema['description'] = described
    if (field.type === 'int-or-string') schema['x-kubernetes-int-or-string'] = true
    else if (field.type !== 'any') schema['type'] = field.type === 'bytes' ? 'string' : field.type
    else delete schema['type']
    if (field.format !== undefined && field.type !== 'any') schema['format'] = field.format
  }
  for (const word of RULES)
    if (field[word] !== undefined && (dialect === 'v3' || (word !== 'nullable' && word !== 'default'))) schema[word] = field[word]
  if (dialect === 'v3') {
    for (const word of ['allOf', 'anyOf', 'oneOf'] as const)
      if (field[word] !== undefined) schema[word] = field[word].map((one) => fieldSchema(one, dialect, need))
    if (field.not !== undefined) schema['not'] = fieldSchema(field.not, dialect, need)
  }
  if (field.preserveUnknown === true) schema['x-kubernetes-preserve-unknown-fields'] = true
  if (field.embedded === true) schema['x-kubernetes-embedded-resource'] = true
  if (field.validations !== undefined) schema['x-kubernetes-validations'] = field.validations
  if (field.listType !== undefined) schema['x-kubernetes-list-type'] = field.listType
  if (field.listMapKeys !== undefined) schema['x-kubernetes-list-map-keys'] = field.listMapKeys
  if (field.mapType !== undefined) schema['x-kubernetes-map-type'] = field.mapType
  if (field.patchStrategy !== undefined) schema['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',')
  if (field.patchMergeKey !== undefined) schema['x-kubernetes-patch-merge-key'] = field.patchMergeKey
  return schema
}

/** Of an element of a list or map: what it is stands at the list; a custom one's own words are kept. */
const elementSchema = (items: FieldSchema, dialect: Dialect, need: (name: string) => void): Json => {
  const schema = fieldSchema(items, dialect, need)
  if (items.object !== undefined && items.ref === undefined) return schema
  delete schema['description']
  unwrap(schema)
  return schema
}

/** Without a description the allOf wrapper of a reference is not needed. */
const unwrap = (schema: Json): void => {
  const wrapped = schema['allOf'] as Json[] | undefined
  if (wrapped?.length !== 1 || wrapped[0]?.['$ref'] === undefined) return
  delete schema['allOf']
  Object.assign(schema, wrapped[0])
}

const typeSchema = (type: TypeSchema, dialect: Dialect, need: (name: string) => void): Json => {
  const required: string[] = [...(type.required ?? [])]
  const properties: Json = {}
  for (const [name, field] of Object.entries(type.fields)) {
    if (field.required === true) required.push(name)
    properties[name] = fieldSchema(field, dialect, need)
  }
  return {
    ...(type.description === undefined ? {} : { description: type.description }),
    type: 'object',
    ...(required.length === 0 ? {} : { required }),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(type.mapType === undefined ? {} : { 'x-kubernetes-map-type': type.mapType })
  }
}

/** What every object has, whatever its definition says of it. */
const STANDARD: Json = {
  apiVersion: { type: 'string', description: 'The API group and version of this object, e.g. `example.com/v1`.' },
  kind: { type: 'string', description: 'What kind of object this is, in CamelCase.' }
}

/** `com.example.v1.Widget` for a custom kind of group `example.com`. */
const customName = (group: string, version: string, kind: string): string => `${group.split('.').reverse().join('.')}.${version}.${kind}`

/** Schema name of a kind; a kind with a schema of its own is named after its group. */
const schemaName = (kind: OpenApiKind): string => {
  const own = kind.schema === undefined ? typeOfKind(kind.group, kind.version, kind.kind) : undefined
  return own?.name ?? customName(kind.group, kind.version, kind.kind)
}

/** Schema name of a kind's list. */
const listSchemaName = (kind: OpenApiKind): string => {
  return (
    typeOfKind(kind.group, kind.version, `${kind.kind}List`)?.name ??
    customName(kind.group, kind.version, kind.listKind ?? `${kind.kind}List`)
  )
}

/** Collects the schemas of kinds and everything they refer to. */
export class SchemaSet {
  readonly #dialect: Dialect
  readonly #schemas = new Map<string, Json>()
  readonly #waiting: string[] = []

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  readonly #need = (name: string): void => {
    if (!this.#schemas.has(name)) this.#waiting.push(name)
  }

  #settle(): void {
    for (let name = this.#waiting.pop(); name !== undefined; name = this.#waiting.pop()) {
      if (this.#schemas.has(name)) continue
      this.#schemas.set(name, {})
      this.#schemas.set(name, valueType(name, this.#dialect) ?? typeSchema(typeNamed(name), this.#dialect, this.#need))
    }
  }

  /** A reference to a named type, which is added. */
  ref(name: string): Json {
    this.#need(name)
    this.#settle()
    return refTo(name, this.#dialect)
  }

  /** Marks a schema as that of a kind: `explain` and validation find it by this. */
  #mark(name: string, group: string, version: string, kind: string): void {
    const schema = this.#schemas.get(name)
    if (schema === undefined) return
    const known = (schema['x-kubernetes-group-version-kind'] ??= []) as Json[]
    if (!known.some((each) => each['group'] === group && each['version'] === version)) known.push({ group, kind, version })
  }

  /** Adds a built-in type as a kind; undefined when there is none. */
  builtIn(group: string, version: string, kind: string): Json | undefined {
    const type = typeOfKind(group, version, kind)
    if (type === undefined) return undefined
    const ref = this.ref(type.name)
    this.#mark(type.name, group, version, kind)
    return ref
  }

  /** Adds a meta kind (Status, DeleteOptions) under the group versions served. */
  meta(kind: 'Status' | 'DeleteOptions', groupVersions: readonly (readonly [group: string, version: string])[]): Json {
    const ref = this.ref(`${META}.${kind}`)
    for (const [group, version] of groupVersions) this.#mark(`${META}.${kind}`, group, version, kind)
    return ref
  }

  patch(): Json {
    return this.ref(`${META}.Patch`)
  }

  /** Adds a kind: the built-in type, its own schema, or an open object when nothing is known. */
  kind(kind: OpenApiKind): Json {
    const name = schemaName(kind)
    if (kind.schema === undefined && typeOfKind(kind.group, kind.version, kind.kind) !== undefined) {
      this.#need(name)
    } else if (!this.#schemas.has(name)) {
      const given =
        kind.schema === undefined
          ? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
          : fieldSchema(kind.schema, this.#dialect, this.#need)
      this.#schemas.set(name, {
        ...given,
        properties: { ...(given['properties'] as Json | undefined), ...STANDARD, metadata: this.ref(`${META}.ObjectMeta`) }
      })
    }
    this.#settle()
    this.#mark(name, kind.group, kind.version, kind.kind)
    return refTo(name, this.#dialect)
  }

  /** Adds a kind's list. */
  list(kind: OpenApiKind): Json {
    const name = listSchemaName(kind)
    if (typeOfKind(kind.group, kind.version, `${kind.kind}List`) !== undefined) this.#need(name)
    else if (!this.#schemas.has(name)) {
      const items = { type: 'array', items: this.kind(kind) }
      const properties = { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: this.ref(`${META}.ListMeta`), items }
      this.#schemas.set(name, {
        description: `${kind.kind}List is a list of ${kind.kind}`,
        type: 'object',
        required: ['items'],
        properties
      })
    }
    this.#settle()
    this.#mark(name, kind.group, kind.version, kind.listKind ?? `${kind.kind}List`)
    return refTo(name, this.#dialect)
  }

  /** All schemas, by name. */
  all(): Json {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}
