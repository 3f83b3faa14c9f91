/** The kind that a CustomResourceDefinition makes: the same as a built-in one's file, from data. */
import type { Column, Kind } from '#events/Kind.ts'
import { keepMetadata } from '#events/meta/halves.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { since } from '#events/meta/Duration.ts'
import { same } from '#events/meta/faults.ts'
import { isObject } from '#events/meta/json.ts'
import { parseJsonPath, type JsonPath } from '#events/meta/JsonPath.ts'
import { AGE, age, NAME } from '#events/meta/Table.ts'
import { ALL_VERBS, SCALE, STATUS } from '#events/meta/verbs.ts'
import { checkValue } from '#events/schema/check.ts'
import { fillIn, fillsIn, pruned } from '#events/schema/prune.ts'
import { rootOfJson } from '#events/schema/structural.ts'
import type { FieldSchema } from '#events/schema/Schema.ts'
import { hasCondition, specOf, statusOf, type DefinedVersion, type DefinitionSpec, type PrinterColumn } from './definition.ts'

type Cell = string | number | boolean | null

const NOTHING: JsonPath = () => []

const cellOf = (type: PrinterColumn['type'], found: readonly unknown[], now: number): Cell => {
  const [first] = found
  if (first === undefined || first === null) return null
  switch (type) {
    case 'integer':
    case 'number':
      return typeof first === 'number' ? (type === 'integer' ? Math.trunc(first) : first) : null
    case 'boolean':
      return typeof first === 'boolean' ? first : null
    case 'date':
      return typeof first === 'string' ? (Number.isNaN(Date.parse(first)) ? '<invalid>' : since(first, now)) : '<invalid>'
    case 'string':
      return found.map((value) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value))).join(' ')
  }
}

const printing = (columns: readonly PrinterColumn[] | undefined): Pick<Kind, 'columns' | 'row'> => {
  if (columns === undefined || columns.length === 0)
    return { columns: [NAME, AGE], row: (object, now) => [object.metadata.name ?? '', age(object, now)] }
  const cells = columns.map(({ jsonPath, type }) => ({ find: parseJsonPath(jsonPath) ?? NOTHING, type }))
  const described = columns.map(({ name, type, format, description, priority, jsonPath }): Column => ({
    name,
    type,
    description: description ?? `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    ...(format === undefined ? {} : { format }),
    ...(priority === undefined ? {} : { priority: priority as 0 | 1 })
  }))
  return {
    columns: [NAME, ...described],
    row: (object, now) => [object.metadata.name ?? '', ...cells.map(({ find, type }) => cellOf(type, find(object), now))]
  }
}

/** `.spec.color` is asked for as `spec.color`. */
const selecting = (fields: DefinedVersion['selectableFields']): Pick<Kind, 'fields'> => {
  if (fields === undefined || fields.length === 0) return {}
  return {
    fields: Object.fromEntries(
      fields.map(({ jsonPath }) => {
        const find = parseJsonPath(jsonPath) ?? NOTHING
        return [jsonPath.replace(/^\./, ''), (object: KubeObject) => String(find(object)[0] ?? '')]
      })
    )
  }
}

const HEAD = new Set(['apiVersion', 'kind', 'metadata'])

/** A write of one half leaves the other as it was: the status, or everything but the status, metadata included. */
const keepOtherHalf = (object: KubeObject, old: KubeObject, subresource: string): void => {
  for (const field of new Set([...Object.keys(object), ...Object.keys(old)])) {
    if (HEAD.has(field) || (field === 'status') === (subresource === 'status')) continue
    if (old[field] === undefined) delete object[field]
    else object[field] = old[field]
  }
  if (subresource === 'status') keepMetadata(object, old)
}

const scaling = ({
  specReplicasPath,
  statusReplicasPath,
  labelSelectorPath
}: NonNullable<NonNullable<DefinedVersion['subresources']>['scale']>): NonNullable<Kind['scale']> => {
  const find = labelSelectorPath === undefined ? NOTHING : (parseJsonPath(labelSelectorPath) ?? NOTHING)
  return { specReplicas: specReplicasPath, statusReplicas: statusReplicasPath, selector: (object) => String(find(object)[0] ?? '') }
}

/**
 * Objects of another version, or of an older definition, as this version has them: its fields only, and with its defaults. What was
 * written since the definition last changed, in this version, is so already.
 */
const reading = (apiVersion: string, schema: FieldSchema, since: number): NonNullable<Kind['fromStorage']> => {
  const fills = fillsIn(schema)
  return (object) => {
    if (object.apiVersion === apiVersion && Number(object.metadata.resourceVersion ?? 0) > since) return object
    const { value, unknownFields } = pruned(schema, object)
    if (object.apiVersion === apiVersion && unknownFields.length === 0 && !fills) return object
    const read = value as KubeObject
    read.apiVersion = apiVersion
    // What the schema has no words for in metadata is metadata all the same.
    read.metadata = object.metadata
    if (fills) fillIn(schema, read)
    return same(read, object) ? object : read
  }
}

/** `stored`: the version objects are stored in, when it is another one. What that has no fields for is lost, as upstream. */
const versionKind = (definition: KubeObject, spec: DefinitionSpec, version: DefinedVersion, stored?: Kind): Kind => {
  const names = { ...spec.names, ...statusOf(definition).acceptedNames }
  const apiVersion = `${spec.group}/${version.name}`
  const schema = rootOfJson(version.schema?.openAPIV3Schema, `${version.name}.${names.kind}`)
  const { status, scale } = version.subresources ?? {}
  const hasStatus = status !== undefined
  return {
    group: spec.group,
    version: version.name,
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    resource: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    namespaced: spec.scope === 'Namespaced',
    ...(names.shortNames === undefined ? {} : { shortNames: names.shortNames }),
    ...(names.categories === undefined ? {} : { categories: names.categories }),
    verbs: ALL_VERBS,
    subresources: [...(hasStatus ? [STATUS] : []), ...(scale === undefined ? [] : [SCALE])],
    stream: 'EVENTS',
    hasStatus,
    hasGeneration: true,
    anyFinalizer: true,
    schema,
    ...(version.served ? {} : { unserved: true }),
    ...(version.deprecated === true ? { deprecation: version.deprecationWarning ?? `${apiVersion} ${names.kind} is deprecated` } : {}),
    ...(definition.metadata.deletionTimestamp === undefined
      ? {}
      : { createRefusal: 'create not allowed while custom resource definition is terminating' }),
    fromStorage: reading(apiVersion, schema, Number(definition.metadata.resourceVersion ?? 0)),
    ...(stored === undefined ? {} : { toStorage: (object) => (stored.fromStorage as NonNullable<Kind['fromStorage']>)(object) }),
    default: (object) => fillIn(schema, object),
    prepareForCreate(object) {
      if (hasStatus) delete object['status']
    },
    ...(hasStatus ? { prepareForUpdate: keepOtherHalf } : {}),
    validate: (object, old) => checkValue(schema, object, '', undefined, old),
    // A status write is checked as a whole, too: nothing but the definition says what a status is.
    validateUpdate: (object, old, subresource) => (subresource === 'status' ? checkValue(schema, object, '', undefined, old) : []),
    ...printing(version.additionalPrinterColumns),
    ...selecting(version.selectableFields),
    ...(scale === undefined ? {} : { scale: scaling(scale) })
  }
}

const made = new WeakMap<KubeObject, Kind>()

/** The kind as it is stored, with the versions it is served in; undefined while the definition's names are not accepted. */
export const customKind = (definition: KubeObject): Kind | undefined => {
  if (!hasCondition(definition, 'Established')) return undefined
  const known = made.get(definition)
  if (known !== undefined) return known
  const spec = specOf(definition) as DefinitionSpec
  const storage = spec.versions.find((version) => version.storage)
  if (storage === undefined || !isObject(spec.names)) return undefined
  const stored = versionKind(definition, spec, storage)
  const others = spec.versions.filter((version) => version !== storage)
  const kind = { ...stored, versions: others.map((version) => versionKind(definition, spec, version, stored)) }
  made.set(definition, kind)
  return kind
}
