/** Who owns which fields, kept up to date on every write that is not an apply (KEP-555). */
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'
import { minus, objectDifference, union, type FieldSet } from './fieldSet.ts'

export interface Update {
  readonly type: TypeSchema
  readonly before: KubeObject | undefined
  /** Gets its `metadata.managedFields` set, in place. */
  readonly after: KubeObject
  readonly manager: string
  /** `apps/v1` */
  readonly apiVersion: string
  /** RFC 3339, seconds. */
  readonly time: string
  readonly subresource?: string
}

const LONGEST_MANAGER = 128

export const trackUpdate = ({ type, before, after, manager, apiVersion, time, subresource }: Update): void => {
  const { changed, removed } = objectDifference(type, before, after)
  const present = before?.metadata.managedFields ?? []
  if (changed === undefined && removed === undefined) {
    if (present.length > 0) after.metadata.managedFields = present
    return
  }
  const name = manager.slice(0, LONGEST_MANAGER)
  const entries: ManagedFieldsEntry[] = []
  let mine: ManagedFieldsEntry | undefined
  for (const entry of present) {
    const isMine =
      mine === undefined &&
      entry.operation === 'Update' &&
      entry.manager === name &&
      entry.apiVersion === apiVersion &&
      entry.subresource === subresource
    let set: FieldSet | undefined = entry.fieldsV1
    if (removed !== undefined) set = minus(set, removed)
    if (changed !== undefined && !isMine && set !== undefined) set = minus(set, changed)
    if (isMine) {
      const next = changed === undefined ? set : union(set ?? changed, changed)
      if (next !== undefined) entries.push((mine = { ...entry, time, fieldsV1: next }))
    } else if (set !== undefined) entries.push(set === entry.fieldsV1 ? entry : { ...entry, fieldsV1: set })
  }
  if (mine === undefined && changed !== undefined)
    entries.push({
      manager: name,
      operation: 'Update',
      apiVersion,
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: changed,
      ...(subresource === undefined ? {} : { subresource })
    })
  if (entries.length > 0) after.metadata.managedFields = entries
  else delete after.metadata.managedFields
}
