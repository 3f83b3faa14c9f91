/** From what a client sent to an object of the kind: types checked, unknown fields refused, warned of or dropped. */
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest } from '#events/Refusal.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { decodeStrict } from '#events/schema/validate.ts'

export const apiVersionOf = (kind: Kind): string => (kind.group === '' ? kind.version : `${kind.group}/${kind.version}`)

const types = new Map<Kind, TypeSchema>()

export const typeOf = (kind: Kind): TypeSchema => {
  let type = types.get(kind)
  if (type === undefined) {
    type = typeOfKind(kind.group, kind.version, kind.kind)
    if (type === undefined) throw new Error(`the schema has no ${apiVersionOf(kind)} ${kind.kind}; generate it again`)
    types.set(kind, type)
  }
  return type
}

export interface Decoded {
  /** A copy of the caller's own: to be changed in place. */
  readonly object: KubeObject
  readonly warnings: readonly string[]
}

/** Refuses with 400 in the words of upstream's decoder. */
export const decodeObject = (kind: Kind, value: unknown, validation: NonNullable<Intent['options']>['fieldValidation']): Decoded => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest(`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: the object is not a JSON object`)
  const given = value as Partial<KubeObject>
  const apiVersion = apiVersionOf(kind)
  if (given.kind !== undefined && given.kind !== '' && given.kind !== kind.kind)
    throw badRequest(`${given.kind} in version "${(given.apiVersion ?? '').split('/').at(-1) ?? ''}" cannot be handled as a ${kind.kind}: no kind "${given.kind}" is registered for the resource ${kind.resource}`)
  if (given.apiVersion !== undefined && given.apiVersion !== '' && given.apiVersion !== apiVersion)
    throw badRequest(`the API version in the data (${given.apiVersion}) does not match the expected API version (${apiVersion})`)
  const mode = validation ?? 'Warn'
  const decoded = decodeStrict(typeOf(kind), value, mode)
  if (decoded.errors.length > 0) throw badRequest(`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${decoded.errors[0]}`)
  if (mode === 'Strict' && decoded.unknownFields.length > 0)
    throw badRequest(`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${decoded.unknownFields.join(', ')}`)
  const object = decoded.value as KubeObject
  object.apiVersion = apiVersion
  object.kind = kind.kind
  object.metadata ??= {}
  return { object, warnings: mode === 'Warn' ? decoded.unknownFields : [] }
}
