/** Server-side apply (KEP-555): a manager states the fields it wants; what others own is a conflict, not a casualty. */
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { isObject } from '#events/meta/json.ts'
import { badRequest, type StatusCause } from '#events/Refusal.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'
import { intersection, minus, paths, union, unionOf, type FieldSet } from './fieldSet.ts'
import { bare, differenceOf, newEntry, owned, updated, withoutFields, type Writer } from './managedFields.ts'
import { isSame, losing, managersOf, written, type Manager } from './managers.ts'
import { changedIn, compareValues, removeItems, setOf, withNamedFields, type Comparison } from './ownedFields.ts'
import { mergeValues } from './mergeTyped.ts'
import { ofType, Untypable, type Shape } from './shape.ts'
import { typedFaults } from './typedFaults.ts'

export interface Apply extends Writer {
  readonly type: TypeSchema
  readonly live: KubeObject | undefined
  /** What the manager wants, as it was sent; without managedFields. */
  readonly applied: KubeObject
  readonly force: boolean
}

/** The object is made of what was stored and what was sent: to be decoded like anything a client sends. */
export type Applied = { readonly object: KubeObject } | { readonly conflicts: readonly StatusCause[]; readonly message: string }

const KUBECTL = 'kubectl'
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** Who owns what an object had before anybody applied anything. */
const BEFORE_FIRST_APPLY = 'before-first-apply'

/** As Go prints a group and version: `/v1` of core. */
const versionOf = ({ apiVersion }: KubeObject): string => (apiVersion.includes('/') ? apiVersion : `/${apiVersion}`)

/** Throws 400 when the schema has no place for something of it. */
const checkFits = (shape: Shape, applied: KubeObject): void => {
  if (applied.metadata?.managedFields !== undefined && applied.metadata.managedFields !== null)
    throw badRequest('metadata.managedFields must be nil')
  const fault = typedFaults(shape, applied)
  if (fault === undefined) return
  const { name = '', namespace = '' } = applied.metadata ?? {}
  throw badRequest(`failed to create typed patch object (${namespace}/${name}; ${versionOf(applied)}, Kind=${applied.kind}): ${fault}`)
}

/** What is written of an object's own half, and by whom it came to be. */
const managersBefore = (live: KubeObject | undefined, { type, ...writer }: Apply): Manager[] => {
  const managers = managersOf(live?.metadata.managedFields ?? []) ?? []
  if (managers.length > 0 || live === undefined) return managers
  return updated([], differenceOf(type, undefined, live, writer.reset), { ...writer, manager: BEFORE_FIRST_APPLY })
}

/**
 * The merged object without what this manager applied before and leaves out now. Parts that are owned by nobody (defaults) go with the
 * named field they are part of; what another manager owns comes back, with all it stands in.
 */
const pruned = (shape: Shape, merged: KubeObject, managers: readonly Manager[], last: FieldSet | undefined): KubeObject => {
  if (last === undefined) return merged
  const named = (set: FieldSet | undefined): FieldSet | undefined => withNamedFields(shape, set)
  const without_ = (gone: FieldSet | undefined): KubeObject =>
    gone === undefined ? merged : ((removeItems(shape, merged, gone) ?? {}) as KubeObject)
  const mergedSet = named(setOf(shape, merged))
  const lastSet = named(last)
  const left = named(setOf(shape, without_(lastSet)))
  const everybodys = named(unionOf(managers.map(({ set }) => set)))
  const kept = without_(minus(mergedSet, union(left, everybodys)))
  // What nobody owned, and what only stood in something that went, was not this manager's to remove.
  return without_(intersection(minus(mergedSet, named(setOf(shape, kept))), lastSet))
}

/** Throws 400 for what its schema has no place for, and where the present object is such that its parts can't be told apart. */
export const applyPatch = (apply: Apply): Applied => {
  try {
    return applied(apply)
  } catch (error) {
    if (error instanceof Untypable) throw badRequest(`failed to create typed live object: ${error.message}`)
    throw error
  }
}

const applied = (apply: Apply): Applied => {
  const { type, live, applied: sent, force, reset } = apply
  const shape = ofType(type)
  checkFits(shape, sent)
  const before = managersBefore(live, apply)
  const entry = newEntry('Apply', apply)
  const last = before.find((manager) => isSame(manager.entry, entry))
  const wanted = withoutFields(setOf(shape, sent), reset)
  const others = before.filter((manager) => manager !== last)
  const present = live === undefined ? {} : bare(live)
  const merged = mergeValues(shape, present, sent) as KubeObject
  const object = pruned(shape, merged, [...others, { entry, set: wanted }], last?.set)
  const difference = differenceOf(type, live, object, reset)
  const conflicts = force ? [] : conflictsWith(others, difference)
  if (conflicts.length > 0) {
    const left = unlessLastApplied(apply, conflicts)
    if (left.length > 0) return refusal(left)
  }
  const isChanged = !same(present, object)
  // Who wants what is there already has changed nothing at no time.
  const { time, ...timeless } = entry
  const when = isChanged ? time : last?.entry.time
  const mine: Manager = { entry: when === undefined ? timeless : { ...timeless, time: when }, set: owned(wanted) }
  const managedFields = written([...losing(others, difference), mine])
  return { object: finished(apply, isChanged ? object : (present as KubeObject), managedFields) }
}

/** With the managers; and where somebody goes over from client-side apply with kubectl, with the note that kubectl left there. */
const finished = ({ manager, applied }: Apply, object: KubeObject, managedFields: ManagedFieldsEntry[] | undefined): KubeObject => {
  const metadata = { ...object.metadata, ...(managedFields === undefined ? {} : { managedFields }) }
  if (manager !== KUBECTL || (metadata.annotations?.[LAST_APPLIED] ?? '') === '') return { ...object, metadata }
  const { [LAST_APPLIED]: _, ...annotations } = applied.metadata?.annotations ?? {}
  const noted = { ...applied, metadata: { ...applied.metadata, ...(applied.metadata?.annotations === undefined ? {} : { annotations }) } }
  metadata.annotations = { ...metadata.annotations, [LAST_APPLIED]: `${JSON.stringify(withSortedKeys(noted))}\n` }
  return { ...object, metadata }
}

/** As Go writes maps. */
const withSortedKeys = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withSortedKeys)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, withSortedKeys(value[key])])
  )
}

interface Conflict {
  readonly entry: ManagedFieldsEntry
  readonly set: FieldSet
}

const conflictsWith = (managers: readonly Manager[], difference: Comparison): Conflict[] => {
  const changed = changedIn(difference)
  return managers.flatMap(({ entry, set }) => {
    const shared = intersection(set, changed)
    return shared === undefined ? [] : [{ entry, set: shared }]
  })
}

/**
 * What client-side apply left as it is may be taken over from it by kubectl: who applied it then applies it now (KEP-555, "upgrade"). Any
 * other manager is somebody else, and hears of the conflict.
 */
const unlessLastApplied = ({ type, live, manager }: Apply, conflicts: readonly Conflict[]): readonly Conflict[] => {
  const note = live?.metadata.annotations?.[LAST_APPLIED]
  if (manager !== KUBECTL || live === undefined || note === undefined || note === '') return conflicts
  let applied: unknown
  try {
    applied = JSON.parse(note)
  } catch {
    return conflicts
  }
  const shape = ofType(type)
  if (!isObject(applied) || applied['apiVersion'] !== live.apiVersion || typedFaults(shape, applied) !== undefined) return conflicts
  const { added, modified, removed } = compareValues(shape, applied, live)
  const allowed = minus(minus(minus(setOf(shape, applied), modified), added), removed)
  const left = conflicts.flatMap(({ entry, set }) => {
    const rest = minus(set, intersection(set, allowed))
    return rest === undefined ? [] : [{ entry, set: rest }]
  })
  return left
}

const described = ({ manager, operation, apiVersion, subresource }: ManagedFieldsEntry): string =>
  `"${manager}"${subresource === undefined ? '' : ` with subresource "${subresource}"`}${operation === 'Update' ? ` using ${apiVersion}` : ''}`

/** Upstream's words: one conflict in a line, several grouped by manager. */
const refusal = (conflicts: readonly Conflict[]): Applied => {
  const named = conflicts
    .map(({ entry, set }) => ({ who: described(entry), fields: paths(set) }))
    .toSorted((a, b) => (a.who < b.who ? -1 : 1))
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
