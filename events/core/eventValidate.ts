/**
 * What Kubernetes asks of a notice (pkg/apis/core/validation/events.go), of its core/v1 form. One with an eventTime is of the
 * newer API, whichever it came by; one that comes by `events.k8s.io/v1` is held to more, and can hardly be changed.
 */
import type { FieldError } from '#events/Refusal.ts'
import type { Event } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, immutable, required, same } from '#events/meta/faults.ts'
import { qualifiedName } from '#events/meta/names.ts'

const LONGEST = 128
const LONGEST_MESSAGE = 1024

const atMost = (field: string, value: string, most: number): FieldError[] =>
  new TextEncoder().encode(value).length > most ? [badValue(field, '', `can have at most ${most} characters`)] : []
const given = (field: string, value: string): FieldError[] => (value === '' ? [required(field, '')] : [])

/** `controller`: what the version calls the reporting controller. */
export const validateEventFields = (
  object: Event,
  controller: 'reportingComponent' | 'reportingController' = 'reportingComponent'
): FieldError[] => {
  const { involvedObject, eventTime, reportingInstance = '', reportingComponent = '', ...said } = object
  const { action = '', reason = '', message = '' } = said
  const namespace = involvedObject?.namespace ?? ''
  const own = object.metadata.namespace ?? ''
  const elsewhere = [badValue('involvedObject.namespace', namespace, 'does not match event.namespace')]
  // What is about no namespace is told in `default`.
  if (eventTime === undefined) return (namespace === '' ? own === 'default' || own === '' : namespace === own) ? [] : elsewhere
  return [
    ...(namespace === '' && own !== 'default' && own !== 'kube-system' ? elsewhere : []),
    ...given(controller, reportingComponent),
    ...badValues(controller, reportingComponent, qualifiedName(reportingComponent)),
    ...given('reportingInstance', reportingInstance),
    ...atMost('reportingInstance', reportingInstance, LONGEST),
    ...given('action', action),
    ...atMost('action', action, LONGEST),
    ...given('reason', reason),
    ...atMost('reason', reason, LONGEST),
    ...atMost('message', message, LONGEST_MESSAGE)
  ]
}

const validateSeries = ({ series }: Event): FieldError[] => {
  if (series === undefined) return []
  return [
    ...((series.count ?? 0) < 2 ? [badValue('series.count', '', 'should be at least 2')] : []),
    ...given('series.lastObservedTime', series.lastObservedTime ?? '')
  ]
}

/** What is asked of new ones besides, by `events.k8s.io/v1`. */
export const validateEventCreate = (event: Event): FieldError[] => {
  const { eventTime = '', type = '', firstTimestamp, lastTimestamp, count = 0, source } = event
  const unset = (field: string, isSet: boolean): FieldError[] => (isSet ? [badValue(field, '', 'needs to be unset')] : [])
  return [
    ...validateSeries(event),
    ...given('eventTime', eventTime),
    ...(type === 'Normal' || type === 'Warning' ? [] : [badValue('type', '', `has invalid value: ${type}`)]),
    ...unset('firstTimestamp', firstTimestamp !== undefined),
    ...unset('lastTimestamp', lastTimestamp !== undefined),
    ...unset('count', count !== 0),
    ...unset('source', (source?.component ?? '') !== '' || (source?.host ?? '') !== '')
  ]
}

const FIXED = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'eventTime',
  'action',
  'related',
  'reportingComponent',
  'reportingInstance',
  'type'
] as const

/** By `events.k8s.io/v1` only the series goes on. */
export const validateEventUpdate = (event: Event, before: Event): FieldError[] => {
  const errors = same(event.series, before.series) ? [] : validateSeries(event)
  for (const field of FIXED) immutable(event[field], before[field], field === 'reportingComponent' ? 'reportingController' : field, errors)
  return errors
}
