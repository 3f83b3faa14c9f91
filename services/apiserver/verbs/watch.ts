/** watch: what a client asks for, and what it is told of a change, line by line. Plain functions. */
import type { Kind } from '#events/Kind.ts'
import { badRequest, Refusal } from '#events/Refusal.ts'
import type { Change, Entry } from '#projections/Objects.ts'
import { objectText, rowText, tableText, type Representation } from '../http/representation.ts'
import { apiVersionOf } from '../request/decode.ts'
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

const needsNotOlderThan = (message: string): Refusal =>
  new Refusal(422, 'Invalid', `ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: ${message}`, {
    kind: 'ListOptions',
    group: 'meta.k8s.io',
    causes: [{ reason: 'FieldValueForbidden', message, field: 'resourceVersionMatch' }]
  })

/** What the query says of a watch; 400 and 422 for what makes no sense. */
export const watchOptionsOf = (query: URLSearchParams): Pick<WatchRequest, 'from' | 'initialEvents' | 'bookmarks' | 'timeoutSeconds'> => {
  const version = query.get('resourceVersion') ?? ''
  const initialEvents = query.get('sendInitialEvents') === 'true'
  const match = query.get('resourceVersionMatch') ?? ''
  const timeout = query.get('timeoutSeconds') ?? ''
  if (initialEvents && match !== 'NotOlderThan') throw needsNotOlderThan('Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  if (!initialEvents && match !== '' && query.get('sendInitialEvents') === null) throw needsNotOlderThan('Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
  if (version !== '' && !/^\d{1,16}$/.test(version)) throw badRequest(`Invalid value: "${version}": strconv.ParseUint: parsing "${version}": invalid syntax`)
  if (timeout !== '' && !/^-?\d{1,16}$/.test(timeout)) throw badRequest(`strconv.ParseInt: parsing "${timeout}": invalid syntax`)
  return {
    from: version === '' || Number(version) === 0 ? undefined : Number(version),
    initialEvents,
    bookmarks: query.get('allowWatchBookmarks') === 'true',
    // Upstream takes none and a negative one alike: the server chooses.
    timeoutSeconds: Number(timeout) > 0 ? Number(timeout) : undefined
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
export const lineText = (kind: Kind, type: EventType, entry: Entry, representation: Representation, columns: boolean, now: number): string => {
  const object =
    representation.form === 'table'
      ? tableText(kind, rowText(kind, entry, representation.include, now), { resourceVersion: String(entry.sequence) }, columns)
      : objectText(kind, entry, representation, now)
  return `{"type":"${type}","object":${object.trimEnd()}}\n`
}

/** `initial`: the burst of a WatchList ends here. */
export const bookmarkText = (kind: Kind, sequence: number, { form }: Representation, initial = false): string => {
  const metadata = { resourceVersion: String(sequence), creationTimestamp: null, ...(initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}) }
  const plain = { kind: form === 'object' ? kind.kind : 'PartialObjectMetadata', apiVersion: form === 'object' ? apiVersionOf(kind) : 'meta.k8s.io/v1', metadata }
  const object = form === 'table' ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata: { resourceVersion: String(sequence) }, columnDefinitions: [], rows: [{ cells: [], object: plain }] } : plain
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
}

export const errorText = (refusal: Refusal): string => `${JSON.stringify({ type: 'ERROR', object: refusal.status })}\n`
