/**
 * Admission: the ordered list of what has a say in a write besides the kind itself. First every plugin's `admit`, which may
 * change the object; when everything is decided, every plugin's `validate`, which may only refuse, warn and note.
 */
import type { Guard } from '#events/guard.ts'
import { keyId } from '#events/Key.ts'
import {
  type Accompanying,
  type AdmissionPlugin,
  type Admitted,
  type Admitting,
  type Answer,
  type DecideContext,
  type Decided,
  type Need,
  NOTHING,
  type Question,
  Unanswered,
  type Write
} from '#services/apiserver/decision.ts'
import { DefaultTolerationSeconds } from './defaultTolerationSeconds.ts'
import { NamespaceLifecycle } from './namespaceLifecycle.ts'
import { NodeRestriction } from './nodeRestriction.ts'
import { PodSecurity } from './podSecurity.ts'
import { Priority } from './priority.ts'
import { RoleEscalation } from './roleEscalation.ts'
import { ServiceAccount } from './serviceAccount.ts'

/** Upstream's order (`AllOrderedPlugins`); last what upstream does beside its plugins. */
export const ADMISSION: readonly AdmissionPlugin[] = [
  NamespaceLifecycle,
  ServiceAccount,
  NodeRestriction,
  PodSecurity,
  Priority,
  DefaultTolerationSeconds,
  RoleEscalation
]

const pluginsOf = ({ plugins = ADMISSION }: DecideContext, { operation, kind, subresource }: Write): readonly AdmissionPlugin[] =>
  plugins.filter((plugin) => plugin.handles(operation, kind, subresource))

/** Whom it is said to. */
interface Said {
  readonly warnings: string[]
  readonly audit: Record<string, string>
}

const needFor = (question: Question, { digest }: DecideContext): Need => {
  if (digest === undefined) throw new Error(`nobody can be asked here, and a plugin asks ${question.kind} ${question.name}`)
  return { ...question, id: digest(JSON.stringify([question.kind, question.name, question.request])) }
}

/** True when somebody outside changed the object. */
const admitOnce = (write: Write, context: DecideContext, said: Said, notes: Map<unknown, unknown>, again: boolean): boolean => {
  let changed = false
  const admitting: Admitting = {
    context,
    again,
    notes,
    ask: (question) => {
      const need = needFor(question, context)
      const answered = context.answers?.get(need.id)
      if (answered === undefined) throw new Unanswered([need])
      return answered.answer
    },
    warn: (warning) => void (said.warnings.includes(warning) || said.warnings.push(warning)),
    note: (key, value) => void (said.audit[key] = value),
    changed: () => void (changed = true)
  }
  for (const plugin of pluginsOf(context, write)) plugin.admit?.(write, admitting)
  return changed
}

/**
 * The changing half, in place. When somebody outside changed the object, every plugin sees it once more (upstream's
 * reinvocation); what is changed then is final. Returns what there is to say, and whether somebody outside changed the object.
 */
export const admit = (write: Write, context: DecideContext): Admitted & { readonly changed: boolean } => {
  const said: Said = { warnings: [], audit: {} }
  const notes = new Map<unknown, unknown>()
  const changed = admitOnce(write, context, said, notes, false)
  if (changed) admitOnce(write, context, said, notes, true)
  return { ...said, changed }
}

/** The judging half, on the object as it is to be stored. Throws the first refusal, with what was noted up to it. */
export const validateAdmission = (write: Write, context: DecideContext): Admitted => {
  const warnings: string[] = []
  const audit: Record<string, string> = {}
  const accompanying: Accompanying[] = []
  const guards: Guard[] = []
  const missing: Need[] = []
  const askAll = (questions: readonly Question[]): readonly Answer[] => {
    const needs = questions.map((question) => needFor(question, context))
    const answers = needs.map(({ id }) => context.answers?.get(id)?.answer)
    const open = needs.filter((_, at) => answers[at] === undefined)
    if (open.length > 0) throw new Unanswered(open)
    return answers as Answer[]
  }
  for (const plugin of pluginsOf(context, write)) {
    if (plugin.validate === undefined) continue
    try {
      const admitted = plugin.validate(write, { context, askAll })
      warnings.push(...admitted.warnings)
      Object.assign(audit, admitted.audit)
      accompanying.push(...(admitted.accompanying ?? []))
      guards.push(...(admitted.guards ?? []))
      if (admitted.refusal !== undefined) throw admitted.refusal.noting(audit)
    } catch (error) {
      // The others may have questions as well: all are asked in one round.
      if (!(error instanceof Unanswered)) throw error
      missing.push(...error.needs)
    }
  }
  if (missing.length > 0) throw new Unanswered(missing)
  return warnings.length === 0 && Object.keys(audit).length === 0 && accompanying.length === 0 && guards.length === 0
    ? NOTHING
    : { warnings, audit, accompanying, guards }
}

/** The decision with what is stored beside it, which has the main event's facts. */
export const accompanied = (decided: Decided, { accompanying = [], guards = [] }: Admitted, context: DecideContext): Decided => {
  const main = decided.events.at(-1)
  if (main === undefined || (accompanying.length === 0 && guards.length === 0)) return decided
  const { on: _, reasons: __, ...facts } = main
  const events = [...new Map(accompanying.map((one) => [keyId(one.key), one])).values()].map(({ key, object, type }, at) => {
    const { resourceVersion: _, ...metadata } = object.metadata
    return {
      ...facts,
      id: `${facts.id}.a${at + 1}`,
      key,
      type,
      deleted: false,
      object: { ...object, metadata },
      expected: context.head(key)
    }
  })
  return { ...decided, events: [...events, ...decided.events], guards: [...(decided.guards ?? []), ...guards] }
}

/** The decision with what admission said beside it. */
export const saying = (decided: Decided, { warnings, audit }: Admitted): Decided => {
  const noted = { ...decided.audit, ...audit }
  if (warnings.length === 0 && Object.keys(audit).length === 0) return decided
  return { ...decided, warnings: [...decided.warnings, ...warnings], audit: noted }
}

/** What a plugin changed outside comes back as a whole: the object takes it over in place. */
export const replaceContents = (object: Record<string, unknown>, contents: Record<string, unknown>): void => {
  for (const field of Object.keys(object)) if (!(field in contents)) delete object[field]
  Object.assign(object, contents)
}
