/** Who owns which fields, kept up to date on every write that is not an apply (KEP-555). */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { emptyOf } from '#events/schema/presence.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'
import { holds, minus, union, without, type FieldSet } from './fieldSet.ts'
import { capped, isSame, losing, managersOf, written, type Manager } from './managers.ts'
import { changedIn, compareValues, type Comparison } from './ownedFields.ts'
import { ofType, Untypable } from './shape.ts'

/** Who writes, and when. */
export interface Writer {
  /** A name a client chose, at most 128 characters; what is longer was its User-Agent. */
  readonly manager: string
  /** `apps/v1` */
  readonly apiVersion: string
  /** RFC 3339, seconds. */
  readonly time: string
  readonly subresource?: string | undefined
  /** Fields that this request can't write whatever it says: nobody comes to own them by it. */
  readonly reset?: FieldSet | undefined
}

export interface Update extends Writer {
  readonly type: TypeSchema
  readonly before: KubeObject | undefined
  /** Gets its `metadata.managedFields` set, in place. What it brings of them replaces what there was. */
  readonly after: KubeObject
}

const LONGEST_MANAGER = 128

const LEAF: FieldSet = {}
/** What nobody owns: identity, and what only the server sets. */
const UNOWNED: FieldSet = {
  'f:apiVersion': LEAF,
  'f:kind': LEAF,
  'f:metadata': {
    '.': LEAF,
    ...Object.fromEntries(
      ['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map(
        (name) => [`f:${name}`, LEAF]
      )
    )
  }
}

const resets = new WeakMap<TypeSchema, Record<'main' | 'status', FieldSet>>()

/** What a request can't write of an object with two halves: of the object its status, of its status all but that and the metadata. */
export const resetFields = ({ hasStatus }: Pick<Kind, 'hasStatus'>, type: TypeSchema, subresource: string): FieldSet | undefined => {
  if (hasStatus !== true || (subresource !== '' && subresource !== 'status')) return undefined
  let found = resets.get(type)
  if (found === undefined) {
    const rest = Object.keys(type.fields).filter((name) => !['apiVersion', 'kind', 'metadata', 'status'].includes(name))
    found = { main: { 'f:status': LEAF }, status: Object.fromEntries(rest.map((name) => [`f:${name}`, LEAF])) }
    resets.set(type, found)
  }
  return subresource === '' ? found.main : found.status
}

export const owned = (set: FieldSet | undefined): FieldSet | undefined => minus(set, UNOWNED)

export const withoutFields = (set: FieldSet | undefined, reset: FieldSet | undefined): FieldSet | undefined =>
  reset === undefined ? set : without(set, reset)

/** The object as its fields are compared: without the list of who owns them. */
export const bare = (object: KubeObject): KubeObject => {
  if (object.metadata.managedFields === undefined) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** The fields that a request may come to own: what it can't write is not even looked at, and is half of most objects. */
const writable = (object: object, reset: FieldSet | undefined): object =>
  reset === undefined ? object : Object.fromEntries(Object.entries(object).filter(([name]) => !holds(reset, `f:${name}`)))

/** Where the halves of an object differ that this request can write. `reset`: fields of the object itself. */
export const differenceOf = (type: TypeSchema, before: KubeObject | undefined, after: KubeObject, reset?: FieldSet): Comparison =>
  compareValues(ofType(type), writable(before === undefined ? emptyOf(type) : bare(before), reset), writable(bare(after), reset))

export const newEntry = (
  operation: ManagedFieldsEntry['operation'],
  { manager, apiVersion, time, subresource }: Writer
): ManagedFieldsEntry => ({
  manager: manager === '' ? 'unknown' : manager.slice(0, LONGEST_MANAGER),
  operation,
  apiVersion,
  time,
  fieldsType: 'FieldsV1',
  fieldsV1: {},
  ...((subresource ?? '') === '' ? {} : { subresource: subresource as string })
})

/** The managers after somebody changed the object. */
export const updated = (managers: readonly Manager[], difference: Comparison, writer: Writer): Manager[] => {
  const others = losing(managers, difference)
  const changed = owned(changedIn(difference))
  if (changed === undefined) return others
  const entry = newEntry('Update', writer)
  const mine = others.find((other) => isSame(other.entry, entry))
  const rest = others.filter((other) => other !== mine)
  return [...rest, { entry: { ...(mine?.entry ?? entry), time: writer.time }, set: union(changed, mine?.set) }]
}

/** `[]` and `[{}]` say that nobody owns anything any more. */
const isReset = (entries: readonly ManagedFieldsEntry[] | undefined): boolean =>
  entries !== undefined &&
  (entries.length === 0 || (entries.length === 1 && Object.values(entries[0] as object).every((value) => value === undefined)))

/** Whose list counts: the one a client brings, if it can be read and is not empty; of a subresource always the present one. */
const managersBefore = ({ before, after, subresource }: Update): Manager[] => {
  const present = before?.metadata.managedFields ?? []
  const brought = after.metadata.managedFields
  if ((subresource ?? '') !== '') return managersOf(present) ?? []
  if (isReset(brought)) return []
  const managers = brought === undefined || brought === present ? undefined : managersOf(brought)
  return managers === undefined || managers.length === 0 ? (managersOf(present) ?? []) : managers
}

/** As upstream: of an object whose parts can't be told apart nobody owns anything. */
const trackedAfter = (managers: readonly Manager[], update: Update): ManagedFieldsEntry[] | undefined => {
  const { type, before, after, reset } = update
  try {
    return written(capped(updated(managers, differenceOf(type, before, after, reset), update)))
  } catch (error) {
    if (error instanceof Untypable) return undefined
    throw error
  }
}

export const trackUpdate = (update: Update): void => {
  const { before, after } = update
  const managers = managersBefore(update)
  // Objects whose owners were cleared stay without, until somebody applies.
  const tracked = before === undefined || managers.length > 0
  const entries = tracked ? trackedAfter(managers, update) : undefined
  if (entries === undefined) delete after.metadata.managedFields
  else after.metadata.managedFields = entries
}
