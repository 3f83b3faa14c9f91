/** CustomResourceDefinition: a kind as an object. What it makes is in `customKind.ts`; a controller accepts its names and empties it. */
import { DEFINITIONS } from '#events/collections.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { setCondition, type Condition } from '#events/meta/Conditions.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { CREATED_AT, NAME } from '#events/meta/Table.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import { CLEANUP, hasCondition, specOf, statusOf } from './definition.ts'
import { validateDefinition, validateDefinitionUpdate } from './validate.ts'

/** Where objects may lie in the log by a version's name: it may leave the definition only after somebody says they don't. */
const keepStored = (definition: KubeObject): void => {
  const storage = specOf(definition).versions?.find((version) => version.storage)?.name
  const stored = statusOf(definition).storedVersions ?? []
  if (storage !== undefined && !stored.includes(storage))
    definition['status'] = { ...statusOf(definition), storedVersions: [...stored, storage] }
}

export const CustomResourceDefinition: Kind = {
  ...DEFINITIONS,
  version: 'v1',
  kind: 'CustomResourceDefinition',
  singular: 'customresourcedefinition',
  namespaced: false,
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  verbs: ALL_VERBS,
  subresources: [STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  hasGeneration: true,
  anyFinalizer: true,
  indexes: { group: (definition) => [specOf(definition).group ?? ''] },
  default(definition) {
    const spec = specOf(definition)
    const { names } = spec
    if (names !== undefined) {
      names.singular ||= names.kind?.toLowerCase() ?? ''
      names.listKind ||= names.kind ? `${names.kind}List` : ''
    }
    spec.conversion ??= { strategy: 'None' }
    spec.conversion.strategy ||= 'None'
    // Upstream keeps it out of what it shows.
    if (spec.preserveUnknownFields === false) delete spec.preserveUnknownFields
  },
  prepareForCreate(definition) {
    delete definition['status']
    keepStored(definition)
  },
  prepareForUpdate(definition, old, subresource) {
    keepOtherHalf(definition, old, subresource)
    if (subresource === '') keepStored(definition)
  },
  prepareForDelete(definition, { now }) {
    definition.metadata.finalizers = [...new Set([...(definition.metadata.finalizers ?? []), CLEANUP])]
    const terminating = {
      type: 'Terminating',
      status: 'True',
      reason: 'InstanceDeletionPending',
      message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon'
    }
    definition['status'] = {
      ...statusOf(definition),
      conditions: setCondition<Condition>(statusOf(definition).conditions, terminating, now)
    }
  },
  warnings: (definition) =>
    JSON.stringify(specOf(definition).versions ?? []).includes('"x-kubernetes-validations"')
      ? ['spec.versions[*].schema: x-kubernetes-validations are kept and shown, but rules in CEL are not judged yet']
      : [],
  validate: validateDefinition,
  validateUpdate: validateDefinitionUpdate,
  columns: [NAME, CREATED_AT],
  row: (definition) => [definition.metadata.name ?? '', definition.metadata.creationTimestamp ?? '<unknown>'],
  eventType({ before, after, deleted }) {
    if (deleted || before === undefined) return undefined
    return hasCondition(after, 'Established') && !hasCondition(before, 'Established')
      ? 'reckon.customresourcedefinition.established.v1'
      : undefined
  }
}
