/** The HTTPS door: TLS, HTTP/2 and HTTP/1.1, who may come in, routing, and one place where whatever happens becomes an answer. */
import { createSecureServer, constants, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '#events/Intent.ts'
import { collectionOf } from '#events/Kind.ts'
import { methodNotAllowed, noSuchPath, Refusal, type Status } from '#events/Refusal.ts'
import { RequestAudit } from '#services/apiserver/audit/RequestAudit.ts'
import { Authenticator } from '#services/apiserver/request/authenticate.ts'
import { reviewOf } from '#services/apiserver/reviews/reviews.ts'
import { presentListing } from '#services/apiserver/time-travel/Listing.ts'
import { pastIsReadOnly } from '#services/apiserver/time-travel/Reader.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { deleteCollection, issueToken, review } from './actions.ts'
import { BodyReader } from './bodies.ts'
import { isLog, joinContainer } from './channels.ts'
import type { ApiDeps } from './deps.ts'
import { Documents, isVital } from './documents.ts'
import type { Door, Exchange } from './exchange.ts'
import { Gate, LIMITS, type Limits, type Place, type RequestClass } from './limits.ts'
import { Outlets, streamOf } from './Outlet.ts'
import { isWatch, parseTarget, type Target } from './paths.ts'
import { Reads } from './reads.ts'
import { addWarnings, sendRefusal, statusOf } from './respond.ts'
import { write } from './writes.ts'

export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  readonly clientCA: string
}

/** A connection that has not said who it is by then is closed. */
const HANDSHAKE_MS = 10_000
/** An idle connection is closed after this. */
const KEEP_ALIVE_MS = 120_000
/** As Go's server: a client with more open requests opens another connection. */
const STREAMS = 250
/** What one HTTP/2 connection may hold in this process, MB: its streams' slices and what it uploads. */
const SESSION_MEMORY = 64

const isReading = (request: IncomingMessage): boolean => request.method === 'GET' || request.method === 'HEAD'

const classOf = (request: IncomingMessage, target: Target): RequestClass =>
  !isReading(request) ? 'mutating' : isLog(target) ? 'logs' : isWatch(target) ? 'longRunning' : 'reading'

export class ApiServer {
  readonly #deps: ApiDeps
  readonly #limits: Limits
  readonly #authenticator: Authenticator
  readonly #gate: Gate
  readonly #outlets: Outlets
  readonly #versions: Versions
  readonly #reads: Reads
  readonly #documents: Documents
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<ServerHttp2Session>()
  #server: Http2SecureServer | undefined

  constructor(deps: ApiDeps) {
    this.#deps = deps
    this.#versions = new Versions(deps.histories)
    this.#limits = { ...LIMITS, ...deps.limits }
    this.#authenticator = new Authenticator(deps.signingKeys, deps.views)
    this.#gate = new Gate(this.#limits)
    this.#outlets = new Outlets(deps.clock, this.#limits.writeMs)
    this.#reads = new Reads(deps, this.#limits, this.#outlets, this.#versions)
    this.#documents = new Documents(deps, (moment) => this.#reads.apiAt(moment))
  }
  /** Resolves with the port when it listens. */
  listen(tls: TlsFiles, port: number, host?: string): Promise<number> {
    const server = createSecureServer({
      cert: tls.certificate,
      key: tls.key,
      ca: tls.clientCA,
      // A missing or unknown client certificate is answered with 401, which says more than a failed handshake.
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS,
      // Upgrades (exec, attach) and simple clients stay with HTTP/1.1.
      allowHTTP1: true,
      settings: { maxConcurrentStreams: STREAMS },
      maxSessionMemory: SESSION_MEMORY,
      // For requests, not for answers: a watch may take as long as it likes.
      ...{ headersTimeout: Math.min(60_000, this.#limits.bodyMs), requestTimeout: 2 * this.#limits.bodyMs, keepAliveTimeout: KEEP_ALIVE_MS }
    })
    server.maxConnections = this.#limits.connections
    // HTTP/2's requests and answers are Node's compatible ones: what is used of them is the same.
    server.on(
      'request',
      (request, response) => void this.#handle(request as unknown as IncomingMessage, response as unknown as ServerResponse)
    )
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head))
    server.on('session', (session) => this.#track(session))
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
    const server = this.#server
    // First, for it destroys connections on which nothing is asked: an answer that has just ended may not be written yet.
    const closed = server === undefined ? undefined : new Promise<void>((resolve) => void server.close(() => resolve()))
    this.#reads.close()
    this.#outlets.close()
    if (closed === undefined) return
    for (const session of this.#sessions) session.close()
    await new Promise((resolve) => this.#deps.clock.after(100, () => resolve(undefined)))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
  /** HTTP/2 connections end when they are idle, as HTTP/1.1's do. */
  #track(session: ServerHttp2Session): void {
    let streams = 0
    this.#sessions.add(session)
    session.on('close', () => this.#sessions.delete(session))
    session.on('stream', (stream) => {
      streams += 1
      stream.on('close', () => (streams -= 1))
      // A client that resets without an error leaves what waits for it waiting, and the stream with it. Not from inside the
      // event: Node is in the middle of closing the stream, and never gets out of its own code if it is gone then.
      stream.on('aborted', () => setImmediate(() => stream.destroy()))
    })
    session.setTimeout(KEEP_ALIVE_MS, () => {
      if (streams === 0) session.close()
    })
  }
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const held: Place[] = []
    let over = false
    const id = this.#deps.clock.uuid()
    const audit = new RequestAudit(this.#deps.audit, this.#deps.clock, request, id)
    response.on('close', () => {
      over = true
      audit.over(response.headersSent ? response.statusCode : 0)
      for (const place of held) place.release()
      this.#outlets.over(response)
    })
    try {
      response.setHeader('audit-id', id)
      const target = this.#target(request, audit)
      const user = await this.#authenticator.authenticate(request, audit)
      if (target instanceof Refusal) throw target
      // Who left while we asked who they are would never give their place back.
      if (over) return
      const body = this.#admit(request, target, user, held)
      await this.#route({ request, response, outlets: this.#outlets, target, user, audit, readBody: () => body.read(request) })
    } catch (error) {
      const status = statusOf(error, this.#deps.onError)
      if (response.headersSent) this.#outlets.breakOff(response)
      else this.#refuse({ request, response, outlets: this.#outlets, audit }, status)
    } finally {
      if (response.writableEnded && !over) this.#outlets.ended(response)
    }
  }
  /** What is asked for, also when nobody knows yet who asks: that is noted of a failed login, too. */
  #target(request: IncomingMessage, audit: RequestAudit): Target | Refusal {
    try {
      const target = parseTarget(request.url ?? '/')
      audit.targets(request.method ?? 'GET', target)
      return target
    } catch (error) {
      if (error instanceof Refusal) return error
      throw error
    }
  }
  /** Takes the places the request needs; 429 when there are none. */
  #admit(request: IncomingMessage, target: Target, user: UserInfo, held: Place[]): BodyReader {
    const body = new BodyReader({ gate: this.#gate, clock: this.#deps.clock, timeoutMs: this.#limits.bodyMs, user })
    if (!isVital(target.path)) held.push(this.#gate.enter(classOf(request, target), user))
    held.push(body)
    return body
  }
  #refuse(door: Door, status: Status): void {
    const { request, response } = door
    const stream = streamOf(response)
    if (stream === undefined && status.code === 408) response.setHeader('connection', 'close')
    sendRefusal(door, status)
    // The rest of a refused body is not kept. Over HTTP/2 the client is told not to send it; what was not begun to be read, Node tells it.
    if (stream === undefined) {
      if (!request.complete) request.resume()
    } else if (request.readableDidRead && !request.readableEnded)
      stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)))
  }
  async #route(exchange: Exchange): Promise<void> {
    const { request, target } = exchange
    const { resource } = target
    if (resource === undefined) return this.#documents.answer(exchange)
    const virtual = reviewOf(resource)
    if (virtual !== undefined && target.moment !== undefined) throw pastIsReadOnly(target.moment)
    if (virtual !== undefined) return review(this.#deps, this.#authenticator, exchange, virtual, resource)
    const reading = isReading(request)
    if (target.moment !== undefined && !reading) throw pastIsReadOnly(target.moment)
    const api = target.moment === undefined ? this.#deps.views.api : await this.#reads.readableApiAt(target.moment, exchange, resource)
    const kind = api.kindOf(resource, resource.version)
    if (kind === undefined) throw noSuchPath()
    if (resource.subresource !== '' && kind.subresources?.some(({ name }) => name === resource.subresource) !== true) throw noSuchPath()
    if (kind.deprecation !== undefined) addWarnings(exchange, [kind.deprecation])
    if (kind.namespaced && resource.namespace === '' && (resource.name !== '' || !reading)) throw noSuchPath()
    if (!kind.namespaced && resource.namespace !== '') throw noSuchPath()
    if (reading) return this.#reads.read(exchange, kind, resource)
    if (resource.subresource === 'token') return issueToken(this.#deps, exchange, resource)
    if (request.method === 'DELETE' && resource.name === '') {
      const listing = presentListing(
        this.#deps.views.of(kind),
        this.#versions,
        collectionOf(kind),
        kind.namespaced ? resource.namespace : undefined
      )
      return deleteCollection(this.#deps, exchange, kind, resource, listing)
    }
    if (request.method !== 'POST' && resource.name === '') throw methodNotAllowed()
    if (request.method === 'POST' && resource.name !== '' && resource.subresource === '') throw methodNotAllowed()
    return write(this.#deps, exchange, kind, resource)
  }
  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    const audit = new RequestAudit(this.#deps.audit, this.#deps.clock, request, this.#deps.clock.uuid())
    try {
      const target = this.#target(request, audit)
      const user = await this.#authenticator.authenticate(request, audit)
      if (target instanceof Refusal) throw target
      const place = this.#gate.enter('longRunning', user)
      socket.once('close', () => place.release())
      if (socket.destroyed) place.release()
      await joinContainer(this.#deps, request, socket, head, target, user, audit)
    } catch (error) {
      const status = statusOf(error, this.#deps.onError)
      audit.refused(status)
      audit.over(status.code ?? 500)
      const body = request.method === 'HEAD' ? '' : `${JSON.stringify(status)}\n`
      const retry = status.details?.retryAfterSeconds
      socket.end(
        `HTTP/1.1 ${status.code} ${status.reason}\r\ncontent-type: application/json\r\n${retry === undefined ? '' : `retry-after: ${retry}\r\n`}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
      )
    }
  }
}
