/** events.k8s.io/v1 Event: the same notices as core/v1 has, in other words (KEP-383); stored there, in those. */
import type * as core from '#events/schema/generated/core.v1.ts'
import type * as types from '#events/schema/generated/events.v1.ts'
import { Event as CoreEvent } from '#events/core/Event.ts'
import { validateEventCreate, validateEventFields, validateEventUpdate } from '#events/core/eventValidate.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'

/** What upstream's conversion calls by another name; the rest is called the same. */
const RENAMED: readonly (readonly [core: string, here: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount']
]

const renaming =
  <Some extends KubeObject>(apiVersion: string, names: ReadonlyMap<string, string>) =>
  (object: KubeObject): Some =>
    ({
      ...Object.fromEntries(Object.entries(object).map(([field, value]) => [names.get(field) ?? field, value])),
      apiVersion
    }) as unknown as Some

const fromCore = renaming<types.Event>('events.k8s.io/v1', new Map(RENAMED))
const toCore = renaming<core.Event>('v1', new Map(RENAMED.map(([core, here]) => [here, core])))

/** Upstream judges the core form, and names its fields. */
const CONTROLLER = 'reportingController'

/** `regarding.kind` of ours is `involvedObject.kind` of core's. */
const fields = Object.entries(CoreEvent.fields ?? {}).flatMap(([name, of]) => {
  if (name === 'source') return []
  const [first = '', ...rest] = name.split('.')
  const here = [new Map(RENAMED).get(first) ?? first, ...rest].join('.')
  return [[here, (event: KubeObject) => of(toCore(event))] as const]
})

export const Event: Kind<types.Event> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  resource: 'events',
  singular: 'event',
  namespaced: true,
  shortNames: ['ev'],
  verbs: ALL_VERBS,
  stream: CoreEvent.stream,
  stored: { group: CoreEvent.group, resource: CoreEvent.resource },
  fromStorage: fromCore,
  toStorage: toCore,
  default(event) {
    event.regarding ??= {}
  },
  validateCreate: (event) => validateEventCreate(toCore(event)),
  validate: (event) => validateEventFields(toCore(event), CONTROLLER),
  validateUpdate: (event, old) => validateEventUpdate(toCore(event), toCore(old)),
  fields: Object.fromEntries(fields),
  columns: CoreEvent.columns ?? [],
  row: (event, now) => CoreEvent.row?.(toCore(event), now) ?? []
}
