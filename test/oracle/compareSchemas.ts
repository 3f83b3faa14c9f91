/** Our types beside those of an OpenAPI v3 document, and in what they differ. Plain functions. */
import { typeNamed, typeNames, type FieldSchema } from '#events/schema/Schema.ts'

export interface OpenApiDocument {
  readonly info?: { readonly version?: string }
  readonly components?: { readonly schemas?: Readonly<Record<string, Json>> }
}

type Json = Readonly<Record<string, unknown>>

const PREFIX = '#/components/schemas/'

/** Types JSON writes as one value, by what upstream calls them. */
const VALUES: Readonly<Record<string, string>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'int-or-string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'time',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'any',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'any',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON': 'any'
}

/** Older packages say `com.github…` or spell names as Go does; the tail is the same. */
const refOf = (schema: Json): string | undefined => {
  const [only] = (schema['allOf'] ?? []) as readonly Json[]
  const ref = (schema['$ref'] ?? only?.['$ref']) as string | undefined
  return ref?.slice(PREFIX.length)
}

/** `object:io.k8s…PodSpec`, `array of string/byte`: what a field is, in one word. */
const shapeOfTheirs = (schema: Json, isKnown: (name: string) => boolean): string => {
  const ref = refOf(schema)
  if (ref !== undefined) return VALUES[ref] ?? (isKnown(ref) ? `object:${ref}` : 'any')
  switch (schema['type']) {
    case 'array':
      return `array of ${shapeOfTheirs((schema['items'] ?? {}) as Json, isKnown)}`
    case 'object':
      return schema['additionalProperties'] === undefined
        ? 'any'
        : `map of ${shapeOfTheirs(schema['additionalProperties'] as Json, isKnown)}`
    case 'string':
      return schema['format'] === 'byte' ? 'bytes' : schema['format'] === 'date-time' ? 'time' : 'string'
    case undefined:
      return 'any'
    default:
      return `${schema['type'] as string}${schema['format'] === undefined ? '' : `/${schema['format'] as string}`}`
  }
}

const shapeOfOurs = (field: FieldSchema): string => {
  switch (field.type) {
    case 'object':
      return `object:${field.ref ?? ''}`
    case 'array':
      return `array of ${field.items === undefined ? 'any' : shapeOfOurs(field.items)}`
    case 'map':
      return `map of ${field.items === undefined ? 'any' : shapeOfOurs(field.items)}`
    case 'integer':
    case 'number':
      return `${field.format === undefined || field.type === 'integer' ? field.type : 'number'}${field.format === undefined ? '' : `/${field.format}`}`
    default:
      return field.type
  }
}

const RULES = [
  ['x-kubernetes-list-type', (field: FieldSchema) => field.listType],
  ['x-kubernetes-list-map-keys', (field: FieldSchema) => field.listMapKeys?.join()],
  ['x-kubernetes-map-type', (field: FieldSchema) => field.mapType],
  ['x-kubernetes-patch-strategy', (field: FieldSchema) => field.patchStrategy?.join()],
  ['x-kubernetes-patch-merge-key', (field: FieldSchema) => field.patchMergeKey]
] as const

const shown = (value: unknown): string => (value === undefined ? 'nothing' : String(Array.isArray(value) ? value.join() : value))

export interface Comparison {
  readonly types: number
  readonly fields: number
  /** `io.k8s.api.core.v1.PodSpec.workloadRef: missing here (object:…)` */
  readonly differences: readonly string[]
}

/** `documents`: of as many group versions as there are; a type is compared once. */
export const compareSchemas = (documents: readonly OpenApiDocument[]): Comparison => {
  const theirs = new Map<string, Json>()
  for (const { components } of documents) for (const [name, schema] of Object.entries(components?.schemas ?? {})) theirs.set(name, schema)
  const differences: string[] = []
  let [types, fields] = [0, 0]
  for (const name of typeNames()) {
    const schema = theirs.get(name)
    if (schema === undefined) continue
    types += 1
    const type = typeNamed(name)
    const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Json>>
    const required = new Set((schema['required'] ?? []) as readonly string[])
    for (const [key, property] of Object.entries(properties)) {
      const at = `${name}.${key}`
      const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined
      const shape = shapeOfTheirs(property, (ref) => theirs.get(ref)?.['properties'] !== undefined)
      if (field === undefined) {
        differences.push(`${at}: missing here (${shape})`)
        continue
      }
      fields += 1
      const ours = shapeOfOurs(field)
      if (ours !== shape) differences.push(`${at}: ${ours} here, ${shape} there`)
      if ((field.required === true) !== required.has(key))
        differences.push(`${at}: ${required.has(key) ? 'required there only' : 'required here only'}`)
      for (const [word, ofOurs] of RULES)
        if (shown(ofOurs(field)) !== shown(property[word]))
          differences.push(`${at}: ${word} is ${shown(ofOurs(field))} here, ${shown(property[word])} there`)
    }
    for (const key of Object.keys(type.fields)) if (!Object.hasOwn(properties, key)) differences.push(`${name}.${key}: only here`)
    if (shown(type.mapType) !== shown(schema['x-kubernetes-map-type']))
      differences.push(`${name}: x-kubernetes-map-type is ${shown(type.mapType)} here, ${shown(schema['x-kubernetes-map-type'])} there`)
  }
  return { types, fields, differences: differences.sort() }
}

/** What a server says it is; published documents say nothing of it. */
export const versionOf = (documents: readonly OpenApiDocument[]): string | undefined =>
  documents.map(({ info }) => info?.version ?? '').find((version) => /^v\d+\.\d+/.test(version))

/** `v1.36` of `v1.36.3+more`. */
export const minorOf = (version: string): string => /^v\d+\.\d+/.exec(version)?.[0] ?? version

/** Differences with another version's documents: those that `own`, with the documents of our version, has as well are ours. */
export const explained = (
  differences: readonly string[],
  own: readonly string[]
): { readonly ours: readonly string[]; readonly theirs: readonly string[] } => {
  const known = new Set(own)
  return { ours: differences.filter((line) => known.has(line)), theirs: differences.filter((line) => !known.has(line)) }
}
