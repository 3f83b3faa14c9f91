/** get and list: from a Reader, selected, paged, and put together from texts that exist already. */
import type { Kind } from '#events/Kind.ts'
import { objectId } from '#events/Key.ts'
import { fieldMatcher, parseFieldSelector, requiredValue } from '#events/meta/FieldSelector.ts'
import { matches, parseSelector } from '#events/meta/LabelSelector.ts'
import { badRequest, expired, notFound, timedOut } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import { ViewBehind } from '../../platform/View.ts'
import type { View } from '../../platform/View.ts'
import { integerOf } from '../request/options.ts'
import type { Reader } from '../time-travel/Reader.ts'

export type Matcher = (entry: Entry) => boolean

export interface Selection {
  readonly matches: Matcher
  /** True when everything matches. */
  readonly all: boolean
  /** Set when only one object can match. */
  readonly name?: string
  readonly nodeName?: string
}

/** The test of `labelSelector` and `fieldSelector`; 400 for selectors that make no sense. */
export const selectionOf = (kind: Kind, query: URLSearchParams, name: string): Selection => {
  const labels = query.get('labelSelector') ?? ''
  const fields = query.get('fieldSelector') ?? ''
  if (labels === '' && fields === '' && name === '') return { matches: () => true, all: true }
  const selector = parseSelector(labels)
  const requirements = parseFieldSelector(fields)
  const byField = fieldMatcher(kind, requirements)
  const wanted = name === '' ? requiredValue(requirements, 'metadata.name') : name
  const node = requiredValue(requirements, 'spec.nodeName')
  return {
    matches: ({ object }) => (name === '' || object.metadata.name === name) && matches(selector, object.metadata.labels) && byField(object),
    all: false,
    ...(wanted === undefined ? {} : { name: wanted }),
    ...(node === undefined || node === '' ? {} : { nodeName: node })
  }
}

export const getObject = async (kind: Kind, namespace: string, name: string, reader: Reader): Promise<Entry> => {
  const entry = await reader.get(kind, namespace, name)
  if (entry === undefined) throw notFound(kind, name)
  return entry
}

/** Waits until the view has what the client has seen already. */
export const waitForVersion = async (view: View, resourceVersion: string | null): Promise<void> => {
  if (resourceVersion === null || resourceVersion === '' || resourceVersion === '0') return
  if (!/^[1-9]\d{0,15}$/.test(resourceVersion)) throw badRequest(`resourceVersion: Invalid value: "${resourceVersion}": strconv.ParseUint: parsing "${resourceVersion}": invalid syntax`)
  try {
    await view.waitFor(Number(resourceVersion), 3_000)
  } catch (error) {
    if (!(error instanceof ViewBehind)) throw error
    throw timedOut(`Too large resource version: ${resourceVersion}, current: ${view.objects.sequence}`, [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }])
  }
}

interface Continue {
  readonly v: number
  /** The last object of the page before. */
  readonly k: string
  /** When the list began, milliseconds: tokens expire as clients expect, though the log would not mind. */
  readonly t: number
}

const CONTINUE_LIFE_MS = 15 * 60_000

const isContinue = (parsed: Partial<Continue> | null): parsed is Continue =>
  Number.isSafeInteger(parsed?.v) && (parsed?.v as number) >= 0 && typeof parsed?.k === 'string' && Number.isSafeInteger(parsed.t)

const readToken = (token: string, now: number): Continue => {
  let parsed: Partial<Continue> | null
  try {
    parsed = JSON.parse(Buffer.from(token, 'base64url').toString()) as Partial<Continue> | null
  } catch {
    parsed = null
  }
  // Anybody can make one up: what it holds is believed no further than its shape.
  if (!isContinue(parsed)) throw badRequest('continue key is not valid: the token was not made by this server')
  if (now - parsed.t > CONTINUE_LIFE_MS) throw expired('The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.')
  return parsed
}

export interface Page {
  readonly entries: readonly Entry[]
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number }
  readonly first: boolean
}

/** `readerAt` reads at a sequence of the kind's stream: pages after the first see what the first saw. */
export const listObjects = async (
  kind: Kind,
  namespace: string | undefined,
  selection: Selection,
  query: URLSearchParams,
  reader: Reader,
  readerAt: (sequence: number) => Reader,
  now: number
): Promise<Page> => {
  const limit = Math.max(0, integerOf(query, 'limit') ?? 0)
  const token = query.get('continue') ?? ''
  const from = token === '' ? undefined : readToken(token, now)
  const sequence = from?.v ?? reader.sequence(kind)
  const source = from === undefined ? reader : readerAt(from.v)
  const candidates = await candidatesOf(kind, namespace, selection, source)
  const after = from === undefined ? candidates : candidates.filter(({ id }) => id > from.k)
  const found = selection.all ? after : after.filter(selection.matches)
  const resourceVersion = String(sequence)
  if (limit === 0 || found.length <= limit) return { entries: found, metadata: { resourceVersion }, first: from === undefined }
  const entries = found.slice(0, limit)
  const next: Continue = { v: sequence, k: (entries.at(-1) as Entry).id, t: from?.t ?? now }
  return {
    entries,
    metadata: { resourceVersion, continue: Buffer.from(JSON.stringify(next)).toString('base64url'), ...(selection.all ? { remainingItemCount: found.length - limit } : {}) },
    first: from === undefined
  }
}

const candidatesOf = async (kind: Kind, namespace: string | undefined, selection: Selection, reader: Reader): Promise<readonly Entry[]> => {
  if (selection.name !== undefined && (namespace !== undefined || !kind.namespaced)) {
    const entry = await reader.get(kind, namespace ?? '', selection.name)
    return entry === undefined || entry.id !== objectId(namespace ?? '', selection.name) ? [] : [entry]
  }
  return reader.list(kind, namespace)
}
