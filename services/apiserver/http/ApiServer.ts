/** The HTTPS door: TLS, routing, and one place where whatever happens becomes an answer. */
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest, forbidden, methodNotAllowed, noSuchPath, notFound, Refusal } from '#events/Refusal.ts'
import { KINDS, kindOf } from '#events/scheme.ts'
import { authorize } from '#projections/Rbac.ts'
import type { View } from '../../platform/View.ts'
import { Discovery } from '../discovery/Discovery.ts'
import { OpenApi } from '../openapi/OpenApi.ts'
import { Authenticator } from '../request/authenticate.ts'
import { parseBody, readBody } from '../request/body.ts'
import { deniedMessage } from '../request/denied.ts'
import { answerReview, reviewOf, REVIEWS } from '../reviews/reviews.ts'
import { containerOf, execOptionsOf, logOptionsOf, notStarted } from '../subresources/containers.ts'
import { scaleOf } from '../subresources/scale.ts'
import { joinSpdy, speaksSpdy } from '../subresources/spdy.ts'
import { joinSession, speaksChannels, upgrade } from '../subresources/websocket.ts'
import { momentOf, pastIsReadOnly, pastReader, presentReader, Versions, type Past, type Reader } from '../time-travel/Reader.ts'
import { getObject, listObjects, selectionOf, waitForVersion } from '../verbs/read.ts'
import { Fanout } from '../verbs/watch.ts'
import type { ApiDeps } from './deps.ts'
import { healthAnswer, ONLY_PING } from './health.ts'
import { parseTarget, type ResourcePath, type Target } from './paths.ts'
import { listText, objectText, representationOf } from './representation.ts'
import { sendJson, sendRefusal, sendText, statusOf } from './respond.ts'
import { KUBERNETES_VERSION, VERSION_INFO } from './version.ts'
import { deleteOptionsOf, sourceOf, write } from './writes.ts'

export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  readonly clientCA: string
}

const CHANNELS = new Set(['exec', 'attach'])
/** Requests of one deletecollection in flight. */
const DELETES = 32

export class ApiServer {
  readonly #deps: ApiDeps
  readonly #authenticator: Authenticator
  readonly #fanouts: ReadonlyMap<string, Fanout>
  readonly #discovery: Discovery
  readonly #openapi: OpenApi
  readonly #past: Past
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined

  constructor(deps: ApiDeps) {
    this.#deps = deps
    this.#authenticator = new Authenticator(deps.signingKeys, deps.views)
    this.#fanouts = new Map([...deps.views.byStream.values()].map((view) => [view.stream, new Fanout(view, deps.clock)]))
    this.#discovery = new Discovery([...KINDS, ...REVIEWS], deps.address)
    this.#openapi = new OpenApi([...KINDS, ...REVIEWS], KUBERNETES_VERSION)
    this.#past = { views: deps.views, histories: deps.histories, versions: new Versions() }
  }
  /** Resolves with the port when it listens. */
  listen(tls: TlsFiles, port: number, host?: string): Promise<number> {
    // A missing or unknown client certificate is answered with 401, which says more than a failed handshake.
    const server = createServer(
      { cert: tls.certificate, key: tls.key, ca: tls.clientCA, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2', requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 120_000 },
      (request, response) => void this.#handle(request, response)
    )
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head))
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true)
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server = server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
    })
  }
  /** Connections from now on are served with these; those that are there stay. */
  renew({ certificate, key, clientCA }: TlsFiles): void {
    this.#server?.setSecureContext({ cert: certificate, key, ca: clientCA })
  }
  /** Ends open watches cleanly, then the connections. */
  async close(): Promise<void> {
    for (const fanout of this.#fanouts.values()) fanout.close()
    const server = this.#server
    if (server === undefined) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    await new Promise((resolve) => this.#deps.clock.after(100, () => resolve(undefined)))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      response.setHeader('audit-id', this.#deps.clock.uuid())
      const user = await this.#authenticator.authenticate(request)
      const target = parseTarget(request.url ?? '/')
      await this.#route(request, response, target, user)
    } catch (error) {
      const status = statusOf(error, this.#deps.onError)
      if (response.headersSent) response.destroy()
      else sendRefusal(request, response, status)
      // The rest of a refused body is not read: the connection ends instead.
      if (!request.complete) request.resume()
    }
  }
  async #route(request: IncomingMessage, response: ServerResponse, target: Target, user: UserInfo): Promise<void> {
    const { resource } = target
    if (resource === undefined) return this.#other(request, response, target, user)
    const review = reviewOf(resource.group, resource.resource)
    if (review !== undefined && resource.version === 'v1') return this.#review(request, response, review, resource, user)
    const kind = kindOf(resource)
    if (kind === undefined || kind.version !== resource.version) throw noSuchPath()
    if (resource.subresource !== '' && kind.subresources?.some(({ name }) => name === resource.subresource) !== true) throw noSuchPath()
    const reading = request.method === 'GET' || request.method === 'HEAD'
    if (target.moment !== undefined && !reading) throw pastIsReadOnly(target.moment)
    if (kind.namespaced && resource.namespace === '' && (resource.name !== '' || !reading)) throw noSuchPath()
    if (!kind.namespaced && resource.namespace !== '') throw noSuchPath()
    if (reading) return this.#read(request, response, target, kind, resource, user)
    if (resource.subresource === 'token') return this.#token(request, response, resource, user)
    if (request.method === 'DELETE' && resource.name === '') return this.#deleteCollection(request, response, target, kind, resource, user)
    if (request.method !== 'POST' && resource.name === '') throw methodNotAllowed()
    if (request.method === 'POST' && resource.name !== '' && resource.subresource === '') throw methodNotAllowed()
    return write(this.#deps, request, response, { kind, path: resource, query: target.query, user })
  }
  async #other(request: IncomingMessage, response: ServerResponse, { path, moment, query }: Target, user: UserInfo): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw moment === undefined ? methodNotAllowed() : pastIsReadOnly(moment)
    const { allowed } = authorize(this.#deps.views, user, { verb: 'get', group: '', resource: '', subresource: '', namespace: '', name: '', path })
    if (!allowed) throw new Refusal(403, 'Forbidden', `forbidden: User "${user.username}" cannot get path "${path}"`, {})
    if (path === '/version') return sendJson(request, response, 200, VERSION_INFO)
    const health = await healthAnswer(this.#deps.health ?? ONLY_PING, path, query)
    if (health !== undefined) return sendText(request, response, health.code, health.text, health.headers)
    const accept = request.headers.accept ?? ''
    const ifNoneMatch = request.headers['if-none-match']
    const hash = query.get('hash')
    const found =
      this.#discovery.answer({ path, accept, ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }) } as Parameters<Discovery['answer']>[0]) ??
      this.#openapi.answer({ path, accept, ...(hash === null ? {} : { hash }), acceptEncoding: String(request.headers['accept-encoding'] ?? ''), ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }) } as Parameters<OpenApi['answer']>[0])
    if (found !== undefined) {
      response.writeHead(found.code, found.headers)
      response.end(found.body)
      return
    }
    if (path === '/') return sendJson(request, response, 200, { paths: ['/api', '/api/v1', '/apis', '/at/', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'] })
    sendText(request, response, 404, '404 page not found\n', { 'content-type': 'text/plain; charset=utf-8' })
  }
  async #read(request: IncomingMessage, response: ServerResponse, target: Target, kind: Kind, path: ResourcePath, user: UserInfo): Promise<void> {
    const { query, moment } = target
    const watching = path.watch || ['true', '1'].includes(query.get('watch') ?? '')
    const verb = watching ? 'watch' : path.name === '' ? 'list' : 'get'
    const attributes = { verb, group: kind.group, resource: kind.resource, subresource: path.subresource, namespace: path.namespace, name: path.name }
    // exec and attach by GET (WebSocket) do what POST does, and need what POST needs.
    this.#authorize(user, CHANNELS.has(path.subresource) ? { ...attributes, verb: 'create' } : attributes)
    const { views, clock } = this.#deps
    const representation = representationOf(request.headers.accept, query)
    if (representation === undefined && path.subresource === '') throw new Refusal(406, 'NotAcceptable', 'only the following media types are accepted: application/json', {})
    const now = clock.now()
    const at = moment === undefined ? undefined : momentOf(moment, this.#past, now)
    const reader: Reader = at === undefined ? presentReader(views, now) : pastReader(this.#past, at.sequences, at.time)
    const shown = representation ?? { form: 'object', include: 'Metadata' }
    if (watching) return this.#watch(response, target, kind, path, shown, reader)
    const view = views.of(kind)
    if (at === undefined) await waitForVersion(view, query.get('resourceVersion'), query.get('resourceVersionMatch'))
    if (path.name !== '') {
      const entry = await getObject(kind, path.namespace, path.name, reader)
      if (path.subresource === 'log') return this.#log(request, response, query, entry)
      if (CHANNELS.has(path.subresource)) throw badRequest('Upgrade request required')
      if (path.subresource === 'scale') return sendJson(request, response, 200, scaleOf(kind, entry.object))
      if (path.subresource !== '' && path.subresource !== 'status') throw methodNotAllowed()
      return sendText(request, response, 200, objectText(kind, entry, shown, reader.now))
    }
    const exact = query.get('resourceVersionMatch') === 'Exact' && at === undefined
    const readerAt = (sequence: number): Reader =>
      at === undefined && view.objects.collection(kind).sequence <= sequence ? presentReader(views, now) : pastReader(this.#past, new Map([[view.stream, sequence]]), reader.now)
    const source = exact ? readerAt(Number(query.get('resourceVersion'))) : reader
    const namespace = kind.namespaced && path.namespace !== '' ? path.namespace : undefined
    const page = await listObjects(kind, namespace, selectionOf(kind, query, ''), query, source, readerAt, now)
    sendText(request, response, 200, listText(kind, page.entries, page.metadata, shown, reader.now, page.first))
  }
  async #watch(response: ServerResponse, { query, moment }: Target, kind: Kind, path: ResourcePath, representation: Parameters<typeof objectText>[2], reader: Reader): Promise<void> {
    const selection = selectionOf(kind, query, path.name)
    const namespace = kind.namespaced && path.namespace !== '' ? path.namespace : undefined
    if (moment !== undefined) {
      // The past does not change: what was there, and then silence.
      response.writeHead(200, { 'content-type': 'application/json' })
      for (const entry of await reader.list(kind, namespace))
        if (selection.matches(entry)) response.write(`{"type":"ADDED","object":${objectText(kind, entry, representation, reader.now).trimEnd()}}\n`)
      const timer = this.#deps.clock.after(Number(query.get('timeoutSeconds') ?? 1800) * 1000, () => response.end())
      response.on('close', () => timer.cancel())
      return
    }
    const view: View = this.#deps.views.of(kind)
    const version = query.get('resourceVersion') ?? ''
    const initialEvents = query.get('sendInitialEvents') === 'true'
    const match = query.get('resourceVersionMatch') ?? ''
    if (initialEvents && match !== 'NotOlderThan')
      throw new Refusal(422, 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan', { kind: 'ListOptions', group: 'meta.k8s.io', causes: [{ reason: 'FieldValueForbidden', message: 'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan', field: 'resourceVersionMatch' }] })
    if (!initialEvents && match !== '' && query.get('sendInitialEvents') === null)
      throw new Refusal(422, 'Invalid', 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided', { kind: 'ListOptions', group: 'meta.k8s.io', causes: [{ reason: 'FieldValueForbidden', message: 'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided', field: 'resourceVersionMatch' }] })
    if (version !== '' && !/^\d{1,16}$/.test(version)) throw badRequest(`Invalid value: "${version}": strconv.ParseUint: parsing "${version}": invalid syntax`)
    const timeout = query.get('timeoutSeconds')
    await (this.#fanouts.get(view.stream) as Fanout).serve(
      {
        kind,
        namespace,
        selection,
        representation,
        from: version === '' || version === '0' ? undefined : Number(version),
        initialEvents,
        bookmarks: query.get('allowWatchBookmarks') === 'true',
        timeoutSeconds: timeout === null || timeout === '' ? undefined : Number(timeout)
      },
      response
    )
  }
  async #log(request: IncomingMessage, response: ServerResponse, query: URLSearchParams, entry: Parameters<typeof containerOf>[0]): Promise<void> {
    const options = logOptionsOf(query)
    const { node, container } = containerOf(entry, query.get('container'))
    const waiting = notStarted(entry, container.container)
    if (waiting !== undefined && options.previous !== true) throw waiting
    const abort = new AbortController()
    response.on('close', () => abort.abort())
    const chunks = this.#deps.nodeCalls.logs(node, container, options, abort.signal)[Symbol.asyncIterator]()
    // A refusal comes before the first byte; a quiet log that is followed gets its headers meanwhile.
    const first = chunks.next()
    if (options.follow !== true) await first
    else await Promise.race([first, new Promise((resolve) => this.#deps.clock.after(500, () => resolve(undefined)))])
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' })
    response.flushHeaders()
    for (let next = await first; next.done !== true; next = await chunks.next()) {
      if (response.destroyed) break
      if (!response.write(next.value)) await new Promise<void>((resolve) => (response.once('drain', resolve), response.once('close', resolve)))
    }
    response.end()
    void request
  }
  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      const user = await this.#authenticator.authenticate(request)
      const { resource: path, query, moment } = parseTarget(request.url ?? '/')
      const kind = path === undefined ? undefined : kindOf(path)
      if (path === undefined || kind === undefined || !CHANNELS.has(path.subresource) || kind.resource !== 'pods') throw noSuchPath()
      if (moment !== undefined) throw pastIsReadOnly(moment)
      this.#authorize(user, { verb: 'create', group: '', resource: 'pods', subresource: path.subresource, namespace: path.namespace, name: path.name })
      const spdy = speaksSpdy(request)
      if (!spdy && !speaksChannels(request)) throw badRequest(`${path.subresource} is served over WebSocket (v5.channel.k8s.io) and SPDY/3.1 (v4.channel.k8s.io); this client asked for ${request.headers.upgrade ?? 'nothing'}`)
      const entry = this.#deps.views.get({ group: '', resource: 'pods', namespace: path.namespace, name: path.name })
      if (entry === undefined) throw notFound(kind, path.name)
      const options = execOptionsOf(query)
      if (path.subresource === 'exec' && options.command.length === 0) throw badRequest('you must specify at least one command for the container')
      const { node, container } = containerOf(entry, query.get('container'))
      const session = path.subresource === 'exec' ? await this.#deps.nodeCalls.exec(node, container, options) : await this.#deps.nodeCalls.attach(node, container, options)
      if (spdy) joinSpdy(socket, head, session, options)
      else joinSession(await upgrade(request, socket, head), session)
    } catch (error) {
      const status = statusOf(error, this.#deps.onError)
      const body = `${JSON.stringify(status)}\n`
      socket.end(`HTTP/1.1 ${status.code} ${status.reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
    }
  }
  async #review(request: IncomingMessage, response: ServerResponse, kind: Kind, path: ResourcePath, user: UserInfo): Promise<void> {
    if (request.method !== 'POST') throw methodNotAllowed()
    const attributes = { verb: 'create', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: '' }
    // Everybody may ask about themselves.
    if (!kind.kind.startsWith('Self')) this.#authorize(user, attributes)
    const bytes = await readBody(request)
    const { value } = parseBody(bytes, request.headers['content-type'], kind.kind, false, { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind })
    if (typeof value !== 'object' || value === null) throw badRequest(`the object provided is unrecognized (must be of type ${kind.kind})`)
    sendJson(request, response, 201, await answerReview(kind, value as KubeObject, user, path.namespace, this.#deps.views, this.#authenticator))
  }
  async #token(request: IncomingMessage, response: ServerResponse, path: ResourcePath, user: UserInfo): Promise<void> {
    if (request.method !== 'POST') throw methodNotAllowed()
    const ref = { group: '', resource: 'serviceaccounts' }
    this.#authorize(user, { verb: 'create', ...ref, subresource: 'token', namespace: path.namespace, name: path.name })
    const account = this.#deps.views.get({ ...ref, namespace: path.namespace, name: path.name })
    if (account === undefined) throw notFound(ref, path.name)
    const bytes = await readBody(request)
    const body = parseBody(bytes, request.headers['content-type'], 'TokenRequest', false, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' }).value as KubeObject
    const spec = (body['spec'] ?? {}) as { audiences?: string[]; expirationSeconds?: number }
    const seconds = spec.expirationSeconds ?? 3600
    if (seconds < 600) throw new Refusal(422, 'Invalid', 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: ' + String(seconds) + ': may not specify a duration less than 10 minutes', {})
    const { token, expiresAt } = await this.#deps.tokens.issue(
      { namespace: path.namespace, name: path.name, uid: account.object.metadata.uid as string },
      { ...(Array.isArray(spec.audiences) ? { audiences: spec.audiences } : {}), seconds }
    )
    sendJson(request, response, 201, { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: { name: path.name, namespace: path.namespace, creationTimestamp: null }, spec: { ...spec, expirationSeconds: seconds }, status: { token, expirationTimestamp: expiresAt } })
  }
  async #deleteCollection(request: IncomingMessage, response: ServerResponse, { query }: Target, kind: Kind, path: ResourcePath, user: UserInfo): Promise<void> {
    if (path.subresource !== '' || !kind.verbs.includes('deletecollection')) throw methodNotAllowed()
    this.#authorize(user, { verb: 'deletecollection', group: kind.group, resource: kind.resource, subresource: '', namespace: path.namespace, name: '' })
    const { views, decider, clock } = this.#deps
    const given = deleteOptionsOf(await readBody(request), request, query)
    const selection = selectionOf(kind, query, '')
    const entries = views.collection(kind).list(kind.namespaced ? path.namespace : undefined).filter(selection.matches)
    for (let from = 0; from < entries.length; from += DELETES)
      await Promise.all(
        entries.slice(from, from + DELETES).map(({ key }) =>
          decider.submit(
            { ...given, id: clock.uuid(), verb: 'delete', ref: { group: kind.group, resource: kind.resource }, version: kind.version, namespace: key.namespace, name: key.name, source: sourceOf(request) },
            user
          )
        )
      )
    sendText(request, response, 200, listText(kind, entries, { resourceVersion: String(views.of(kind).objects.sequence) }, { form: 'object', include: 'Metadata' }, clock.now()))
  }
  #authorize(user: UserInfo, attributes: { verb: string; group: string; resource: string; subresource: string; namespace: string; name: string }): void {
    const { allowed } = authorize(this.#deps.views, user, attributes)
    if (!allowed) throw forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, deniedMessage(user, attributes))
  }
}
