/** What lists and watches are told in their query (ListOptions), checked in upstream's words. */
import { forbiddenField } from '#events/meta/faults.ts'
import { badRequest, invalid, type FieldError } from '#events/Refusal.ts'
import { booleanOf, integerOf } from './options.ts'

export interface ListOptions {
  /** At most so many objects; 0 for all. */
  readonly limit: number
  /** '' when none is given. */
  readonly resourceVersion: string
  readonly sendInitialEvents: boolean
  readonly allowWatchBookmarks: boolean
  /** Undefined when the client leaves it to the server. */
  readonly timeoutSeconds: number | undefined
}

const FIELD = 'resourceVersionMatch'
const supported = (value: string, words: readonly string[]): FieldError => ({
  type: 'NotSupported',
  field: FIELD,
  value,
  detail: `supported values: ${words.map((word) => JSON.stringify(word)).join(', ')}`
})

const listFaults = (match: string, version: string, continuing: boolean, initial: boolean | undefined): FieldError[] => {
  const faults: FieldError[] = []
  if (match !== '') {
    if (version === '') faults.push(forbiddenField(FIELD, 'resourceVersionMatch is forbidden unless resourceVersion is provided'))
    if (continuing) faults.push(forbiddenField(FIELD, 'resourceVersionMatch is forbidden when continue is provided'))
    if (match !== 'Exact' && match !== 'NotOlderThan') faults.push(supported(match, ['Exact', 'NotOlderThan', '']))
    if (match === 'Exact' && version === '0')
      faults.push(forbiddenField(FIELD, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
  }
  if (initial !== undefined) faults.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'))
  return faults
}

const watchFaults = (match: string, continuing: boolean, initial: boolean | undefined): FieldError[] => {
  const faults: FieldError[] = []
  if (initial !== undefined && match !== 'NotOlderThan')
    faults.push(forbiddenField(FIELD, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'))
  if (match === '') return faults
  if (initial === undefined)
    faults.push(forbiddenField(FIELD, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'))
  if (match !== 'NotOlderThan') faults.push(supported(match, ['NotOlderThan']))
  if (continuing) faults.push(forbiddenField(FIELD, 'resourceVersionMatch is forbidden when continue is provided'))
  return faults
}

/** True when the query asks for a watch: as upstream, by anything but `0` and `false`. */
export const asksToWatch = (query: URLSearchParams): boolean => booleanOf(query, 'watch') === true

/** Throws 400 for what can't be read and 422 for what does not go together. */
export const listOptionsOf = (query: URLSearchParams, watching: boolean): ListOptions => {
  const limit = integerOf(query, 'limit') ?? 0
  const timeoutSeconds = integerOf(query, 'timeoutSeconds')
  const initial = booleanOf(query, 'sendInitialEvents')
  const version = query.get('resourceVersion') ?? ''
  const match = query.get(FIELD) ?? ''
  const continuing = (query.get('continue') ?? '') !== ''
  const faults = watching ? watchFaults(match, continuing, initial) : listFaults(match, version, continuing, initial)
  if (faults.length > 0) throw invalid('meta.k8s.io', 'ListOptions', '', faults)
  if (version !== '' && !/^\d{1,16}$/.test(version))
    throw badRequest(
      `${watching ? '' : 'invalid resource version: '}resourceVersion: Invalid value: ${JSON.stringify(version)}: strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`
    )
  return {
    limit: Math.max(0, limit),
    resourceVersion: version,
    sendInitialEvents: initial === true,
    allowWatchBookmarks: booleanOf(query, 'allowWatchBookmarks') === true,
    timeoutSeconds
  }
}
