/** From a decided change to its event: the facts that say who, when and why. */
import type { NewEvent } from '#events/Event.ts'
import type { Intent } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { eventTypeOf } from '#events/meta/eventType.ts'
import type { DecideContext } from '../decision.ts'

/** The last moment RFC 3339 has digits for: a grace period may be any number of seconds. */
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59)

export const seconds = (ms: number): string => `${new Date(Math.min(ms, LAST)).toISOString().slice(0, 19)}Z`

interface Outcome {
  readonly before: KubeObject | undefined
  readonly after: KubeObject
  readonly deleted: boolean
}

export const eventFor = (kind: Kind, intent: Intent, context: DecideContext, { before, after, deleted }: Outcome): NewEvent => {
  const subresource = intent.subresource ?? ''
  const key = { group: kind.group, resource: kind.resource, namespace: intent.namespace, name: after.metadata.name as string }
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
    object: after,
    expected: context.head(key),
    ...(intent.cause === undefined ? {} : { causationId: intent.cause.eventId, causationRef: intent.cause.ref }),
    ...(intent.command === undefined ? {} : { command: intent.command }),
    ...(intent.reasons === undefined ? {} : { reasons: intent.reasons })
  }
}
