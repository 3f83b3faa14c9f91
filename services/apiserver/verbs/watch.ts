/** watch: what a client asks for, and what it is told of a change, line by line. Plain functions. */
import type { Kind } from '#events/Kind.ts'
import type { Refusal } from '#events/Refusal.ts'
import type { Change, Entry } from '#projections/Objects.ts'
import { objectText, rowText, tableText, type Representation } from '#services/apiserver/http/representation.ts'
import { apiVersionOf } from '#services/apiserver/request/decode.ts'
import { listOptionsOf } from '#services/apiserver/request/listOptions.ts'
import type { Selection } from './read.ts'

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED'

export interface WatchRequest {
  readonly kind: Kind
  readonly namespace: string | undefined
  readonly selection: Selection
  readonly representation: Representation
  /** Undefined: what there is, then what comes. */
  readonly from: number | undefined
  /** WatchList (KEP-3157): the present objects as a burst, ended by an annotated bookmark. */
  readonly initialEvents: boolean
  readonly bookmarks: boolean
  readonly timeoutSeconds: number | undefined
}

/** As upstream: nothing and 0 leave it to the server, and less than nothing is over at once. Timers hold no more than 24 days. */
export const timeoutMs = (seconds: number | undefined, usual: number): number =>
  seconds === undefined || seconds === 0 ? usual : Math.min(Math.max(0, seconds * 1000), 2 ** 31 - 1)

/** What the query says of a watch; 400 and 422 for what makes no sense. */
export const watchOptionsOf = (query: URLSearchParams): Pick<WatchRequest, 'from' | 'initialEvents' | 'bookmarks' | 'timeoutSeconds'> => {
  const options = listOptionsOf(query, true)
  return {
    from: Number(options.resourceVersion) || undefined,
    initialEvents: options.sendInitialEvents,
    bookmarks: options.allowWatchBookmarks,
    timeoutSeconds: options.timeoutSeconds
  }
}

/** What a change is to somebody who selects: an object that begins to match is added, one that ceases to is deleted. */
export const typeFor = (selection: Selection, { type, entry, previous }: Change): EventType | undefined => {
  if (selection.all) return type
  return typeOf(type === 'DELETED', selection.matches(entry), previous !== undefined && selection.matches(previous))
}

/** The same by what is known of it: whether the object matches, and whether it did. A deleted one matches by its last state. */
export const typeOf = (deleted: boolean, is: boolean, was: boolean): EventType | undefined => {
  if (deleted) return was || is ? 'DELETED' : undefined
  if (is) return was ? 'MODIFIED' : 'ADDED'
  return was ? 'DELETED' : undefined
}

/** `columns`: with the table's column definitions, which a client gets with its first row. */
export const lineText = (
  kind: Kind,
  type: EventType,
  entry: Entry,
  representation: Representation,
  columns: boolean,
  now: number
): string => {
  const object =
    representation.form === 'table'
      ? tableText(kind, rowText(kind, entry, representation.include, now), { resourceVersion: String(entry.sequence) }, columns)
      : objectText(kind, entry, representation, now)
  return `{"type":"${type}","object":${object.trimEnd()}}\n`
}

/** `initial`: the burst of a WatchList ends here. */
export const bookmarkText = (kind: Kind, sequence: number, { form }: Representation, initial = false): string => {
  const metadata = {
    resourceVersion: String(sequence),
    creationTimestamp: null,
    ...(initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {})
  }
  const plain = {
    kind: form === 'object' ? kind.kind : 'PartialObjectMetadata',
    apiVersion: form === 'object' ? apiVersionOf(kind) : 'meta.k8s.io/v1',
    metadata
  }
  const object =
    form === 'table'
      ? {
          kind: 'Table',
          apiVersion: 'meta.k8s.io/v1',
          metadata: { resourceVersion: String(sequence) },
          columnDefinitions: [],
          rows: [{ cells: [], object: plain }]
        }
      : plain
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
}

export const errorText = (refusal: Refusal): string => `${JSON.stringify({ type: 'ERROR', object: refusal.status })}\n`
