/** The managers of an object's fields: who owns what, read from `metadata.managedFields` and written back (KEP-555). */
import type { ManagedFieldsEntry } from '#events/KubeObject.ts'
import { isObject } from '#events/meta/json.ts'
import { intersection, minus, sorted, unionOf, type FieldSet } from './fieldSet.ts'
import { changedIn, type Comparison } from './ownedFields.ts'

/** One manager; without `set` it owns nothing, and goes when the list is written. */
export interface Manager {
  readonly entry: ManagedFieldsEntry
  readonly set: FieldSet | undefined
}

/** As upstream (fieldmanager's DefaultMaxUpdateManagers): of more, the oldest become one. */
const MOST_UPDATERS = 10
const OLD_UPDATES = 'ancient-changes'

export type ManagerName = Pick<ManagedFieldsEntry, 'manager' | 'operation' | 'apiVersion'> & { readonly subresource?: string | undefined }

/** An applier is the same in every version of a kind. */
export const isSame = (a: ManagerName, b: ManagerName): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  (a.subresource ?? '') === (b.subresource ?? '') &&
  (a.operation === 'Apply' || a.apiVersion === b.apiVersion)

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a client writes into a list may be anything: a segment that can't be read could not be put in its place either. */
const isSegment = (segment: string): boolean => {
  if (segment === '.') return true
  if (segment[1] !== ':') return false
  const rest = segment.slice(2)
  switch (segment[0]) {
    case 'f':
      return true
    case 'k':
      return isObject(parsed(rest))
    case 'v':
      return parsed(rest) !== undefined
    case 'i':
      return /^[+-]?\d+$/.test(rest)
    default:
      return false
  }
}

const isFieldSet = (value: unknown): value is FieldSet =>
  isObject(value) && Object.entries(value).every(([segment, below]) => isSegment(segment) && isFieldSet(below))

/** What {@link isSame} compares, as one text. */
const nameOf = ({ manager, operation, apiVersion, subresource }: ManagerName): string =>
  JSON.stringify([manager, operation, subresource ?? '', operation === 'Apply' ? '' : apiVersion])

/** The managers a list names; undefined when one of its entries can't be read. */
export const managersOf = (entries: readonly ManagedFieldsEntry[]): Manager[] | undefined => {
  // By name, in the order of the list: a search for each would take the square of a list that a client may make long.
  const managers = new Map<string, Manager>()
  for (const entry of entries) {
    const { operation, apiVersion, fieldsType, fieldsV1 = {} } = entry
    if ((operation !== 'Apply' && operation !== 'Update') || (apiVersion ?? '') === '' || fieldsType !== 'FieldsV1') return undefined
    if (!isFieldSet(fieldsV1)) return undefined
    const set = Object.keys(fieldsV1).length === 0 ? undefined : fieldsV1
    managers.set(nameOf(entry), { entry, set })
  }
  return [...managers.values()]
}

/** What everybody owns after a change: what was changed is lost to all, what was removed there is no more. */
export const losing = (managers: readonly Manager[], difference: Comparison): Manager[] => {
  const changed = changedIn(difference)
  // Of the change, what a manager has of it alone: the whole of it for each of thousands would take their product.
  return managers.map(({ entry, set }) => ({
    entry,
    set: minus(minus(set, intersection(set, changed)), intersection(set, difference.removed))
  }))
}

const secondsOf = ({ time }: ManagedFieldsEntry): number => (time === undefined ? 0 : Math.floor(Date.parse(time) / 1_000))
const byText = (a = '', b = ''): number => (a < b ? -1 : a > b ? 1 : 0)

const inOrder = (a: ManagedFieldsEntry, b: ManagedFieldsEntry): number =>
  byText(a.operation, b.operation) ||
  secondsOf(a) - secondsOf(b) ||
  byText(a.manager, b.manager) ||
  byText(a.apiVersion, b.apiVersion) ||
  byText(a.subresource, b.subresource)

/** As upstream names an updater where times tell nothing. */
const identity = ({ manager, operation, apiVersion, subresource }: ManagedFieldsEntry): string =>
  JSON.stringify({ manager, operation, apiVersion, subresource })

/** Of updaters beyond the cap the oldest of a version become one, `ancient-changes`; the first of each version stays as it is. */
export const capped = (managers: readonly Manager[]): Manager[] => {
  const updaters = managers
    .filter(({ entry, set }) => entry.operation === 'Update' && set !== undefined)
    .toSorted((a, b) => secondsOf(a.entry) - secondsOf(b.entry) || byText(identity(a.entry), identity(b.entry)))
  let count = updaters.length
  if (count <= MOST_UPDATERS) return [...managers]
  const kept = new Set(managers)
  const firsts = new Map<string, Manager>()
  const buckets = new Map<string, { readonly entry: ManagedFieldsEntry; readonly sets: (FieldSet | undefined)[] }>()
  const known = new Map(managers.map((manager) => [nameOf(manager.entry), manager]))
  for (const updater of updaters) {
    if (count <= MOST_UPDATERS) break
    const { apiVersion } = updater.entry
    const first = firsts.get(apiVersion)
    if (first === undefined) {
      firsts.set(apiVersion, updater)
      continue
    }
    const name: ManagerName = { manager: OLD_UPDATES, operation: 'Update', apiVersion }
    const old = known.get(nameOf(name)) ?? first
    const bucket = buckets.get(apiVersion) ?? { entry: old.entry, sets: [old.set] }
    const { subresource: _, ...entry } = { ...bucket.entry, ...name }
    const { time } = updater.entry
    for (const gone of [old, updater]) kept.delete(gone)
    bucket.sets.push(updater.set)
    buckets.set(apiVersion, { entry: time === undefined ? entry : { ...entry, time }, sets: bucket.sets })
    count--
  }
  return [...kept, ...[...buckets.values()].map(({ entry, sets }) => ({ entry, set: unionOf(sets) }))]
}

/** `metadata.managedFields` as upstream writes it: appliers first, then by time; undefined when nobody owns anything. */
export const written = (managers: readonly Manager[]): ManagedFieldsEntry[] | undefined => {
  const entries = managers
    .filter(({ set }) => set !== undefined)
    .map(({ entry, set }) => (set === (entry.fieldsV1 as unknown) ? entry : { ...entry, fieldsV1: sorted(set as FieldSet) }))
    .toSorted((a, b) => inOrder(a, b))
  return entries.length === 0 ? undefined : (entries as ManagedFieldsEntry[])
}
