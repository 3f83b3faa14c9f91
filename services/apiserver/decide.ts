/**
 * The decider: what one intent becomes, given the state, the user and the time. Plain and synchronous.
 *
 * Steps, in this order for every verb and both doors: know the kind, authorize, decode, admit, prepare, default, validate, decide,
 * and admit what was decided. A refusal is thrown as `Refusal`; nothing else is ever thrown for bad input. Where an answer from
 * outside is missing, the decision is what to ask; with the answers in the context it is made again, from the start.
 */
import type { Intent } from '#events/Intent.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import { badRequest, forbidden, methodNotAllowed, noSuchPath } from '#events/Refusal.ts'
import { authorize } from '#projections/Rbac.ts'
import { accompanied, saying, validateAdmission } from './admission/admission.ts'
import { recorded } from './admission/recorded.ts'
import { claiming } from './claims/claims.ts'
import { type Answered, type DecideContext, type Decided, type Needs, type Operation, Unanswered } from './decision.ts'
import { deniedMessage } from './request/denied.ts'
import { withMain } from './request/events.ts'
import { presented } from './request/present.ts'
import type { StoredSubresource } from './subresources/StoredSubresource.ts'
import { SUBRESOURCES } from './subresources/subresources.ts'
import { decideCreate } from './verbs/create.ts'
import { decideDelete } from './verbs/delete.ts'
import { decidePatch } from './verbs/patch.ts'
import { decideUpdate } from './verbs/update.ts'

const CHANNELS = new Set(['attach', 'exec'])

export const decide = (intent: Intent, context: DecideContext): Decided | Needs => {
  const { answers } = context
  const used = new Map<string, Answered>()
  const note = (id: string): Answered | undefined => {
    const answered = answers?.get(id)
    if (answered !== undefined) used.set(id, answered)
    return answered
  }
  try {
    return answers === undefined
      ? decideNow(intent, context)
      : withAnswers(intent, decideNow(intent, { ...context, answers: { get: note } }), used)
  } catch (error) {
    // Thrown and not returned: each step between here and a plugin would have to hand it on, and one that forgot would store half a
    // decision.
    if (error instanceof Unanswered) return { needs: error.needs }
    throw error
  }
}

/** The answers a decision stands on are among its reasons: with them, it can be made again from the log alone. */
const withAnswers = (intent: Intent, decided: Decided, used: ReadonlyMap<string, Answered>): Decided =>
  used.size === 0
    ? decided
    : withMain(decided, (event) => ({ ...event, reasons: { ...intent.reasons, answers: recorded(intent.ref, used) } }))

const decideNow = (intent: Intent, context: DecideContext): Decided => {
  const kind = context.api.kindOf(intent.ref, intent.version)
  if (kind === undefined) throw noSuchPath()
  if (kind.namespaced !== (intent.namespace !== '')) throw noSuchPath()
  const subresource = intent.subresource ?? ''
  const offered =
    subresource === '' ? (kind.verbs as readonly string[]) : kind.subresources?.find(({ name }) => name === subresource)?.verbs
  if (offered === undefined) throw noSuchPath()
  if (!offered.includes(intent.verb)) throw methodNotAllowed()
  authorizeIntent(kind, intent, context)
  // A stream or a token is no change of the object: decided as one, whoever may exec could create pods.
  if (CHANNELS.has(subresource)) throw badRequest('Upgrade request required')
  const stored = subresource === '' ? WHOLE : SUBRESOURCES.get(subresource)
  if (stored === undefined) throw methodNotAllowed()
  const asked = stored.asked?.(intent) ?? intent
  const decided = claiming(kind, judged(kind, asked, stored.decide(kind, asked, context), context), context)
  return asked.options?.dryRun === true ? asIf(decided, context) : decided
}

/** The object itself. */
const WHOLE: StoredSubresource = {
  decide: (kind, intent, context) => {
    switch (intent.verb) {
      case 'create':
        return decideCreate(kind, intent, context)
      case 'update':
        return decideUpdate(kind, intent, context)
      case 'patch':
        return decidePatch(kind, intent, context)
      case 'delete':
        return decideDelete(kind, intent, context)
    }
  }
}

/** With what admission says of it: of the object as it is to be stored, a dry run's and an unchanged one's as well. */
const judged = (kind: Kind, intent: Intent, decided: Decided, context: DecideContext): Decided => {
  const { object } = decided
  const name = object.metadata.name ?? ''
  const stored = context.view.get({ ...collectionOf(kind), namespace: intent.namespace, name })
  const old = stored === undefined ? undefined : presented(kind, stored).object
  const operation: Operation = intent.verb === 'delete' ? 'DELETE' : intent.verb === 'create' || old === undefined ? 'CREATE' : 'UPDATE'
  const write = {
    operation,
    kind,
    subresource: intent.subresource ?? '',
    intent,
    namespace: intent.namespace,
    name,
    ...(operation === 'DELETE' ? {} : { object }),
    ...(old === undefined ? {} : { old })
  }
  const admitted = validateAdmission(write, context)
  return accompanied(saying(decided, admitted), admitted, context)
}

/**
 * A dry run: everything is decided, nothing stored or reserved. Here and not in each verb, so that none can forget it.
 * The answer is the object as it would be, with the version it has now; a new one has none.
 */
const asIf = ({ events, guards: _, ...decided }: Decided, { view }: DecideContext): Decided => {
  const last = events.at(-1)
  if (last === undefined || decided.code === 201) return { ...decided, events: [] }
  return {
    ...decided,
    events: [],
    object: {
      ...decided.object,
      metadata: { ...decided.object.metadata, resourceVersion: String(view.get(last.key)?.sequence ?? last.expected) }
    }
  }
}

const authorizeIntent = (kind: Kind, intent: Intent, context: DecideContext): void => {
  const attributes = {
    verb: intent.verb,
    group: kind.group,
    resource: kind.resource,
    subresource: intent.subresource ?? '',
    namespace: intent.namespace,
    name: intent.name
  }
  const { allowed, reason } = authorize(context.view, context.user, attributes)
  if (!allowed) throw forbidden(intent.ref, intent.name, deniedMessage(context.user, attributes, reason))
}
