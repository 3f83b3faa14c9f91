/** One random case: what we make of it, beside what upstream's libraries make of it. */
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { Refusal } from '#events/Refusal.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { applyPatch } from '#services/apiserver/patch/apply.ts'
import { sorted, type FieldSet } from '#services/apiserver/patch/fieldSet.ts'
import { trackUpdate } from '#services/apiserver/patch/managedFields.ts'
import { applyStrategicMergePatch } from '#services/apiserver/patch/strategic.ts'
import type { Json, KindName, Maker } from './cases.ts'
import type { Oracle, OracleAnswer, Question } from './Oracle.ts'

export interface Difference {
  readonly title: string
  readonly question: Question
  readonly ours: unknown
  readonly theirs: unknown
}

export interface Compared {
  readonly op: string
  readonly refused: boolean
  readonly difference?: Difference
}

const TIME = '2026-01-01T00:00:00Z'
const MANAGERS = ['one', 'two', 'three'] as const
const RESET = ['status'] as const

/** What was never stored has no uid: such an update is a create. */
const isStored = (live: unknown): live is KubeObject => (live as KubeObject | undefined)?.metadata.uid !== undefined

const ours = (type: TypeSchema, question: Question): OracleAnswer => {
  const { op, apiVersion, live, given, manager = '', force = false } = structuredClone(question)
  const reset: FieldSet = { 'f:status': {} }
  try {
    if (op === 'strategic') return { object: applyStrategicMergePatch(type, live, given as Json) }
    if (op === 'update') {
      const after = given as KubeObject
      trackUpdate({ type, before: isStored(live) ? live : undefined, after, manager, apiVersion, time: TIME, reset })
      return { object: after }
    }
    const applied = given as KubeObject
    const result = applyPatch({ type, live: live as KubeObject, applied, manager, force, apiVersion, time: TIME, reset })
    return 'conflicts' in result ? { error: result.message } : { object: result.object }
  } catch (error) {
    if (error instanceof Refusal) return { error: error.message }
    throw error
  }
}

const split = (object: unknown): { body: unknown; managers: readonly unknown[] } => {
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

const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null)
      .map(([key, part]) => [key, withoutNulls(part)])
  )
}

/** A question asked of both. Only their words for the same refusal may differ in order. */
const asked = async (oracle: Oracle, type: TypeSchema, question: Question, title: string): Promise<Compared & { next?: unknown }> => {
  const theirs = await oracle.ask(question)
  const mine = ours(type, question)
  const { op } = question
  if (theirs.error !== undefined || mine.error !== undefined) {
    const words = (text = ''): string => text.split('\n').toSorted().join('\n')
    // An update whose fields can't be followed is no failure of a server: the object goes without.
    if (op === 'update' && theirs.error !== undefined && split(mine.object).managers.length === 0) return { op, refused: true }
    const agree = theirs.error !== undefined && mine.error !== undefined && (op !== 'apply' || words(theirs.error) === words(mine.error))
    return { op, refused: agree, ...(agree ? {} : { difference: { title, question, ours: mine, theirs } }) }
  }
  // What Go drops, or writes whether it is there or not, is a matter of the types, and not of the patch.
  const round = async (object: unknown): Promise<OracleAnswer> =>
    oracle.ask({ op: 'round', apiVersion: question.apiVersion, kind: question.kind, live: object })
  const [left, right] = [split(mine.object), split(theirs.object)]
  const [a, b] = [await round(left.body), await round(right.body)]
  const agree = same(withoutNulls(a.object), withoutNulls(b.object)) && a.error === b.error && same(left.managers, right.managers)
  const next = theirs.object
  if (agree) return { op, refused: false, next }
  const difference = same(withoutNulls(a.object), withoutNulls(b.object))
    ? { title: `${title}: managers`, question, ours: left.managers, theirs: right.managers }
    : { title: `${title}: body`, question, ours: a.error ?? a.object, theirs: b.error ?? b.object }
  return { op, refused: false, difference, next }
}

export const compareCase = async (oracle: Oracle, maker: Maker, name: KindName, seed: number, only?: string): Promise<Compared[]> => {
  const type = typeOfKind(name.group, name.version, name.kind) as TypeSchema
  const { apiVersion } = maker
  const { kind } = name
  const round = async (object: Json): Promise<Json> => {
    const { object: made, error } = await oracle.ask({ op: 'round', apiVersion, kind, live: object })
    if (error !== undefined) throw new Error(`seed ${seed}: ${error}`)
    return made as Json
  }
  const results: Compared[] = []
  const made = maker.object()
  const live = await round({ ...made, metadata: { ...(made['metadata'] as Json), uid: 'u' } })
  if (only === undefined || only === 'strategic')
    results.push(
      await asked(
        oracle,
        type,
        { op: 'strategic', apiVersion, kind, live, given: maker.strategic(live) },
        `seed ${seed}, ${kind} strategic`
      )
    )
  if (only === 'strategic') return results
  // A life: applied and updated by several, from nothing or from what nobody applied.
  let now: Json = maker.chance(0.7) ? { apiVersion, kind, metadata: {} } : live
  let wanted = live
  for (let step = 0; step < 6; step++) {
    const title = `seed ${seed}, ${kind} step ${step}`
    wanted = maker.edited(wanted)
    const isApply = step === 0 || maker.chance(0.7)
    const question: Question = isApply
      ? {
          op: 'apply',
          apiVersion,
          kind,
          live: now,
          given: withoutNulls(maker.part(wanted)),
          manager: maker.pick(MANAGERS),
          force: maker.chance(0.6),
          reset: RESET
        }
      : {
          op: 'update',
          apiVersion,
          kind,
          live: now,
          given: await round({ ...maker.edited(now), ...{} }),
          manager: maker.pick(MANAGERS),
          reset: RESET
        }
    const { next, ...result } = await asked(oracle, type, question, title)
    results.push(result)
    if (result.difference !== undefined) break
    if (next !== undefined) now = { ...(next as Json), metadata: { ...((next as Json)['metadata'] as Json), uid: 'u' } }
  }
  return results
}
