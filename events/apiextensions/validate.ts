/** What is wrong with a CustomResourceDefinition, in upstream's words. */
import type { KubeObject } from '#events/KubeObject.ts'
import { badValue, badValues, forbiddenField, immutable, required, same, unsupported } from '#events/meta/faults.ts'
import { isObject } from '#events/meta/json.ts'
import { parseJsonPath } from '#events/meta/JsonPath.ts'
import { label1035Name, subdomainName } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'
import { checkValue } from '#events/schema/check.ts'
import { pruned } from '#events/schema/prune.ts'
import { rootOfJson, structuralFaults, type JsonSchema } from '#events/schema/structural.ts'
import type { FieldSchema } from '#events/schema/Schema.ts'
import { hasCondition, specOf, statusOf, type DefinedVersion, type Names } from './definition.ts'

/** What the cluster keeps beside the API: claims of ports, guards. Objects of a kind of that name would lie among them. */
const OWN = /(^|\.)reckon\.io$/
const PROTECTED = /(^|\.)(k8s\.io|kubernetes\.io)$/
const APPROVAL = 'api-approved.kubernetes.io'
const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string']
/** A path of fields, without indexes or filters. */
const SIMPLE = /^(\.[A-Za-z_$][\w$-]*)+$/

const nameFaults = (names: Partial<Names>, errors: FieldError[]): void => {
  const path = 'spec.names'
  if (!names.plural) errors.push(required(`${path}.plural`))
  else errors.push(...badValues(`${path}.plural`, names.plural, label1035Name(names.plural)))
  if (!names.singular) errors.push(required(`${path}.singular`))
  else errors.push(...badValues(`${path}.singular`, names.singular, label1035Name(names.singular)))
  for (const field of ['kind', 'listKind'] as const) {
    const name = names[field]
    if (!name) errors.push(required(`${path}.${field}`))
    else
      for (const message of label1035Name(name.toLowerCase()))
        errors.push(badValue(`${path}.${field}`, name, `may have mixed case, but should otherwise match: ${message}`))
  }
  names.shortNames?.forEach((name, at) => errors.push(...badValues(`${path}.shortNames[${at}]`, name, label1035Name(name))))
  names.categories?.forEach((name, at) => errors.push(...badValues(`${path}.categories[${at}]`, name, label1035Name(name))))
  if (names.kind && names.kind === names.listKind)
    errors.push(badValue(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'))
}

const columnFaults = (version: DefinedVersion, path: string, errors: FieldError[]): void =>
  version.additionalPrinterColumns?.forEach((column, at) => {
    const here = `${path}.additionalPrinterColumns[${at}]`
    if (!column.name) errors.push(required(`${here}.name`))
    if (!column.type) errors.push(required(`${here}.type`, `must be one of ${COLUMN_TYPES.join(',')}`))
    else if (!COLUMN_TYPES.includes(column.type))
      errors.push(badValue(`${here}.type`, column.type, `must be one of ${COLUMN_TYPES.join(',')}`))
    if (!column.jsonPath) errors.push(required(`${here}.jsonPath`))
    else if (!column.jsonPath.startsWith('.') || parseJsonPath(column.jsonPath) === undefined)
      errors.push(badValue(`${here}.JSONPath`, column.jsonPath, 'must be a simple json path starting with .'))
  })

const scaleFaults = (version: DefinedVersion, path: string, errors: FieldError[]): void => {
  const scale = version.subresources?.scale
  if (scale === undefined) return
  const check = (
    field: 'specReplicasPath' | 'statusReplicasPath' | 'labelSelectorPath',
    isNeeded: boolean,
    roots: readonly string[],
    words: string
  ): void => {
    const value = scale[field] ?? ''
    const here = `${path}.subresources.scale.${field}`
    if (value === '') return void (isNeeded && errors.push(required(here)))
    if (!SIMPLE.test(value) || !roots.some((root) => value.startsWith(root))) errors.push(badValue(here, value, words))
  }
  check('specReplicasPath', true, ['.spec.'], 'should be a json path under .spec')
  check('statusReplicasPath', true, ['.status.'], 'should be a json path under .status')
  check('labelSelectorPath', false, ['.spec.', '.status.'], 'should be a json path under either .spec or .status')
}

const at = (schema: JsonSchema | undefined, jsonPath: string): JsonSchema | undefined =>
  jsonPath
    .slice(1)
    .split('.')
    .reduce<JsonSchema | undefined>((here, field) => here?.properties?.[field], schema)

const MOST_SELECTABLE = 8

const selectableFaults = (version: DefinedVersion, path: string, errors: FieldError[]): void => {
  const fields = version.selectableFields ?? []
  if (fields.length > MOST_SELECTABLE)
    errors.push({
      type: 'TooMany',
      field: `${path}.selectableFields`,
      value: fields.length,
      detail: `must have at most ${MOST_SELECTABLE} items`
    })
  const seen = new Set<string>()
  fields.forEach(({ jsonPath = '' }, index) => {
    const here = `${path}.selectableFields[${index}].jsonPath`
    if (jsonPath === '') errors.push(required(here))
    else if (!SIMPLE.test(jsonPath)) errors.push(badValue(here, jsonPath, 'is an invalid path: must be a simple path of fields'))
    else if (jsonPath.startsWith('.metadata')) errors.push(badValue(here, jsonPath, 'must not point to fields in metadata'))
    else {
      const found = at(version.schema?.openAPIV3Schema, jsonPath)
      if (found === undefined) errors.push(badValue(here, jsonPath, 'is an invalid path: does not refer to a valid field'))
      else if (!['string', 'boolean', 'integer'].includes(found.type ?? ''))
        errors.push(
          badValue(
            here,
            jsonPath,
            'must point to a field of type string, boolean or integer. Enum fields and strings with formats are allowed.'
          )
        )
    }
    if (seen.has(jsonPath)) errors.push({ type: 'Duplicate', field: here, value: jsonPath })
    seen.add(jsonPath)
  })
}

/** Defaults must be what their field asks for. */
const defaultFaults = (field: FieldSchema, path: string, errors: FieldError[]): void => {
  if (field.default !== undefined) {
    for (const fault of checkValue(field, field.default, ''))
      errors.push(badValue(`${path}.default`, field.default, fault.detail ?? fault.type))
    const { unknownFields } = pruned(field, field.default)
    if (unknownFields.length > 0) errors.push(badValue(`${path}.default`, field.default, 'must not have unknown fields'))
  }
  if (field.object !== undefined && field.ref === undefined)
    for (const [key, part] of Object.entries(field.object.fields)) defaultFaults(part, `${path}.properties[${key}]`, errors)
  if (field.items !== undefined) defaultFaults(field.items, field.type === 'map' ? `${path}.additionalProperties` : `${path}.items`, errors)
}

const schemaFaults = (version: DefinedVersion, path: string, errors: FieldError[]): void => {
  const schema = version.schema?.openAPIV3Schema
  if (!isObject(schema)) return void errors.push(required(path))
  const faults = structuralFaults(schema, path)
  errors.push(...faults)
  if (faults.length === 0) defaultFaults(rootOfJson(schema, ''), path, errors)
}

const versionFaults = (versions: readonly DefinedVersion[], errors: FieldError[]): void => {
  if (versions.length === 0) return void errors.push(required('spec.versions', 'must have at least one version'))
  const names = new Set<string>()
  let isUnique = true
  // One schema for all versions stands, upstream, where it stood before versions had their own.
  const alike = versions.every((other) => same(other.schema, versions[0]?.schema))
  versions.forEach((version, index) => {
    const path = `spec.versions[${index}]`
    if (!version.name) errors.push(required(`${path}.name`))
    if (names.has(version.name)) isUnique = false
    names.add(version.name)
    if (version.name) errors.push(...badValues(`${path}.name`, version.name, label1035Name(version.name)))
    if (version.deprecationWarning !== undefined && version.deprecated !== true)
      errors.push(badValue(`${path}.deprecationWarning`, version.deprecationWarning, 'can only be set for deprecated versions'))
    if (!alike || index === 0)
      schemaFaults(
        version,
        alike && isObject(version.schema?.openAPIV3Schema) ? 'spec.validation.openAPIV3Schema' : `${path}.schema.openAPIV3Schema`,
        errors
      )
    const hoisted = versions.length === 1 ? 'spec' : path
    scaleFaults(version, hoisted, errors)
    columnFaults(version, hoisted, errors)
    selectableFaults(version, hoisted, errors)
  })
  if (!isUnique)
    errors.push(
      badValue(
        'spec.versions',
        versions.map(({ name }) => name),
        'must contain unique version names'
      )
    )
  if (versions.filter(({ storage }) => storage).length !== 1)
    errors.push(
      badValue(
        'spec.versions',
        versions.map(({ name }) => name),
        'must have exactly one version marked as storage version'
      )
    )
}

const conversionFaults = (definition: KubeObject, errors: FieldError[]): void => {
  const { conversion } = specOf(definition)
  const strategy = conversion?.strategy ?? 'None'
  if (strategy !== 'None' && strategy !== 'Webhook') errors.push(unsupported('spec.conversion.strategy', strategy, ['None', 'Webhook']))
  if (strategy === 'None' && conversion?.webhook !== undefined)
    errors.push(forbiddenField('spec.conversion.webhookClientConfig', 'should not be set when strategy is not set to Webhook'))
  if (strategy !== 'Webhook') return
  if (conversion?.webhook?.clientConfig === undefined)
    errors.push(required('spec.conversion.webhookClientConfig', 'required when strategy is set to Webhook'))
  if (!conversion?.webhook?.conversionReviewVersions?.length) errors.push(required('spec.conversion.conversionReviewVersions'))
  // Taken for None, objects would lose what only one version has, and nobody would be told.
  if ((specOf(definition).versions?.length ?? 0) > 1)
    errors.push(forbiddenField('spec.conversion.strategy', 'versions are not converted by webhooks yet; use None, or one version'))
}

export const validateDefinition = (definition: KubeObject): FieldError[] => {
  const errors: FieldError[] = []
  const { group = '', names = {}, scope, versions = [], preserveUnknownFields } = specOf(definition)
  const name = `${(names as Partial<Names>).plural ?? ''}.${group}`
  if (definition.metadata.name !== name)
    errors.push(badValue('metadata.name', definition.metadata.name, 'must be spec.names.plural+"."+spec.group'))
  if (group === '') errors.push(required('spec.group'))
  else if (subdomainName(group).length > 0) errors.push(...badValues('spec.group', group, subdomainName(group)))
  else if (!group.includes('.')) errors.push(badValue('spec.group', group, 'should be a domain with at least one dot'))
  if (OWN.test(group)) errors.push(forbiddenField('spec.group', `${group} is kept by the cluster for itself`))
  if (PROTECTED.test(group) && !definition.metadata.annotations?.[APPROVAL])
    errors.push(
      required(
        `metadata.annotations[${APPROVAL}]`,
        `protected groups must have approval annotation "${APPROVAL}", see https://github.com/kubernetes/enhancements/pull/1111`
      )
    )
  if (!scope) errors.push(required('spec.scope'))
  else if (scope !== 'Cluster' && scope !== 'Namespaced') errors.push(unsupported('spec.scope', scope, ['Cluster', 'Namespaced']))
  if (preserveUnknownFields === true)
    errors.push(badValue('spec.preserveUnknownFields', true, 'must be false in order to use defaults in the schema'))
  nameFaults(names as Partial<Names>, errors)
  versionFaults(versions, errors)
  conversionFaults(definition, errors)
  return errors
}

export const validateDefinitionUpdate = (definition: KubeObject, old: KubeObject, subresource: string): FieldError[] => {
  const errors: FieldError[] = []
  const [spec, before] = [specOf(definition), specOf(old)]
  immutable(spec.group, before.group, 'spec.group', errors)
  immutable(spec.names?.plural, before.names?.plural, 'spec.names.plural', errors)
  if (hasCondition(old, 'Established')) {
    immutable(spec.scope, before.scope, 'spec.scope', errors)
    immutable(spec.names?.kind, before.names?.kind, 'spec.names.kind', errors)
  }
  const stored = statusOf(definition).storedVersions ?? []
  const known = new Set(spec.versions?.map(({ name }) => name))
  stored.forEach((name, index) => {
    if (!known.has(name))
      errors.push(
        badValue(
          `status.storedVersions[${index}]`,
          name,
          `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`
        )
      )
  })
  const storage = spec.versions?.find((version) => version.storage)?.name
  if (subresource === 'status' && storage !== undefined && !stored.includes(storage))
    errors.push(badValue('status.storedVersions', stored, `must have the storage version ${storage}`))
  return errors
}
