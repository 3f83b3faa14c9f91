/** From a decided change to its event: the facts that say who, when and why. */
import type { NewEvent } from '#events/Event.ts'
import { GUARDS, type Guard } from '#events/guard.ts'
import type { Intent } from '#events/Intent.ts'
import { collectionOf, type Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { eventTypeOf } from '#events/meta/eventType.ts'
import type { DecideContext } from '#services/apiserver/decision.ts'

interface Outcome {
  readonly before: KubeObject | undefined
  readonly after: KubeObject
  readonly deleted: boolean
}

export const eventFor = (kind: Kind, intent: Intent, context: DecideContext, { before, after, deleted }: Outcome): NewEvent => {
  const subresource = intent.subresource ?? ''
  const key = { ...collectionOf(kind), namespace: intent.namespace, name: after.metadata.name as string }
  return {
    stream: kind.stream,
    key,
    id: intent.id,
    type: eventTypeOf(kind, { before, after, deleted, subresource }),
    source: intent.source,
    time: new Date(context.now).toISOString(),
    user: context.user.username,
    correlationId: intent.cause?.correlationId ?? intent.id,
    verb: subresource === '' ? intent.verb : `${intent.verb}/${subresource}`,
    deleted,
    object: kind.toStorage?.(after) ?? after,
    expected: context.head(key),
    ...(intent.cause === undefined ? {} : { causationId: intent.cause.eventId, causationRef: intent.cause.ref }),
    ...(intent.command === undefined ? {} : { command: intent.command }),
    ...(intent.reasons === undefined ? {} : { reasons: intent.reasons })
  }
}

/** `main`: the event the decision is about. `n`: which of its guards this is. */
export const guardEvent = (
  { stream, id, source, time, user, correlationId, verb }: NewEvent,
  { key, expected }: Guard,
  n: number
): NewEvent => ({
  stream,
  key: GUARDS,
  id: `${id}.g${n}`,
  type: 'reckon.guard.held.v1',
  source,
  time,
  user,
  correlationId,
  verb,
  // Gone as soon as it is there: nobody lists or watches it.
  deleted: true,
  object: { apiVersion: 'reckon.io/v1', kind: 'Guard', metadata: { name: GUARDS.name }, of: key, at: expected },
  expected,
  on: key
})

/** The decision with its main event, the last one, changed. */
export const withMain = <Some extends { readonly events: readonly NewEvent[] }>(
  decided: Some,
  change: (event: NewEvent) => NewEvent
): Some => {
  const main = decided.events.at(-1)
  return main === undefined ? decided : { ...decided, events: decided.events.with(-1, change(main)) }
}
