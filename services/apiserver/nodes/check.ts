/** What an agent's messages must look like before anything is made of them: an agent is a stranger. Plain functions. */
import { isObject } from '#events/meta/json.ts'
import type { NoticeReport, PodReport, Pulse } from '#events/node/messages.ts'

/** Not what it should be, and so for good. */
export class BadReport extends Error {
  override readonly name = 'BadReport'
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isListOf = (value: unknown, check: (item: unknown) => boolean): boolean => Array.isArray(value) && value.every(check)

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new BadReport(what)
}

export const podReportOf = (body: unknown): PodReport => {
  must(isObject(body), 'the report is not an object')
  const { uid, status } = body as Record<string, unknown>
  must(isText(uid) && uid !== '', 'the report has no uid')
  must(isObject(status), 'the report has no status')
  const { conditions } = status as Record<string, unknown>
  must(
    conditions === undefined || isListOf(conditions, (one) => isObject(one) && isText(one['type'])),
    'status.conditions: every condition must have a type'
  )
  return body as PodReport
}

/** It becomes part of an event's id. */
const ID = /^[A-Za-z0-9-]{8,64}$/
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/

export const noticeReportOf = (body: unknown): NoticeReport => {
  must(isObject(body), 'the notice is not an object')
  const { id, involvedObject, type, reason, message, time } = body as Record<string, unknown>
  must(id === undefined || (isText(id) && ID.test(id)), `id: must match ${ID.source}`)
  must(type === 'Normal' || type === 'Warning', 'type: must be Normal or Warning')
  must(isText(reason) && isText(message), 'reason and message must be text')
  must(isText(time) && INSTANT.test(time), 'time: must be a time as in RFC 3339')
  must(isObject(involvedObject), 'the notice is about no object')
  const { kind, apiVersion, name, namespace, uid, fieldPath } = involvedObject as Record<string, unknown>
  must([kind, apiVersion, name, namespace, uid].every(isText), 'involvedObject: kind, apiVersion, name, namespace and uid must be text')
  must(fieldPath === undefined || isText(fieldPath), 'involvedObject.fieldPath: must be text')
  return body as unknown as NoticeReport
}

export const pulseOf = (body: unknown): Pulse => {
  must(isObject(body), 'the pulse is not an object')
  const { node, time, podCIDR, conditions } = body as Record<string, unknown>
  must([node, time, podCIDR].every(isText), 'node, time and podCIDR must be text')
  must(
    isListOf(conditions, (one) => isObject(one) && isText(one['type']) && isText(one['status'])),
    'conditions: every condition must have a type and a status'
  )
  return body as unknown as Pulse
}
