/** How records of the audit trail look. What clients chose of them must not speak to the terminal. Plain functions. */
import { stringify } from 'yaml'
import { encoded, short } from '#services/cli/print.ts'
import { notesIn, timeOf, type AuditRecord } from './record.ts'
import type { Missing, Shown } from './Reader.ts'

export const HEADER = ['TIME', 'USER', 'VERB', 'WHAT', 'CODE', 'REASON'] as const

const LOST = 'the log was away or short of room'
const INCOMPLETE = 'not all there was is shown'
const SAYS_MORE = '`reckon log verify` says more'
const LONGEST = { name: 64, verb: 20, what: 96, reason: 110 }
/** The answer to what goes on as another protocol: exec, attach, port-forward. */
const SWITCHED = 101
/** What a terminal obeys, or does not show: controls (of eight bits too), marks of direction, ends of lines. */
const UNSEEN = /(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu

const unit = (char: string, at: number): string => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`
const units = (char: string): string => Array.from({ length: char.length }, (_, at) => unit(char, at)).join('')
const escaped = (text: string): string => text.replace(UNSEEN, units)
const cell = (text: unknown, limit: number): string => escaped(short(String(text), limit))
/** A name with a space in it could say what another column says. */
const named = (name: string): string => cell(/[\s"]/.test(name) ? JSON.stringify(name) : name, LONGEST.name)

const timeText = (record: AuditRecord): string => {
  const time = timeOf(record)
  return Number.isNaN(time) ? '-' : new Date(time).toISOString()
}

const askerText = ({ user, sourceIPs }: AuditRecord): string => {
  if (user?.username !== undefined) return named(user.username)
  return sourceIPs?.[0] === undefined ? '<unknown>' : `<unknown> (${cell(sourceIPs[0], LONGEST.name)})`
}

const userText = (record: AuditRecord): string => {
  const as = record.impersonatedUser?.username
  return as === undefined ? askerText(record) : `${askerText(record)} as ${named(as)}`
}

/** `shop/deployments.apps/web/scale`; of what is no object, its path. */
const whatText = ({ objectRef, requestURI }: AuditRecord): string => {
  if (objectRef?.resource === undefined) return cell(requestURI ?? '-', LONGEST.what)
  const { namespace = '', resource, apiGroup = '', name = '', subresource = '' } = objectRef
  const parts = [namespace, apiGroup === '' ? resource : `${resource}.${apiGroup}`, name, subresource]
  return cell(parts.filter((part) => part !== '').join('/'), LONGEST.what)
}

const reasonText = (record: AuditRecord): string => {
  const { code, reason = '', message = '' } = record.responseStatus ?? {}
  const said = [reason, ...(message === reason ? [] : [message])].filter((part) => part !== '').join(': ')
  const began = record.stage === 'ResponseStarted' ? 'began' : code === SWITCHED ? 'ended' : ''
  const notes = notesIn(record).map(([key, value]) => `${key}: ${value}`)
  return cell([began, said, ...notes].filter((part) => part !== '').join('; '), LONGEST.reason)
}

const isRefusal = ({ responseStatus }: AuditRecord): boolean => (responseStatus?.code ?? 0) >= 400
const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** One row for the record, and before it one for each count of others that it carries. */
export const rowsOf = ({ record, itself, lost, leftOut }: Shown): string[][] => {
  const time = timeText(record)
  const rows: string[][] = []
  if (lost > 0) rows.push([time, '-', 'lost', '-', '-', `${plural(lost, 'record')} from before this: ${LOST}`])
  if (leftOut > 0) {
    const what = plural(leftOut, isRefusal(record) ? 'refusal' : 'record')
    rows.push([time, askerText(record), 'left out', '-', '-', `${what} of this user from before this: too many at once`])
  }
  if (itself) {
    const code = String(record.responseStatus?.code ?? '-')
    rows.push([time, userText(record), cell(record.verb ?? '-', LONGEST.verb), whatText(record), code, reasonText(record)])
  }
  return rows
}

/** A record for machines; undefined when it was not asked for, and only says of others that they were left out. */
export const textOf = ({ record, itself, lost }: Shown, format: 'json' | 'yaml'): string | undefined => {
  if (!itself && lost === 0) return undefined
  if (format === 'json') return escaped(JSON.stringify(record))
  const text = encoded(record, 'yaml')
  if (text === escaped(text)) return `---\n${text}`
  // Between quotes an escape means what it stands for.
  return `---\n${escaped(stringify(record, { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' }).trimEnd())}`
}

const rangeText = (ranges: Missing['holes']): string =>
  ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(', ')

/** What is not shown of what was asked for, in sentences. */
export const notesOf = ({ lost, leftOut, holes, strange }: Missing): string[] => {
  const notes: string[] = []
  if (lost > 0) notes.push(`${INCOMPLETE}: ${plural(lost, 'record')} could not be kept; ${LOST}`)
  if (leftOut > 0) notes.push(`${INCOMPLETE}: ${plural(leftOut, 'record')} left out, of users who asked too much at once`)
  if (holes.length > 0) notes.push(`the trail is not whole: nothing is left at ${short(rangeText(holes))}; ${SAYS_MORE}`)
  if (strange.length > 0) notes.push(`not shown: no record of the trail is at ${short(strange.join(', '))}; ${SAYS_MORE}`)
  return notes.map((note) => `(${note})`)
}
