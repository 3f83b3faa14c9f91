/** What we make of a patch, and how two answers are compared: for the oracle's own runs, and for what was kept of them. */
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { Refusal } from '#events/Refusal.ts'
import type { TypeSchema } from '#events/schema/Schema.ts'
import { applyPatch } from '#services/apiserver/patch/apply.ts'
import { sorted, type FieldSet } from '#services/apiserver/patch/fieldSet.ts'
import { trackUpdate } from '#services/apiserver/patch/managedFields.ts'
import { applyStrategicMergePatch } from '#services/apiserver/patch/strategic.ts'
import type { Json } from './cases.ts'
import type { OracleAnswer, Question } from './Oracle.ts'

const TIME = '2026-01-01T00:00:00Z'

/** What was never stored has no uid: such an update is a create. */
const isStored = (live: unknown): live is KubeObject => (live as KubeObject | undefined)?.metadata.uid !== undefined

export const ours = (type: TypeSchema, question: Question): OracleAnswer => {
  const { op, apiVersion, live, given, manager = '', force = false, subresource, reset: names = [] } = structuredClone(question)
  const reset: FieldSet = Object.fromEntries(names.map((name) => [`f:${name}`, {}]))
  try {
    if (op === 'strategic') return { object: applyStrategicMergePatch(type, live, given as Json) }
    if (op === 'update') {
      const after = given as KubeObject
      trackUpdate({ type, before: isStored(live) ? live : undefined, after, manager, apiVersion, time: TIME, subresource, reset })
      return { object: after }
    }
    const applied = given as KubeObject
    const result = applyPatch({ type, live: live as KubeObject, applied, manager, force, apiVersion, time: TIME, subresource, reset })
    return 'conflicts' in result ? { error: result.message } : { object: result.object }
  } catch (error) {
    if (error instanceof Refusal) return { error: error.message }
    throw error
  }
}

export const split = (object: unknown): { body: unknown; managers: readonly unknown[] } => {
  if (object === undefined) return { body: undefined, managers: [] }
  const { metadata, ...rest } = object as KubeObject
  const { managedFields = [], ...meta } = metadata ?? {}
  const managers = managedFields.map(({ time: _, fieldsV1, ...entry }: ManagedFieldsEntry) => ({
    ...entry,
    fieldsV1: sorted((fieldsV1 ?? {}) as FieldSet)
  }))
  const inOrder = managers.toSorted((a, b) =>
    JSON.stringify([a.operation, a.manager]) < JSON.stringify([b.operation, b.manager]) ? -1 : 1
  )
  return { body: { ...rest, metadata: meta }, managers: inOrder }
}

export const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null)
      .map(([key, part]) => [key, withoutNulls(part)])
  )
}

/** An answer's words for a refusal; the order of upstream's lists of managers is chance. */
export const words = (text = ''): string => text.split('\n').toSorted().join('\n')
