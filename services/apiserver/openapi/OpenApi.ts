/** Serves the OpenAPI documents of an API: each is made when first asked for, those of group versions once for all APIs that have them. */
import { groupVersionPaths, openapiV2, openapiV3Index } from './documents.ts'
import type { GroupVersions } from './GroupVersions.ts'
import { Rendered } from './Rendered.ts'
import type { OpenApiKind } from './schemas.ts'

export interface OpenApiRequest {
  /** `/openapi/v3/apis/apps/v1`, without the query. */
  readonly path: string
  /** The `hash` query parameter. */
  readonly hash?: string | undefined
  readonly accept?: string | undefined
  readonly acceptEncoding?: string | undefined
  readonly ifNoneMatch?: string | undefined
}

export interface OpenApiAnswer {
  readonly code: 200 | 301 | 304 | 404 | 406
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * `Document{swagger: "2.0"}` in protobuf. kubectl asks for v2 in protobuf only and needs an answer that parses;
 * what it wants to know it then finds in v3 or in its own types.
 */
const V2_PROTOBUF = Uint8Array.of(0x0a, 0x03, 0x32, 0x2e, 0x30)
const V2_PROTOBUF_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

const NOTHING = new Uint8Array(0)
/** As upstream: an address with a hash never changes its content. */
const FOREVER = 'public, immutable'

/** The documents of one list of kinds; when the list changes, make a new one. */
export class OpenApi {
  readonly #kinds: readonly OpenApiKind[]
  readonly #groupVersions: GroupVersions
  /** What this API shows, whatever another one that came after it makes of the same kinds. */
  readonly #v3 = new Map<string, Rendered>()
  #index: Rendered | undefined
  #v2: Rendered | undefined

  constructor(kinds: readonly OpenApiKind[], groupVersions: GroupVersions) {
    this.#kinds = kinds
    this.#groupVersions = groupVersions
  }

  /** The document of `api/v1`, `apis/apps/v1`, or undefined. */
  #document(path: string): Rendered | undefined {
    let rendered = this.#v3.get(path)
    if (rendered !== undefined) return rendered
    const parts = path.split('/')
    const [group, version] =
      parts[0] === 'api' && parts.length === 2 ? ['', parts[1]] : parts[0] === 'apis' && parts.length === 3 ? [parts[1], parts[2]] : []
    if (group === undefined || version === undefined) return undefined
    rendered = this.#groupVersions.document(this.#kinds, group, version)
    if (rendered !== undefined) this.#v3.set(path, rendered)
    return rendered
  }

  #indexDocument(): Rendered {
    if (this.#index === undefined) {
      const hashes = groupVersionPaths(this.#kinds).map((path) => [path, this.#document(path)?.hash ?? ''] as const)
      this.#index = new Rendered(openapiV3Index(new Map(hashes)))
    }
    return this.#index
  }

  /** Answers a GET below `/openapi/`; undefined when the path is not one of its own. */
  answer(request: OpenApiRequest): OpenApiAnswer | undefined {
    const { path } = request
    if (path === '/openapi/v2') return this.#answerV2(request)
    if (path === '/openapi/v3' || path === '/openapi/v3/') return send(this.#indexDocument(), request, 'no-cache, private')
    if (!path.startsWith('/openapi/v3/')) return undefined
    const name = path.slice('/openapi/v3/'.length)
    const document = this.#document(name)
    if (document === undefined)
      return { code: 404, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: Buffer.from('404 page not found\n') }
    if (request.hash !== undefined && request.hash !== document.hash) {
      return { code: 301, headers: { Location: `/openapi/v3/${name}?hash=${document.hash}` }, body: NOTHING }
    }
    return send(document, request, request.hash === undefined ? 'no-cache, private' : FOREVER)
  }

  #answerV2(request: OpenApiRequest): OpenApiAnswer {
    const accept = request.accept ?? ''
    if (accept.includes('proto-openapi.spec.v2')) {
      return {
        code: 200,
        headers: { 'Content-Type': V2_PROTOBUF_TYPE, 'Cache-Control': 'no-cache, private', Vary: 'Accept' },
        body: V2_PROTOBUF
      }
    }
    this.#v2 ??= new Rendered(openapiV2(this.#kinds, this.#groupVersions.serverVersion))
    return send(this.#v2, request, 'no-cache, private')
  }
}

/** Whether JSON is acceptable: no Accept, a JSON type or a wildcard. */
const takesJson = (accept: string | undefined): boolean =>
  accept === undefined || accept === '' || /(?:application\/json|application\/\*|\*\/\*)/.test(accept)

const send = (document: Rendered, request: OpenApiRequest, cacheControl: string): OpenApiAnswer => {
  if (!takesJson(request.accept)) return { code: 406, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: NOTHING }
  const etag = `"${document.hash}"`
  const headers = { 'Cache-Control': cacheControl, ETag: etag, Vary: 'Accept, Accept-Encoding' }
  if (request.ifNoneMatch?.split(',').some((each) => each.trim().replace(/^W\//, '') === etag) === true)
    return { code: 304, headers, body: NOTHING }
  const compress = /\bgzip\b/.test(request.acceptEncoding ?? '')
  const body = compress ? document.gzip : document.body
  return {
    code: 200,
    headers: { ...headers, 'Content-Type': 'application/json', ...(compress ? { 'Content-Encoding': 'gzip' } : {}) },
    body
  }
}
