/** One random case: what we make of it, beside what upstream's libraries make of it. */
import { same } from '#events/meta/faults.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { ours, split, withoutNulls, words } from './answers.ts'
import type { Json, KindName, Maker } from './cases.ts'
import type { Oracle, OracleAnswer, Question } from './Oracle.ts'

export interface Difference {
  readonly title: string
  readonly question: Question
  readonly ours: unknown
  readonly theirs: unknown
}

/** What both agree on, to be kept. */
export interface Agreed {
  readonly question: Question
  readonly answer: OracleAnswer
}

export interface Compared {
  readonly agreed?: Agreed
  readonly op: string
  readonly refused: boolean
  readonly difference?: Difference
}

const MANAGERS = ['one', 'two', 'three'] as const
const RESET = ['status'] as const

/** A question asked of both. Only their words for the same refusal may differ in order. */
const asked = async (oracle: Oracle, type: TypeSchema, question: Question, title: string): Promise<Compared & { next?: unknown }> => {
  const theirs = await oracle.ask(question)
  const mine = ours(type, question)
  const { op } = question
  if (theirs.error !== undefined || mine.error !== undefined) {
    // An update whose fields can't be followed is no failure of a server: the object goes without.
    if (op === 'update' && theirs.error !== undefined && split(mine.object).managers.length === 0) return { op, refused: true }
    const agree = theirs.error !== undefined && mine.error !== undefined && (op !== 'apply' || words(theirs.error) === words(mine.error))
    return {
      op,
      refused: agree,
      ...(agree ? { agreed: { question, answer: theirs } } : { difference: { title, question, ours: mine, theirs } })
    }
  }
  // What Go drops, or writes whether it is there or not, is a matter of the types, and not of the patch.
  const round = async (object: unknown): Promise<OracleAnswer> =>
    oracle.ask({ op: 'round', apiVersion: question.apiVersion, kind: question.kind, live: object })
  const [left, right] = [split(mine.object), split(theirs.object)]
  const [a, b] = [await round(left.body), await round(right.body)]
  const agree = same(withoutNulls(a.object), withoutNulls(b.object)) && a.error === b.error && same(left.managers, right.managers)
  const next = theirs.object
  if (agree) return { op, refused: false, next, agreed: { question, answer: theirs } }
  const difference = same(withoutNulls(a.object), withoutNulls(b.object))
    ? { title: `${title}: managers`, question, ours: left.managers, theirs: right.managers }
    : { title: `${title}: body`, question, ours: a.error ?? a.object, theirs: b.error ?? b.object }
  return { op, refused: false, difference, next }
}

/** A question made by hand, with its objects as Go writes them. */
export const compareCorner = async (oracle: Oracle, question: Question, title: string): Promise<Compared> => {
  const { apiVersion, kind } = question
  const [version = '', group = ''] = apiVersion.split('/').toReversed()
  const round = async (live: unknown): Promise<unknown> => (await oracle.ask({ op: 'round', apiVersion, kind, live })).object
  const given = question.op === 'update' ? await round(question.given) : question.given
  const written = { ...question, live: await round(question.live), given }
  const { next: _, ...result } = await asked(oracle, typeOfKind(group, version, kind) as TypeSchema, written, title)
  return result
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
