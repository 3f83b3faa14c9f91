/** Server-side apply (KEP-555): a manager states the fields it wants; what others own is a conflict, not a casualty. */
import { isObject } from '#events/meta/json.ts'
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { badRequest, type StatusCause } from '#events/Refusal.ts'
import { same } from '#events/meta/faults.ts'
import { DEDUCED, fieldOf, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { intersection, isEmpty, itemKey, minus, objectDifference, paths, setOfObject, type FieldSet } from './fieldSet.ts'

export interface Apply {
  readonly type: TypeSchema
  readonly live: KubeObject | undefined
  /** What the manager wants; without managedFields. */
  readonly applied: KubeObject
  readonly manager: string
  readonly force: boolean
  readonly apiVersion: string
  /** RFC 3339, seconds. */
  readonly time: string
  readonly subresource?: string
}

export type Applied = { readonly object: KubeObject } | { readonly conflicts: readonly StatusCause[]; readonly message: string }

type Json = Record<string, unknown>

export const applyPatch = ({ type, live, applied, manager, force, apiVersion, time, subresource }: Apply): Applied => {
  if ((applied.metadata.managedFields?.length ?? 0) > 0) throw badRequest('metadata.managedFields must be nil')
  const wanted = setOfObject(type, applied)
  const mine: ManagedFieldsEntry = {
    manager,
    operation: 'Apply',
    apiVersion,
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: wanted,
    ...(subresource === undefined ? {} : { subresource })
  }
  if (live === undefined) return { object: { ...applied, metadata: { ...applied.metadata, managedFields: [mine] } } }
  const entries = live.metadata.managedFields ?? []
  const isMine = (entry: ManagedFieldsEntry): boolean =>
    entry.operation === 'Apply' && entry.manager === manager && entry.subresource === subresource
  const last = entries.find(isMine)
  const others = entries.filter((entry) => !isMine(entry))
  let object = mergeFields(type, live, applied) as KubeObject
  const { changed } = objectDifference(type, live, object)

  const conflicts: { entry: ManagedFieldsEntry; paths: string[] }[] = []
  let kept: ManagedFieldsEntry[] = others
  if (changed !== undefined) {
    for (const entry of others) {
      const shared = intersection(entry.fieldsV1, changed)
      if (shared !== undefined) conflicts.push({ entry, paths: paths(shared) })
    }
    if (conflicts.length > 0 && !force) return conflictsOf(conflicts)
    kept = others.flatMap((entry) => {
      const set = minus(entry.fieldsV1, changed)
      return set === undefined ? [] : [set === entry.fieldsV1 ? entry : { ...entry, fieldsV1: set }]
    })
  }
  // What this manager applied before and leaves out now goes, unless somebody else owns it too.
  let dropped = last === undefined ? undefined : minus(last.fieldsV1, wanted)
  for (const entry of kept) if (dropped !== undefined) dropped = minus(dropped, entry.fieldsV1)
  if (dropped !== undefined) object = removeFields(type, object, dropped) as KubeObject

  const unchanged =
    last !== undefined &&
    last.apiVersion === apiVersion &&
    same(last.fieldsV1, wanted) &&
    same(
      { ...object, metadata: { ...object.metadata, managedFields: undefined } },
      { ...live, metadata: { ...live.metadata, managedFields: undefined } }
    )
  const managedFields = unchanged ? entries : [...(isEmpty(wanted) ? [] : [mine]), ...kept]
  return { object: { ...object, metadata: { ...object.metadata, managedFields } } }
}

/** Upstream's words: one conflict in a line, several grouped by manager. */
const conflictsOf = (conflicts: readonly { entry: ManagedFieldsEntry; paths: string[] }[]): Applied => {
  const named = conflicts.map(({ entry, paths: fields }) => ({ who: describe(entry), fields }))
  const count = named.reduce((sum, { fields }) => sum + fields.length, 0)
  const detail =
    count === 1
      ? `conflict with ${named[0]?.who}: ${named[0]?.fields[0]}`
      : named.flatMap(({ who, fields }) => [`conflicts with ${who}:`, ...fields.map((field) => `- ${field}`)]).join('\n')
  return {
    message: `Apply failed with ${count} conflict${count === 1 ? '' : 's'}: ${detail}`,
    conflicts: named.flatMap(({ who, fields }) =>
      fields.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field }))
    )
  }
}

const describe = ({ manager, operation, apiVersion, subresource }: ManagedFieldsEntry): string =>
  `"${manager}"${subresource === undefined ? '' : ` with subresource "${subresource}"`}${operation === 'Update' ? ` using ${apiVersion}` : ''}`

const isAtomic = (field: FieldSchema): boolean => field.mapType === 'atomic' || field.object?.mapType === 'atomic'

const mergeFields = (type: TypeSchema, live: Json, applied: Json): Json => {
  const merged: Json = { ...live }
  for (const key in applied) if (applied[key] !== undefined) merged[key] = mergeValue(fieldOf(type, key), live[key], applied[key])
  return merged
}

const mergeValue = (field: FieldSchema | undefined, live: unknown, applied: unknown): unknown => {
  if (field === undefined || live === undefined || live === null || applied === null) return applied
  if (field.object !== undefined && !isAtomic(field) && isObject(live) && isObject(applied)) return mergeFields(field.object, live, applied)
  const items = field.type === 'any' && field.preserveUnknown === true ? DEDUCED : field.items
  if ((field.type === 'map' || items === DEDUCED) && !isAtomic(field) && isObject(live) && isObject(applied)) {
    const merged: Json = { ...live }
    for (const key in applied) merged[key] = items === undefined ? applied[key] : mergeValue(items, live[key], applied[key])
    return merged
  }
  if (field.type !== 'array' || !Array.isArray(live) || !Array.isArray(applied)) return applied
  if (field.listType === 'set') {
    const known = new Set<unknown>(live)
    return [...live, ...applied.filter((item) => !known.has(item))]
  }
  const { listMapKeys: keys } = field
  if (field.listType !== 'map' || keys === undefined) return applied
  const wanted = new Map<string, unknown>(applied.map((item) => [itemKey(item, keys), item]))
  if (wanted.size < applied.length)
    throw badRequest(`failed to create typed patch object: duplicate entries for key ${duplicateKey(applied, keys)}`)
  const present = new Set<string>(live.map((item) => itemKey(item, keys)))
  // The applier's order for the items it names, the others where they were: as far as both can be had.
  return [
    ...live.map((item: unknown) => {
      const mine = wanted.get(itemKey(item, keys))
      return mine === undefined ? item : mergeValue(field.items, item, mine)
    }),
    ...applied.filter((item) => !present.has(itemKey(item, keys)))
  ]
}

const duplicateKey = (items: readonly unknown[], keys: readonly string[]): string => {
  const seen = new Set<string>()
  for (const item of items) {
    const key = itemKey(item, keys)
    if (seen.has(key)) return `[${key.slice(3, -1).replaceAll('":', '"=')}]`
    seen.add(key)
  }
  return ''
}

const removeFields = (type: TypeSchema, object: Json, gone: FieldSet): Json => {
  const rest: Json = { ...object }
  for (const segment in gone) {
    const key = segment.slice(2)
    if (!segment.startsWith('f:') || !(key in rest)) continue
    const value = removeValue(fieldOf(type, key), rest[key], gone[segment] as FieldSet)
    if (value === undefined) delete rest[key]
    else rest[key] = value
  }
  return rest
}

/** The value without the fields, or undefined when nothing is left of it. */
const removeValue = (field: FieldSchema | undefined, value: unknown, gone: FieldSet): unknown => {
  if (isEmpty(gone)) return undefined
  if (Array.isArray(value)) {
    const keys = field?.listMapKeys
    const rest = value.flatMap((item: unknown) => {
      const below = gone[keys === undefined ? `v:${JSON.stringify(item)}` : itemKey(item, keys)]
      if (below === undefined) return [item]
      // An item whose very existence was only this manager's goes whole.
      if (isEmpty(below) || '.' in below) return []
      const left = removeValue(field?.items, item, below)
      return left === undefined ? [] : [left]
    })
    return rest.length === 0 ? undefined : rest
  }
  if (!isObject(value)) return value
  if (field?.object !== undefined) {
    const rest = removeFields(field.object, value, gone)
    return Object.keys(rest).length === 0 ? undefined : rest
  }
  const rest: Json = { ...value }
  const items = field?.type === 'map' ? field.items : field
  for (const segment in gone) {
    const key = segment.slice(2)
    if (!segment.startsWith('f:') || !(key in rest)) continue
    const left = removeValue(items, rest[key], gone[segment] as FieldSet)
    if (left === undefined) delete rest[key]
    else rest[key] = left
  }
  return Object.keys(rest).length === 0 ? undefined : rest
}
