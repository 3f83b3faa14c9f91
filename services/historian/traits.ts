/** What lists of the past are narrowed by before a body is read: labels, and the fields of a kind that many objects share. */
import type { Api } from '#events/Api.ts'
import { isConfidential } from '#events/confidential.ts'
import type { ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import { upcastBody } from '#events/upcast.ts'

/** As JSON, so that equal ones are stored once. Undefined: it is not known. */
export interface Described {
  readonly labels?: string
  readonly fields?: string
}

export type Describe = (ref: ResourceRef, entry: LogEntry) => Described

/** Labels of all kinds; fields of those that are built in, for a definition may change what it offers. */
export const describing =
  (api: Api): Describe =>
  (ref, { headers, text }) => {
    const object = parsed(headers, text)
    if (object === undefined) return {}
    const labels = JSON.stringify(object.metadata?.labels ?? {})
    const { fields, ownFields = [], stream } = api.kindOf(ref) ?? {}
    // What is confidential is sealed in the body; what expires soon is read as it is.
    if (fields === undefined || isConfidential(ref) || stream !== 'EVENTS') return { labels }
    const shared = Object.entries(fields).filter(([name]) => !ownFields.includes(name))
    return { labels, fields: JSON.stringify(Object.fromEntries(shared.map(([name, read]) => [name, read(object)]))) }
  }

/** Undefined for what is no object: the list will say so of it, not the index. */
const parsed = (headers: LogEntry['headers'], text: string): KubeObject | undefined => {
  try {
    const object = JSON.parse(upcastBody(headers, text)) as KubeObject | null
    return typeof object === 'object' && object !== null ? object : undefined
  } catch {
    return undefined
  }
}
