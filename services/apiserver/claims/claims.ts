/**
 * Claims: what must be unique in the whole cluster and is not an object's own name. Each is an object of its own, stored in the
 * batch that takes it and gone in the batch that gives it back; the log's expectation on its subject lets one decision have it,
 * whichever API server makes it. Plain.
 */
import { timestamp } from '#events/meta/time.ts'
import type { NewEvent } from '#events/Event.ts'
import { keyId, resourceId, type ObjectKey } from '#events/Key.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { isOf } from '#events/networking/parent.ts'
import type { DecideContext, Decided } from '#services/apiserver/decision.ts'
import { allocateService, prepareService } from './allocate.ts'
import { allocateRanges, assignment } from './ranges.ts'
import { type Claim, claimsOfService } from './service.ts'

/** What a kind's objects claim. */
interface Claimant {
  /** Before defaults: what they depend on. In place. */
  prepare(object: KubeObject, old: KubeObject | undefined, context: DecideContext): void
  /** Chooses what is left open, refuses what can't be had. In place. */
  allocate(object: KubeObject, old: KubeObject | undefined, context: DecideContext): void
  claimsOf(object: KubeObject): readonly Claim[]
  /** What all who take something of a kind write, where no name stands for it: one after the other. */
  line?(owner: ObjectKey, object: KubeObject, old: KubeObject | undefined): Pick<NewEvent, 'key' | 'object'> | undefined
}

const CLAIMANTS: ReadonlyMap<string, Claimant> = new Map<string, Claimant>([
  ['/services', { prepare: prepareService, allocate: allocateService, claimsOf: claimsOfService }],
  ['/nodes', { prepare: () => {}, allocate: allocateRanges, claimsOf: () => [], line: assignment }]
])

export const prepareClaims = (kind: Kind, object: KubeObject, old: KubeObject | undefined, context: DecideContext): void =>
  CLAIMANTS.get(resourceId(kind))?.prepare(object, old, context)

export const allocate = (kind: Kind, object: KubeObject, old: KubeObject | undefined, context: DecideContext): void =>
  CLAIMANTS.get(resourceId(kind))?.allocate(object, old, context)

/** The decision with the claims that go with it. */
export const claiming = (kind: Kind, decided: Decided, context: DecideContext): Decided => {
  const claimant = CLAIMANTS.get(resourceId(kind))
  const main = decided.events.at(-1)
  if (claimant === undefined || main === undefined) return decided
  const before = context.view.get(main.key)?.object
  const had = before === undefined ? [] : claimant.claimsOf(before)
  const has = main.deleted ? [] : claimant.claimsOf(main.object)
  const line = main.deleted ? undefined : claimant.line?.(main.key, main.object, before)
  const events = [
    ...claimEvents(main, minus(has, had), minus(had, has), context),
    ...(line === undefined ? [] : [lineEvent(main, line, context)])
  ]
  return events.length === 0 ? decided : { ...decided, events: [...events, ...decided.events] }
}

const lineEvent = (main: NewEvent, { key, object }: Pick<NewEvent, 'key' | 'object'>, context: DecideContext): NewEvent => {
  const { on: _, reasons: __, ...facts } = main
  const before = context.view.get(key)?.object.metadata
  const metadata = {
    ...object.metadata,
    uid: before?.uid ?? context.uuid(),
    creationTimestamp: before?.creationTimestamp ?? timestamp(context.now)
  }
  const type = `reckon.${object.kind.toLowerCase()}.assigned.v1`
  return { ...facts, id: `${facts.id}.l`, key, type, deleted: false, object: { ...object, metadata }, expected: context.head(key) }
}

const minus = (claims: readonly Claim[], others: readonly Claim[]): readonly Claim[] => {
  if (others.length === 0) return claims
  const ids = new Set(others.map(({ key }) => keyId(key)))
  return claims.filter(({ key }) => !ids.has(keyId(key)))
}

type Facts = Omit<NewEvent, 'deleted' | 'expected' | 'key' | 'object' | 'on' | 'type'>

/** `main`: the event they go with. Of what is given back only what is the object's own is gone. */
export const claimEvents = (
  main: NewEvent,
  taken: readonly Claim[],
  given: readonly Pick<Claim, 'key' | 'what'>[],
  context: DecideContext
): readonly NewEvent[] => {
  const { deleted: _, expected: __, key: owner, object: ___, on: ____, reasons: _____, type: ______, ...facts } = main
  const events: NewEvent[] = []
  const next = (): Facts => ({ ...facts, id: `${facts.id}.${events.length + 1}` })
  for (const claim of taken) events.push(takenEvent(next(), claim, owner, context))
  for (const { key, what } of given) {
    const entry = context.view.get(key)
    if (entry === undefined || !isOf(entry.object, owner)) continue
    const { resourceVersion: _, ...metadata } = entry.object.metadata
    events.push({
      ...next(),
      key,
      type: `reckon.${what}.deleted.v1`,
      deleted: true,
      object: { ...entry.object, metadata },
      expected: context.head(key)
    })
  }
  return events
}

const takenEvent = (facts: Facts, { key, what, object }: Claim, owner: ObjectKey, context: DecideContext): NewEvent => {
  const made = object(owner)
  const metadata = { ...made.metadata, uid: context.uuid(), creationTimestamp: timestamp(context.now) }
  return { ...facts, key, type: `reckon.${what}.created.v1`, deleted: false, object: { ...made, metadata }, expected: context.head(key) }
}
