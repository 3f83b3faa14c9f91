/** get and list: from a Reader, selected and paged. What a list shows is found, and put together, while it is sent. */
import { collectionOf, type Kind } from '#events/Kind.ts'
import { objectId } from '#events/Key.ts'
import { fieldMatcher, parseFieldSelector, requiredValue } from '#events/meta/FieldSelector.ts'
import { matches, parseSelector } from '#events/meta/LabelSelector.ts'
import { badRequest, expired, notFound, timedOut } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import type { Narrow } from '#services/platform/past/PastIndex.ts'
import { ViewBehind } from '#services/platform/View.ts'
import type { View } from '#services/platform/View.ts'
import { BREATHE, breathe } from '#services/apiserver/http/breathe.ts'
import { integerOf } from '#services/apiserver/request/options.ts'
import { presented } from '#services/apiserver/request/present.ts'
import { shortListing, type Listing } from '#services/apiserver/time-travel/Listing.ts'
import type { Pages } from '#services/apiserver/time-travel/Pages.ts'
import type { Reader } from '#services/apiserver/time-travel/Reader.ts'

export type Matcher = (entry: Entry) => boolean

export interface Selection {
  /** Equal for selections that select the same in the same words. */
  readonly id: string
  readonly matches: Matcher
  /** True when everything matches. */
  readonly all: boolean
  /** Set when only one object can match. */
  readonly name?: string
  readonly nodeName?: string
  /** What can be told from labels and fields alone; absent: nothing. */
  readonly narrow?: Narrow
}

/** The test of `labelSelector` and `fieldSelector`; 400 for selectors that make no sense. */
export const selectionOf = (kind: Kind, query: URLSearchParams, name: string): Selection => {
  const labels = query.get('labelSelector') ?? ''
  const fields = query.get('fieldSelector') ?? ''
  if (labels === '' && fields === '' && name === '') return { id: '', matches: () => true, all: true }
  const selector = parseSelector(labels)
  const requirements = parseFieldSelector(fields)
  const byField = fieldMatcher(kind, requirements)
  const wanted = name === '' ? requiredValue(requirements, 'metadata.name') : name
  const node = requiredValue(requirements, 'spec.nodeName')
  return {
    id: JSON.stringify([name, labels, fields]),
    matches: (entry) => {
      const { metadata } = entry.object
      return (
        (name === '' || metadata.name === name) &&
        matches(selector, metadata.labels) &&
        (requirements.length === 0 || byField(presented(kind, entry).object))
      )
    },
    all: false,
    ...(wanted === undefined ? {} : { name: wanted }),
    ...(node === undefined || node === '' ? {} : { nodeName: node }),
    narrow: (traits) =>
      (traits.labels === undefined || matches(selector, traits.labels)) &&
      requirements.every(({ field, operator, value }) => {
        const known = traits.fields !== undefined && Object.hasOwn(traits.fields, field) ? traits.fields[field] : undefined
        return known === undefined || (known === value) === (operator === '=')
      })
  }
}

export const getObject = async (kind: Kind, namespace: string, name: string, reader: Reader): Promise<Entry> => {
  const entry = await reader.get(collectionOf(kind), namespace, name)
  if (entry === undefined) throw notFound(kind, name)
  return entry
}

/** Waits until the view has what the client has seen already. */
export const waitForVersion = async (view: View, resourceVersion: string | null): Promise<void> => {
  if (resourceVersion === null || resourceVersion === '' || resourceVersion === '0') return
  if (!/^[1-9]\d{0,15}$/.test(resourceVersion))
    throw badRequest(
      `resourceVersion: Invalid value: "${resourceVersion}": strconv.ParseUint: parsing "${resourceVersion}": invalid syntax`
    )
  try {
    await view.waitFor(Number(resourceVersion), 3_000)
  } catch (error) {
    if (!(error instanceof ViewBehind)) throw error
    throw timedOut(`Too large resource version: ${resourceVersion}, current: ${view.objects.sequence}`, [
      { reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }
    ])
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
  if (now - parsed.t > CONTINUE_LIFE_MS)
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.'
    )
  return parsed
}

/** Part of a listing. It is mutable on purpose: whoever holds a part that is sent slowly must not hold the objects. */
export interface Part {
  listing: Listing
  readonly from: number
  /** Excluded. */
  readonly to: number
  /** Undefined: all of them. */
  readonly matches: Matcher | undefined
}

/** A list as it is answered: what is shown is found while it is sent. */
export interface Page extends Part {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number }
  readonly first: boolean
}

export interface ListRequest {
  readonly kind: Kind
  readonly namespace: string | undefined
  readonly selection: Selection
  readonly query: URLSearchParams
  readonly reader: Reader
  /** Reads at a sequence of the kind's stream: pages after the first see what the first saw. */
  readonly readerAt: (sequence: number) => Promise<Reader>
  readonly pages: Pages
  readonly now: number
}

export const listObjects = async ({ kind, namespace, selection, query, reader, readerAt, pages, now }: ListRequest): Promise<Page> => {
  const limit = Math.max(0, integerOf(query, 'limit') ?? 0)
  const token = query.get('continue') ?? ''
  const begun = token === '' ? undefined : readToken(token, now)
  const sequence = begun?.v ?? reader.sequence(kind)
  const source = begun === undefined ? reader : await readerAt(begun.v)
  const metadata = { resourceVersion: String(sequence) }
  const first = begun === undefined
  const one = await onlyOne(kind, namespace, selection, source)
  if (one !== undefined) {
    const found = one.filter(selection.matches)
    return { listing: shortListing(found), from: 0, to: found.length, matches: undefined, metadata, first }
  }
  const listing =
    (begun === undefined ? undefined : pages.get(collectionOf(kind), namespace, sequence, selection.id)) ??
    (await source.list(collectionOf(kind), namespace, selection.narrow))
  const from = begun === undefined ? 0 : listing.after(begun.k)
  const matches = selection.all ? undefined : selection.matches
  if (limit === 0) return { listing, from, to: listing.size, matches, metadata, first }
  const to = selection.all ? Math.min(listing.size, from + limit) : await endOf(listing, from, limit, selection.matches)
  if (to >= listing.size) return { listing, from, to: listing.size, matches, metadata, first }
  const last = await listing.at(to - 1)
  const next: Continue = { v: sequence, k: last.id, t: begun?.t ?? now }
  if (first) pages.keep(collectionOf(kind), namespace, sequence, selection.id, listing)
  return {
    listing,
    from,
    to,
    matches,
    metadata: {
      ...metadata,
      continue: Buffer.from(JSON.stringify(next)).toString('base64url'),
      ...(selection.all ? { remainingItemCount: listing.size - to } : {})
    },
    first
  }
}

/** Behind the `limit`th match; the listing's size when there is no match after it. */
const endOf = async (listing: Listing, from: number, limit: number, matches: Matcher): Promise<number> => {
  let end = listing.size
  let found = 0
  for (let index = from; index < listing.size; index++) {
    if (index % BREATHE === 0) await breathe()
    const at = listing.at(index)
    if (!matches(at instanceof Promise ? await at : at)) continue
    found += 1
    if (found === limit) end = index + 1
    else if (found > limit) return end
  }
  return listing.size
}

const onlyOne = async (
  kind: Kind,
  namespace: string | undefined,
  selection: Selection,
  reader: Reader
): Promise<readonly Entry[] | undefined> => {
  if (selection.name === undefined || (namespace === undefined && kind.namespaced)) return undefined
  const entry = await reader.get(collectionOf(kind), namespace ?? '', selection.name)
  return entry === undefined || entry.id !== objectId(namespace ?? '', selection.name) ? [] : [entry]
}
