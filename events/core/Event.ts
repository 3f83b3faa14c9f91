/** core/v1 Event: a notice about an object, for people; not one of reckon's own events. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { since } from '#events/meta/Duration.ts'
import { integer, NAME, text, wide } from '#events/meta/Table.ts'
import { ALL_VERBS } from '#events/meta/verbs.ts'
import { validateEventFields } from './eventValidate.ts'

const involved =
  (field: keyof types.ObjectReference) =>
  (event: types.Event): string =>
    event.involvedObject?.[field] ?? ''

const lastSeen = (event: types.Event): string | undefined => event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime

const subject = (event: types.Event): string => {
  const { kind = '', name = '' } = event.involvedObject ?? {}
  return name === '' ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`
}

const sourceOf = (event: types.Event): string => {
  const component: string = event.source?.component || event.reportingComponent || ''
  const host: string = event.source?.host || event.reportingInstance || ''
  return host === '' || component === '' ? component : `${component}, ${host}`
}

export const Event: Kind<types.Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  resource: 'events',
  singular: 'event',
  namespaced: true,
  shortNames: ['ev'],
  verbs: ALL_VERBS,
  stream: 'NOTICES',
  default(event) {
    event.involvedObject ??= {}
  },
  validate: (event) => validateEventFields(event),
  fields: {
    'involvedObject.kind': involved('kind'),
    'involvedObject.namespace': involved('namespace'),
    'involvedObject.name': involved('name'),
    'involvedObject.uid': involved('uid'),
    'involvedObject.apiVersion': involved('apiVersion'),
    'involvedObject.resourceVersion': involved('resourceVersion'),
    'involvedObject.fieldPath': involved('fieldPath'),
    reason: (event) => event.reason ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
    source: (event) => event.source?.component || event.reportingComponent || '',
    type: (event) => event.type ?? ''
  },
  columns: [
    text('Last Seen', 'When the event was last seen.'),
    text('Type', 'Normal or Warning.'),
    text('Reason', 'Why the event was made, in one word.'),
    text('Object', 'What the event is about.'),
    wide('Subobject', 'The part of the object.'),
    wide('Source', 'Who reported it.'),
    text('Message', 'What happened.'),
    wide('First Seen', 'When the event was first seen.'),
    { ...integer('Count', 'How many times it was seen.'), type: 'string', priority: 1 },
    { ...NAME, priority: 1 }
  ],
  row: (event, now) => [
    since(lastSeen(event), now),
    event.type ?? '',
    event.reason ?? '',
    subject(event),
    event.involvedObject?.fieldPath ?? '',
    sourceOf(event),
    String(event.message ?? '').trim(),
    since(event.firstTimestamp ?? event.eventTime, now),
    String(event.series?.count ?? (event.count || 1)),
    event.metadata.name ?? ''
  ]
}
