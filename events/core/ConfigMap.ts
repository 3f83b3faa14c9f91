/** ConfigMap: configuration for pods to read. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, tooLong } from '#events/meta/faults.ts'
import { age, AGE, integer, NAME } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { base64Length, DATA_MAX, sizeOf, validateImmutable, validateKeys } from './data.ts'

export const ConfigMap: Kind<types.ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  resource: 'configmaps',
  singular: 'configmap',
  namespaced: true,
  shortNames: ['cm'],
  verbs: ALL_VERBS,
  stream: 'EVENTS',
  validate(map) {
    const errors: FieldError[] = []
    validateKeys(map.data, 'data', errors)
    validateKeys(map.binaryData, 'binaryData', errors)
    for (const key in map.data)
      if (map.binaryData?.[key] !== undefined) errors.push(badValue(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    if (sizeOf(map.data, (value) => value.length) + sizeOf(map.binaryData, base64Length) > DATA_MAX) errors.push(tooLong('', DATA_MAX))
    return errors
  },
  validateUpdate: (map, old) => validateImmutable(map, old, ['data', 'binaryData']),
  columns: [NAME, integer('Data', 'Data contains the configuration data.'), AGE],
  row: (map, now) => [map.metadata.name ?? '', Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length, age(map, now)]
}
