/** From what a person types (`deploy/web`, `pods`, `svc web`) to a kind and a name. Plain functions. */
import type { Api } from '#events/Api.ts'
import type { Kind } from '#events/Kind.ts'
import { CliError } from './Environment.ts'

export const kindOfWord = (api: Api, word: string): Kind => {
  const [name = '', ...group] = word.toLowerCase().split('.')
  const found = api.served.find(
    (kind) =>
      (kind.resource === name || kind.singular === name || kind.shortNames?.includes(name) === true) &&
      (group.length === 0 || kind.group === group.join('.') || `${kind.version}.${kind.group}` === group.join('.'))
  )
  if (found === undefined) throw new CliError(`error: the server doesn't have a resource type "${word}"`)
  return found
}

export interface Named {
  readonly kind: Kind
  readonly name: string
}

/** `KIND/NAME` or `KIND NAME`. */
export const objectOfWords = (api: Api, words: readonly string[]): Named => {
  const [first = '', second] = words
  const [word, name] = first.includes('/') ? [first.slice(0, first.indexOf('/')), first.slice(first.indexOf('/') + 1)] : [first, second]
  if (word === undefined || name === undefined || word === '' || name === '')
    throw new CliError('error: name one object, as KIND/NAME (for example deployment/web)')
  return { kind: kindOfWord(api, word), name }
}

/** `deployment.apps/web`, as kubectl prints it. */
export const printedName = (kind: Kind, name: string): string => `${kind.singular}${kind.group === '' ? '' : `.${kind.group}`}/${name}`

export const pathOf = (kind: Kind, namespace: string | undefined, name = ''): string =>
  `/${kind.group === '' ? 'api' : `apis/${kind.group}`}/${kind.version}${kind.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : ''}/${kind.resource}${name === '' ? '' : `/${encodeURIComponent(name)}`}`
