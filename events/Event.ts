/**
 * The event: one immutable change of one object, and its form on the wire (CloudEvents 1.0, binary mode, on NATS).
 *
 * Subject = the object, sequence = its resourceVersion, body = the whole object after the change
 * (for a delete: the last one). Everything about *why* is in headers, so the body stays what a reader of the API sees.
 */
import { isGuard } from './guard.ts'
import type { ObjectKey } from './Key.ts'
import type { KubeObject } from './KubeObject.ts'
import { tooLarge } from './Refusal.ts'
import { keyOfSubject, type StreamName } from './Subject.ts'
import { NewerShape, SHAPE, SHAPE_HEADER, upcastBody, upcastHeaders } from './upcast.ts'

/** What a decision knew that the object does not show, e.g. the scheduler's filtered nodes and scores. */
export type Reasons = Readonly<Record<string, unknown>>

export interface EventFacts {
  /** `<intent id>` or `<intent id>.<n>`: an intent delivered twice is recognised by it. */
  readonly id: string
  /** A past-tense fact: `reckon.pod.scheduled.v1`. */
  readonly type: string
  /** The component that asked: `kubectl`, `scheduler`, `deployment-controller`, `kubelet/node-1`. */
  readonly source: string
  /** RFC 3339 with milliseconds, UTC: the decider's clock. */
  readonly time: string
  /** The authenticated user: `kubernetes-admin`, `system:kube-scheduler`. */
  readonly user: string
  /** The id of the root intent: shared by everything a person's command led to. */
  readonly correlationId: string
  /** The event that led to this one; absent for a root. */
  readonly causationId?: string
  /** That event's place: `EVENTS:123`. Lets a chain be walked without a search. */
  readonly causationRef?: string
  /** What was asked: `create`, `patch`, `delete/status` … */
  readonly verb: string
  /** The person's command as the client told it: `kubectl apply`. */
  readonly command?: string
  readonly reasons?: Reasons
}

export interface NewEvent extends EventFacts {
  readonly stream: StreamName
  readonly key: ObjectKey
  /** True when the object is gone after this event. */
  readonly deleted: boolean
  /** The object after the change, without `metadata.resourceVersion`. */
  readonly object: KubeObject
  /** The sequence of the event before this one on the subject; 0 when there is none. The optimistic lock. */
  readonly expected: number
  /** Another object, whose last event `expected` names: a guard (`events/guard.ts`). */
  readonly on?: ObjectKey
}

export interface Event extends NewEvent {
  readonly sequence: number
  /**
   * When the log stored it, milliseconds since the epoch by the log's own clock: the one clock that everybody's writes have in common.
   * Absent where it was not read from a log.
   */
  readonly stored?: number
}

/** What the log keeps of an event; `text` is the body, serialized once. */
export interface EventRecord {
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

export const EXPECTED_HEADER = 'Nats-Expected-Last-Subject-Sequence'
/** The subject the lock is on, where it is another one. */
export const EXPECTED_ON_HEADER = 'Nats-Expected-Last-Subject-Sequence-Subject'
/**
 * The lock an entry was stored under, where it is stored once more (restored, or kept when history was compacted): nobody checks it again.
 */
const STORED_EXPECTED_HEADER = 'reckon-expected'
/** The event before this one, where the lock can't name it: it was compacted, so that its subject was empty. */
export const PREVIOUS_HEADER = 'reckon-previous'

/** The lock an entry was stored under. */
export const expectedOf = (headers: Readonly<Record<string, string>>): string | undefined =>
  headers[EXPECTED_HEADER] ?? headers[STORED_EXPECTED_HEADER]

/** The headers an entry is stored with a second time: what the server would act upon is gone, what was said stays. */
export const headersAgain = (headers: Readonly<Record<string, string>>): Record<string, string> => {
  const expected = expectedOf(headers)
  const kept = Object.entries(headers).filter(([name]) => !/^Nats-/i.test(name))
  return { ...Object.fromEntries(kept), ...(expected === undefined ? {} : { [STORED_EXPECTED_HEADER]: expected }) }
}

/** Header values are ASCII; anything else travels percent-encoded, halves of characters as U+FFFD. */
const ascii = (text: string): string => encodeURI(text.toWellFormed()).replaceAll('%20', ' ')
const fromAscii = (text: string): string => {
  if (!text.includes('%')) return text
  try {
    return decodeURI(text)
  } catch {
    return text
  }
}

/**
 * The body of an event. `kind`, `apiVersion` and `metadata` come first so that a reader can stamp the resourceVersion
 * into the text without parsing it (see `stamp`).
 */
export const bodyOf = (object: KubeObject): string => {
  const { apiVersion, kind, metadata, ...rest } = object
  const { resourceVersion: _, ...meta } = metadata
  return JSON.stringify({ kind, apiVersion, metadata: meta, ...rest })
}

const MARK = '"metadata":{'

/** The object's JSON as the API shows it: the body with the resourceVersion in it. Serialized once, shared by every reader. */
export const stamp = (body: string, sequence: number): string => {
  const at = body.indexOf(MARK) + MARK.length
  return `${body.slice(0, at)}"resourceVersion":"${sequence}"${body[at] === '}' ? '' : ','}${body.slice(at)}`
}

/** Of an event's body: what the streams take. */
const LARGEST_BODY = 2 * 1024 * 1024
/** Of all its headers together: what the streams take besides the body. */
const LARGEST_HEADERS = 64 * 1024
/** Of the reasons among them. They explain a write; they must never be why it fails. */
const LARGEST_REASONS = 24 * 1024

/** A header that no log takes: our own mistake, found here because a log can only say that the outcome is unknown. */
export class UnencodableEvent extends Error {
  override readonly name = 'UnencodableEvent'
}

const PLAIN = /^[\x20-\x7e]*$/

const reasonsHeader = (reasons: Reasons): string => {
  const text = ascii(JSON.stringify(reasons))
  return text.length <= LARGEST_REASONS
    ? text
    : ascii(JSON.stringify({ omitted: `${text.length} bytes of reasons, more than an event holds` }))
}

/** Throws `Refusal` 413 for an object larger than the log takes, and `UnencodableEvent` for what can't be a header. */
export const encodeEvent = (event: NewEvent): EventRecord => {
  const headers: Record<string, string> = {
    'ce-specversion': '1.0',
    'ce-id': event.id,
    'ce-type': event.type,
    'ce-source': ascii(event.source),
    'ce-subject': ascii(`${event.key.namespace}/${event.key.name}`),
    'ce-time': event.time,
    'ce-correlationid': event.correlationId,
    'ce-authid': ascii(event.user),
    'content-type': 'application/json',
    'reckon-verb': event.verb,
    [EXPECTED_HEADER]: String(event.expected)
  }
  if (event.causationId !== undefined) headers['ce-causationid'] = event.causationId
  if (event.causationRef !== undefined) headers['reckon-cause'] = event.causationRef
  if (event.command !== undefined) headers['reckon-command'] = ascii(event.command)
  if (event.reasons !== undefined) headers['reckon-reasons'] = reasonsHeader(event.reasons)
  if (event.deleted) headers['reckon-deleted'] = 'true'
  if (SHAPE > 1) headers[SHAPE_HEADER] = String(SHAPE)
  let size = 0
  for (const name in headers) {
    const value = headers[name] as string
    if (!PLAIN.test(value)) throw new UnencodableEvent(`the header ${name} of an event can't hold ${JSON.stringify(value.slice(0, 64))}`)
    size += name.length + value.length + 4
  }
  const text = bodyOf(event.object)
  // Three bytes per character at most: only what comes near is measured.
  if (size > LARGEST_HEADERS || (text.length > LARGEST_BODY / 3 && new TextEncoder().encode(text).length > LARGEST_BODY))
    throw tooLarge(`Request entity too large: an object may have ${LARGEST_BODY} bytes`)
  return { headers, text }
}

/** A log entry that is not an event of ours: reading stops here rather than guess. */
export class UnreadableEvent extends Error {
  override readonly name = 'UnreadableEvent'
}

export interface RawEvent {
  readonly subject: string
  readonly sequence: number
  readonly time?: number
  readonly headers: Readonly<Record<string, string>>
}

const headersOf = (stream: StreamName, { sequence, subject, headers }: RawEvent): RawEvent['headers'] => {
  try {
    return upcastHeaders(headers)
  } catch (error) {
    throw error instanceof NewerShape ? new UnreadableEvent(`${stream} ${sequence} (${subject}) can't be read: ${error.message}`) : error
  }
}

/** Everything of an event but its object, which is parsed by `objectOf` when somebody needs it. */
export const decodeFacts = (stream: StreamName, raw: RawEvent): Omit<Event, 'object'> => {
  const key = keyOfSubject(stream, raw.subject)
  const headers = headersOf(stream, raw)
  const header = (name: string): string => {
    const value = headers[name]
    if (value === undefined)
      throw new UnreadableEvent(`${stream} ${raw.sequence} (${raw.subject}) has no ${name} header; the log can't be read past it`)
    return value
  }
  if (key === undefined) throw new UnreadableEvent(`${stream} ${raw.sequence} has the subject ${raw.subject}, which names no object`)
  return {
    stream,
    key,
    sequence: raw.sequence,
    ...(raw.time === undefined ? {} : { stored: raw.time }),
    id: header('ce-id'),
    type: header('ce-type'),
    source: fromAscii(header('ce-source')),
    time: header('ce-time'),
    user: fromAscii(header('ce-authid')),
    correlationId: header('ce-correlationid'),
    verb: header('reckon-verb'),
    // A guard's expectation is of another object.
    expected: isGuard(key) ? 0 : Number(headers[PREVIOUS_HEADER] ?? expectedOf(headers) ?? 0),
    deleted: headers['reckon-deleted'] === 'true',
    ...(headers['ce-causationid'] === undefined ? {} : { causationId: headers['ce-causationid'] }),
    ...(headers['reckon-cause'] === undefined ? {} : { causationRef: headers['reckon-cause'] }),
    ...(headers['reckon-command'] === undefined ? {} : { command: fromAscii(headers['reckon-command']) }),
    ...(headers['reckon-reasons'] === undefined ? {} : { reasons: JSON.parse(fromAscii(headers['reckon-reasons'])) as Reasons })
  }
}

/** The object of an event as the API shows it: the parsed body with its resourceVersion. `text`: opened, if it was sealed. */
export const objectOf = ({ headers, text, sequence }: Pick<RawEvent, 'headers' | 'sequence'> & { readonly text: string }): KubeObject =>
  JSON.parse(stamp(upcastBody(headers, text), sequence)) as KubeObject
