/** How an object is shown: as it is, as a table row, or as metadata alone; chosen by the Accept header. */
import type { Column, Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { AGE, age, NAME } from '#events/meta/Table.ts'
import type { Entry } from '#projections/Objects.ts'
import { apiVersionOf } from '#services/apiserver/request/decode.ts'
import { presented } from '#services/apiserver/request/present.ts'

export type Form = 'object' | 'table' | 'metadata'

export interface Representation {
  readonly form: Form
  /** What a table row carries along. */
  readonly include: 'Metadata' | 'Object' | 'None'
}

/** The forms a client can read, best first; `undefined` when it reads none of ours. */
export const representationOf = (accept: string | undefined, query: URLSearchParams): Representation | undefined => {
  const include = query.get('includeObject')
  const including = include === 'Object' || include === 'None' ? include : 'Metadata'
  for (const clause of (accept ?? '*/*').split(',')) {
    const [media, ...parameters] = clause.trim().split(';')
    if (media !== 'application/json' && media !== '*/*' && media !== 'application/*' && media !== '') continue
    const as = parameters
      .map((parameter) => parameter.trim())
      .find((parameter) => parameter.startsWith('as='))
      ?.slice(3)
    if (as === undefined) return { form: 'object', include: including }
    if (as === 'Table') return { form: 'table', include: including }
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return { form: 'metadata', include: including }
  }
  return undefined
}

const PLAIN: readonly Column[] = [NAME, AGE]

export const columnDefinitions = (kind: Kind): unknown[] =>
  (kind.columns ?? PLAIN).map(({ name, type, format, priority, description }) => ({
    name,
    type,
    format: format ?? (name === 'Name' ? 'name' : ''),
    description: description ?? '',
    priority: priority ?? 0
  }))

const partialMetadata = (object: KubeObject): unknown => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: object.metadata
})

/** A table row as JSON text. `now`: milliseconds; ages are relative to it. */
export const rowText = (kind: Kind, stored: Entry, include: Representation['include'], now: number): string => {
  const entry = presented(kind, stored)
  const { object } = entry
  const cells = JSON.stringify(kind.row === undefined ? [object.metadata.name, age(object, now)] : kind.row(object, now))
  const conditions = kind.rowConditions?.(object)
  const carried = include === 'Object' ? entry.text : include === 'None' ? undefined : JSON.stringify(partialMetadata(object))
  return `{"cells":${cells}${conditions === undefined ? '' : `,"conditions":${JSON.stringify(conditions)}`}${carried === undefined ? '' : `,"object":${carried}`}}`
}

const tableHead = (kind: Kind, metadata: unknown, withColumns: boolean): string =>
  `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(metadata)},"columnDefinitions":${withColumns ? JSON.stringify(columnDefinitions(kind)) : '[]'},"rows":[`

/** A table of one row. */
export const tableText = (kind: Kind, row: string, metadata: unknown, withColumns = true): string =>
  `${tableHead(kind, metadata, withColumns)}${row}]}\n`

/** One object in a form. */
export const objectText = (kind: Kind, entry: Entry, { form, include }: Representation, now: number): string => {
  if (form === 'object') return `${presented(kind, entry).text}\n`
  if (form === 'metadata') return `${JSON.stringify(partialMetadata(entry.object))}\n`
  return tableText(kind, rowText(kind, entry, include, now), { resourceVersion: entry.object.metadata.resourceVersion ?? '' })
}

/** A list in a form: what stands before and behind the items, and each item's text. */
export interface ListFrame {
  readonly head: string
  readonly tail: string
  item(entry: Entry): string
}

export const listFrame = (kind: Kind, metadata: unknown, { form, include }: Representation, now: number, firstPage = true): ListFrame => {
  if (form === 'table')
    return { head: tableHead(kind, metadata, firstPage), tail: ']}\n', item: (entry) => rowText(kind, entry, include, now) }
  if (form === 'metadata')
    return {
      head: `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(metadata)},"items":[`,
      tail: ']}\n',
      item: ({ object }) => JSON.stringify(partialMetadata(object))
    }
  return {
    head: `{"kind":"${kind.listKind ?? `${kind.kind}List`}","apiVersion":"${apiVersionOf(kind)}","metadata":${JSON.stringify(metadata)},"items":[`,
    tail: ']}\n',
    item: (entry) => presented(kind, entry).text
  }
}
