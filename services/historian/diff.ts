/** What changed between two versions of an object, field by field, as a person reads it. Plain functions. */
import { isObject } from '#events/meta/json.ts'
import type { KubeObject } from '#events/KubeObject.ts'

export interface FieldChange {
  /** `spec.replicas`, `spec.template.spec.containers[name=web].image` */
  readonly path: string
  /** Absent: the field was added. */
  readonly before?: unknown
  /** Absent: the field was removed. */
  readonly after?: unknown
}

/** Bookkeeping that changes with everything and says nothing. */
const SILENT = new Set(['metadata.resourceVersion', 'metadata.managedFields', 'metadata.generation', 'status.observedGeneration'])
const HIDDEN = '<hidden>'

/** The changes from `before` to `after`; a Secret's values are never shown. */
export const diffObjects = (before: KubeObject | undefined, after: KubeObject): readonly FieldChange[] => {
  const changes: FieldChange[] = []
  walk('', before ?? {}, after, changes)
  if (after.kind !== 'Secret') return changes
  return changes.map((change) =>
    /^(data|stringData)\b/.test(change.path)
      ? { path: change.path, ...('before' in change ? { before: HIDDEN } : {}), ...('after' in change ? { after: HIDDEN } : {}) }
      : change
  )
}

/** The field that names the items of a list, if they all have one of these and no two share it. */
const nameField = (left: readonly unknown[], right: readonly unknown[]): string | undefined =>
  ['name', 'type', 'uid', 'containerPort', 'port', 'key', 'ip'].find((field) =>
    [left, right].every(
      (list) =>
        list.every((item) => isObject(item) && item[field] !== undefined) &&
        new Set(list.map((item) => (item as Record<string, unknown>)[field])).size === list.length
    )
  )

const segment = (path: string, key: string): string => {
  if (/[.[\]/]/.test(key)) return `${path}[${key}]`
  return path === '' ? key : `${path}.${key}`
}

const walk = (path: string, before: unknown, after: unknown, changes: FieldChange[]): void => {
  if (SILENT.has(path) || before === after) return
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) walk(segment(path, key), before[key], after[key], changes)
    return
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length + after.length > 0) {
    const field = nameField(before, after)
    if (field !== undefined) {
      const byName = (list: readonly unknown[]): Map<unknown, unknown> =>
        new Map(list.map((item) => [(item as Record<string, unknown>)[field], item]))
      const left = byName(before)
      const right = byName(after)
      for (const name of new Set([...left.keys(), ...right.keys()]))
        walk(`${path}[${field}=${String(name)}]`, left.get(name), right.get(name), changes)
      return
    }
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return
  changes.push({ path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) })
}
