/** Requests, mostly valid: an operation of the document, a body of its schema, and now and then something nobody expects. */
import fc from 'fast-check'
import type { Sent } from '#test/support/server.ts'
import { APPLY, Bodies, type Body } from './bodies.ts'
import type { Document, Operation } from './document.ts'
import { headers, identity, queryOf, upgrade, type Headers, type Query } from './queries.ts'
import { name } from './values.ts'

export interface Request extends Sent {
  /** What is asked, for the report: `patch Pod/status`. */
  readonly what: string
  /** The object it is about, when it is about one that is stored. */
  readonly target: { readonly collection: string; readonly kind: string } | undefined
  readonly dryRun: boolean
}

const NAMESPACES = ['default', 'fuzz'] as const
const namespace = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(...NAMESPACES) },
  { weight: 1, arbitrary: fc.constantFrom('nowhere', 'kube-system', 'A', '..', '%00', '%C3%A4') }
)
const oddName = fc.constantFrom(
  'A_B',
  '..',
  '%2e%2e',
  '%',
  '%zz',
  '%00',
  '%C3%A4',
  encodeURIComponent('😀'),
  'x'.repeat(300),
  'a%2Fb',
  'kubernetes',
  'default',
  '__proto__',
  'a%20b',
  '%F0%28%8C%28'
)
const pathName = fc.oneof({ weight: 30, arbitrary: name }, { weight: 2, arbitrary: oddName })

const MOMENTS = [
  '-0s',
  '-1ms',
  '-1h',
  '1',
  '40',
  '999999',
  '2020-01-01T00:00:00Z',
  '2099-01-01',
  'x',
  '',
  '-',
  '%zz',
  '-1s-2m',
  '1e3',
  '-99999999999999d',
  '0',
  '2030-13-99'
]
const moment = fc.oneof(
  { weight: 25, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom<string | undefined>(...MOMENTS) }
)

/** Where requests go that are about no object. */
const OTHER = [
  '/',
  '/api',
  '/apis',
  '/version',
  '/healthz',
  '/livez',
  '/readyz?verbose',
  '/readyz/ping',
  '/openapi/v2',
  '/openapi/v3',
  '/openapi/v3/api/v1',
  '/openapi/v3/x',
  '/apis/apps',
  '/apis/apps/v1',
  '/apis/x/v1',
  '/api/v2',
  '/metrics',
  '//',
  '/api//v1',
  '/at/',
  '/at/x',
  '/apis/apps/v1/x/y/z/q',
  '/api/v1/watch/pods',
  '/api/v1/watch/namespaces/default/pods/web',
  '/.well-known/openid-configuration',
  '/?a=%',
  '/api/v1/namespaces/default/pods/web/log/x',
  '/apis/authorization.k8s.io/v1/subjectaccessreviews/x'
]
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND'] as const

interface Parts {
  readonly namespace: string
  readonly name: string
  readonly query: Query
  readonly headers: Headers
  readonly identity: Headers
  readonly upgrade: Headers
  readonly moment: string | undefined
  /** Another method than the operation's. */
  readonly method: string | undefined
}

const CHANNELS = new Set(['exec', 'attach'])
/** Subresources whose answer is no stored object. */
const ANSWERS = new Set(['exec', 'attach', 'log', 'token'])

export class Requests {
  readonly #document: Document
  readonly #bodies: Bodies

  constructor(document: Document) {
    this.#document = document
    this.#bodies = new Bodies(document)
  }
  /** Any request. */
  whatever(): fc.Arbitrary<Request> {
    const one = (...actions: readonly string[]): fc.Arbitrary<Request> =>
      fc
        .constantFrom(...this.#document.operations.filter(({ action }) => actions.includes(action)))
        .chain((operation) => this.#of(operation))
    return fc.oneof(
      { weight: 40, arbitrary: one('post') },
      { weight: 20, arbitrary: one('put') },
      { weight: 32, arbitrary: one('patch') },
      { weight: 5, arbitrary: one('delete') },
      { weight: 1, arbitrary: one('deletecollection') },
      { weight: 20, arbitrary: one('get', 'list', 'watch') },
      { weight: 2, arbitrary: one('connect') },
      { weight: 3, arbitrary: this.#other() }
    )
  }
  #other(): fc.Arbitrary<Request> {
    const method = fc.oneof({ weight: 5, arbitrary: fc.constant('GET') }, { weight: 1, arbitrary: fc.constantFrom(...METHODS) })
    return fc
      .record({ path: fc.constantFrom(...OTHER), method, headers, identity, moment })
      .map(({ path, method: asked, headers: given, identity: who, moment: at }) => ({
        what: 'other',
        method: asked,
        path: `${at === undefined ? '' : `/at/${at}`}${path}`,
        headers: { ...given, ...who },
        target: undefined,
        dryRun: false
      }))
  }
  #of(operation: Operation): fc.Arbitrary<Request> {
    return fc
      .record({
        namespace,
        name: pathName,
        query: queryOf(operation.query, operation.subresource),
        headers,
        identity,
        upgrade: CHANNELS.has(operation.subresource) ? upgrade : fc.constant({}),
        moment,
        method: fc.oneof(
          { weight: 80, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.constantFrom<string | undefined>(...METHODS) }
        )
      })
      .chain((parts) => this.#bodies.of(operation, parts.name).map((body) => put(operation, parts, body)))
  }
}

const put = (operation: Operation, parts: Parts, { contentType, bytes }: Body): Request => {
  const apply = contentType === APPLY
  // What does not go together is refused before anything else is looked at, so it is asked for seldom.
  const own = parts.query.filter(([key]) => key !== 'force' || apply || parts.name === 'a')
  const query = (apply && !own.some(([key]) => key === 'fieldManager') ? [['fieldManager', 'fuzz'] as const, ...own] : own)
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&')
  const at = (path: string): string => path.replace('{namespace}', parts.namespace).replace('{name}', parts.name)
  return {
    what: `${operation.action} ${operation.kind}${operation.subresource === '' ? '' : `/${operation.subresource}`}`,
    method: parts.method ?? operation.method,
    path: `${parts.moment === undefined ? '' : `/at/${parts.moment}`}${at(operation.path)}${query === '' ? '' : `?${query}`}`,
    headers: {
      ...parts.headers,
      ...parts.identity,
      ...parts.upgrade,
      ...(contentType === undefined ? {} : { 'content-type': contentType })
    },
    ...(bytes === undefined ? {} : { body: bytes }),
    target:
      parts.moment !== undefined || ANSWERS.has(operation.subresource) || /review/i.test(operation.kind)
        ? undefined
        : { collection: at(operation.path.replace(/\/\{name\}.*$/, '')), kind: operation.kind },
    dryRun: query.includes('dryRun=') || (typeof bytes === 'string' && bytes.includes('dryRun'))
  }
}
