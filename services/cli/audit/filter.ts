/** Which records a person wants to see. Plain functions. */
import type { Api } from '#events/Api.ts'
import { CliError } from '#services/cli/Environment.ts'
import { momentOf } from '#services/cli/moment.ts'
import { kindOfWord } from '#services/cli/resources.ts'
import type { AuditRecord } from './record.ts'

/** As typed; undefined: all of them. Lists are separated by commas. */
export interface AuditWords {
  readonly user?: string | undefined
  readonly verb?: string | undefined
  readonly resource?: string | undefined
  readonly namespace?: string | undefined
  readonly code?: string | undefined
}

export interface AuditFilter {
  /** The record is of a request that was asked for. */
  matches(record: AuditRecord): boolean
  /** Others of the same asker's, which were left out, may have been asked for. */
  mayMatchOthersOf(record: AuditRecord): boolean
}

const words = (flag: string, list: string): readonly string[] => {
  const all = list.split(',').map((word) => word.trim())
  if (all.includes('')) throw new CliError(`error: --${flag} "${list}": a word is missing`)
  return all
}

const codeTest = (word: string): ((code: number) => boolean) => {
  if (!/^[1-5](\d\d|xx)$/i.test(word)) throw new CliError(`error: --code ${word}: use a code (403) or a class of them (4xx)`)
  const [low, high] = /^\d+$/.test(word) ? [Number(word), Number(word)] : [Number(word[0]) * 100, Number(word[0]) * 100 + 99]
  return (code) => code >= low && code <= high
}

/** What the trail calls it. What we do not know is looked for as it is typed: the trail has what was asked for, not what there is. */
const resourceOf = (api: Api, word: string): { readonly resource: string; readonly group: string | undefined } => {
  const [name = '', ...group] = word.toLowerCase().split('.')
  try {
    return { resource: kindOfWord(api, word).resource, group: group.length === 0 ? undefined : kindOfWord(api, word).group }
  } catch {
    return { resource: name, group: group.length === 0 ? undefined : group.join('.') }
  }
}

/** As in an audit policy: `pods` is not `pods/exec`; `pods/*` are its subresources, `*\/scale` is that of anything. */
const resourceTest = (api: Api, word: string): ((record: AuditRecord) => boolean) => {
  const [whole = '', subresource = ''] = word.split('/', 2)
  if (whole === '' || (word.includes('/') && subresource === ''))
    throw new CliError(`error: --resource ${word}: use a resource (secrets), or one with its subresource (pods/exec, pods/*)`)
  const { resource, group } = resourceOf(api, whole)
  return ({ objectRef }) =>
    objectRef !== undefined &&
    (resource === '*' || objectRef.resource === resource) &&
    (group === undefined || (objectRef.apiGroup ?? '') === group) &&
    (subresource === '*' ? (objectRef.subresource ?? '') !== '' : (objectRef.subresource ?? '') === subresource)
}

export const filterOf = (api: Api, { user, verb, resource, namespace, code }: AuditWords): AuditFilter => {
  const verbs = verb === undefined ? undefined : new Set(words('verb', verb.toLowerCase()))
  const resources = resource === undefined ? undefined : words('resource', resource).map((word) => resourceTest(api, word))
  const codes = code === undefined ? undefined : words('code', code).map(codeTest)
  const isOf = ({ user: asker, impersonatedUser: other }: AuditRecord): boolean =>
    user === undefined || asker?.username === user || other?.username === user
  return {
    matches: (record) =>
      isOf(record) &&
      (verbs === undefined || verbs.has(record.verb ?? '')) &&
      (resources === undefined || resources.some((test) => test(record))) &&
      (namespace === undefined || (record.objectRef?.namespace ?? '') === namespace) &&
      (codes === undefined || codes.some((test) => test(record.responseStatus?.code ?? 0))),
    // Who acts as one acts as others: whom they acted as in what was left out is not known.
    mayMatchOthersOf: (record) => isOf(record) || record.impersonatedUser !== undefined
  }
}

/** Milliseconds; 0 for `start`. `-5m` and, as kubectl has it, `5m`. */
export const sinceOf = (word: string, now: number): number => {
  if (word === 'start') return 0
  const moment = momentOf(/^\d+(\.\d+)?[smhd]$/.test(word) ? `-${word}` : word, now)
  if (moment === undefined) throw new CliError(`error: --since ${word}: use an RFC 3339 time, a time ago (-5m) or start`)
  return moment
}
