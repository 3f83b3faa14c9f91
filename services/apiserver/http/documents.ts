/** Paths that name no resource: health, version, discovery, OpenAPI. */
import type { Api } from '#events/Api.ts'
import { methodNotAllowed, Refusal } from '#events/Refusal.ts'
import { authorize } from '#projections/Rbac.ts'
import { Discovery } from '#services/apiserver/discovery/Discovery.ts'
import { GroupVersions } from '#services/apiserver/openapi/GroupVersions.ts'
import { OpenApi } from '#services/apiserver/openapi/OpenApi.ts'
import { REVIEWS } from '#services/apiserver/reviews/reviews.ts'
import { pastIsReadOnly } from '#services/apiserver/time-travel/Reader.ts'
import type { ApiDeps } from './deps.ts'
import type { Exchange } from './exchange.ts'
import { healthAnswer, ONLY_PING } from './health.ts'
import { sendBytes, sendJson, sendText } from './respond.ts'
import { KUBERNETES_VERSION, VERSION_INFO } from './version.ts'

const HEALTH = /^\/(healthz|livez|readyz)(\/|$)/
const TEXT = { 'content-type': 'text/plain; charset=utf-8' } as const

const isVersion = (path: string): boolean => path === '/version' || path === '/version/'

/** What must be answered however busy the server is: who asks decides by it whether to send more. */
export const isVital = (path: string): boolean => isVersion(path) || HEALTH.test(path)

interface Made {
  readonly discovery: Discovery
  readonly openapi: OpenApi
}

export class Documents {
  readonly #deps: ApiDeps
  readonly #apiAt: (moment: string) => Promise<Api>
  /** Of what is or was served, as long as somebody else holds that. */
  readonly #made = new WeakMap<Api, Made>()
  readonly #groupVersions = new GroupVersions(KUBERNETES_VERSION)

  /** `apiAt`: what was served at a moment of the past. */
  constructor(deps: ApiDeps, apiAt: (moment: string) => Promise<Api>) {
    this.#deps = deps
    this.#apiAt = apiAt
  }
  #documentsOf(api: Api): Made {
    let made = this.#made.get(api)
    if (made === undefined) {
      const kinds = [...api.served, ...REVIEWS]
      made = { discovery: new Discovery(kinds, this.#deps.address), openapi: new OpenApi(kinds, this.#groupVersions) }
      this.#made.set(api, made)
    }
    return made
  }
  /** Of a moment nobody can read the present is told: clients hide why discovery failed; what they ask next says it. */
  async #apiOf(moment: string | undefined): Promise<Api> {
    const { views } = this.#deps
    if (moment === undefined) return views.api
    try {
      return await this.#apiAt(moment)
    } catch (error) {
      if (error instanceof Refusal && (error.status.code ?? 500) < 500) return views.api
      throw error
    }
  }
  async answer(exchange: Exchange): Promise<void> {
    const { request, user, target } = exchange
    const { path, moment, query } = target
    if (request.method !== 'GET' && request.method !== 'HEAD') throw moment === undefined ? methodNotAllowed() : pastIsReadOnly(moment)
    const { allowed } = authorize(this.#deps.views, user, {
      verb: 'get',
      group: '',
      resource: '',
      subresource: '',
      namespace: '',
      name: '',
      path
    })
    if (!allowed) throw new Refusal(403, 'Forbidden', `forbidden: User "${user.username}" cannot get path "${path}"`, {})
    if (isVersion(path)) return sendJson(exchange, 200, VERSION_INFO)
    const health = await healthAnswer(this.#deps.health ?? ONLY_PING, path, query)
    if (health !== undefined) return sendText(exchange, health.code, health.text, health.headers)
    const accept = request.headers.accept ?? ''
    const ifNoneMatch = request.headers['if-none-match']
    const hash = query.get('hash')
    const { discovery, openapi } = this.#documentsOf(await this.#apiOf(moment))
    const found =
      discovery.answer({ path, accept, ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }) } as Parameters<Discovery['answer']>[0]) ??
      openapi.answer({
        path,
        accept,
        ...(hash === null ? {} : { hash }),
        acceptEncoding: String(request.headers['accept-encoding'] ?? ''),
        ...(ifNoneMatch === undefined ? {} : { ifNoneMatch })
      } as Parameters<OpenApi['answer']>[0])
    if (found !== undefined) return sendBytes(exchange, found.code, found.body, found.headers)
    if (path === '/')
      return sendJson(exchange, 200, {
        paths: ['/api', '/api/v1', '/apis', '/at/', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version']
      })
    sendText(exchange, 404, '404 page not found\n', TEXT)
  }
}
