/** Serves the discovery documents: each form is made and serialised once, when first asked for. */
import { createHash } from 'node:crypto'
import { aggregated, apiGroup, apiGroupList, apiResourceList, apiVersions, type DiscoveryKind } from './documents.ts'
import { aggregatedVersion, discoveryContentType } from './negotiate.ts'

export interface DiscoveryRequest {
  /** `/api`, `/api/v1`, `/apis`, `/apis/apps` or `/apis/apps/v1`, without the query. */
  readonly path: string
  readonly accept?: string | undefined
  readonly ifNoneMatch?: string | undefined
}

export interface DiscoveryAnswer {
  readonly code: 200 | 304
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** The documents of one list of kinds; when the list changes, make a new one. */
export class Discovery {
  readonly #kinds: readonly DiscoveryKind[]
  readonly #serverAddress: string
  /** By path and form; paths without a document are not kept, so strangers can't fill it. */
  readonly #rendered = new Map<string, DiscoveryAnswer>()

  /** @param serverAddress `host:port` for the legacy `/api` document */
  constructor(kinds: readonly DiscoveryKind[], serverAddress: string) {
    this.#kinds = kinds
    this.#serverAddress = serverAddress
  }

  /** Answers a GET; undefined when the path is not a discovery path or names no served group or version. */
  answer(request: DiscoveryRequest): DiscoveryAnswer | undefined {
    const path = request.path.length > 1 && request.path.endsWith('/') ? request.path.slice(0, -1) : request.path
    const version = path === '/api' || path === '/apis' ? aggregatedVersion(request.accept) : undefined
    const key = `${version ?? ''} ${path}`
    let answer = this.#rendered.get(key)
    if (answer === undefined) {
      const document = version === undefined ? this.#legacy(path) : aggregated(this.#kinds, version, path === '/api' ? 'core' : 'apis')
      if (document === undefined) return undefined
      const body = Buffer.from(JSON.stringify(document))
      const etag = `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"`
      const headers = {
        'Content-Type': discoveryContentType(version),
        ETag: etag,
        Vary: 'Accept',
        'Cache-Control': version === undefined ? 'no-cache, private' : 'public'
      }
      answer = { code: 200, headers, body }
      this.#rendered.set(key, answer)
    }
    const etag = answer.headers['ETag'] ?? ''
    if (request.ifNoneMatch?.includes(etag) === true) return { code: 304, headers: answer.headers, body: new Uint8Array(0) }
    return answer
  }

  #legacy(path: string): unknown {
    if (path === '/api') return apiVersions(this.#serverAddress)
    if (path === '/apis') return apiGroupList(this.#kinds)
    const [, root, first = '', second, ...rest] = path.split('/')
    if (rest.length > 0) return undefined
    if (root === 'api') return second === undefined ? apiResourceList(this.#kinds, '', first) : undefined
    if (root !== 'apis' || first === '') return undefined
    return second === undefined ? apiGroup(this.#kinds, first) : apiResourceList(this.#kinds, first, second)
  }
}
