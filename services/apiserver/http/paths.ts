/** From a URL to what it names: a resource of the API, at present or at a moment of the past, or something else. */
import { badRequest } from '#events/Refusal.ts'
import { asksToWatch } from '#services/apiserver/request/listOptions.ts'

export interface ResourcePath {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly namespace: string
  readonly name: string
  /** `status`, `log`, `scale` …; '' for the object itself. */
  readonly subresource: string
  /** Deprecated `/watch/` prefix. */
  readonly watch: boolean
}

export interface Target {
  /** What stood after `/at/`: a moment of the past; undefined for the present. */
  readonly moment: string | undefined
  /** The path without the moment. */
  readonly path: string
  readonly query: URLSearchParams
  readonly resource: ResourcePath | undefined
}

const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])

export const parseTarget = (url: string): Target => {
  const mark = url.indexOf('?')
  let path = mark < 0 ? url : url.slice(0, mark)
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
  let moment: string | undefined
  if (path.startsWith('/at/')) {
    const end = path.indexOf('/', 4)
    moment = decoded(path.slice(4, end < 0 ? undefined : end))
    path = end < 0 ? '/' : path.slice(end)
  }
  return { moment, path, query, resource: resourceOf(path) }
}

/** True when it asks for a watch, one way or the other. */
export const isWatch = ({ resource, query }: Target): boolean => resource?.watch === true || asksToWatch(query)

/** What is no segment of a path is no object's name: 400, as upstream, and not a search for it. */
export const checkPathName = (name: string): void => {
  const may =
    name === '.' || name === '..' ? `be '${name}'` : name.includes('/') ? "contain '/'" : name.includes('%') ? "contain '%'" : undefined
  if (may !== undefined) throw badRequest(`Name parameter invalid: ${JSON.stringify(name)}: may not ${may}`)
}

const resourceOf = (path: string): ResourcePath | undefined => {
  const parts: string[] = path
    .split('/')
    .filter((part) => part !== '')
    .map(decoded)
  let group = ''
  let version: string | undefined
  const root = parts.shift()
  if (root === 'api') version = parts.shift()
  else if (root === 'apis') {
    group = parts.shift() ?? ''
    version = parts.shift()
  } else return undefined
  if (version === undefined || parts.length === 0) return undefined
  const watch = parts[0] === 'watch'
  if (watch) parts.shift()
  if (parts[0] === 'namespaces' && parts.length > 2 && !(parts.length === 3 && NAMESPACE_SUBRESOURCES.has(parts[2] as string))) {
    const [, namespace = '', resource = '', name = '', ...rest] = parts
    return { group, version, resource, namespace, name, subresource: rest.join('/'), watch }
  }
  const [resource = '', name = '', ...rest] = parts
  return { group, version, resource, namespace: '', name, subresource: rest.join('/'), watch }
}

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
