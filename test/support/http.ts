/** The HTTPS door of a test API server on memory logs: real TLS, real clients over HTTP/1.1 and HTTP/2, a clock of the test's own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { Agent, request as requestHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { KubeObject } from '#events/KubeObject.ts'
import { signingMaterial } from '#ops/components/apiserver.ts'
import { loadOrCreateConfig } from '#ops/home.ts'
import { clientCertificate, ensurePki } from '#ops/pki/pki.ts'
import { auditEvent } from '#services/apiserver/audit/record.ts'
import { ApiServer } from '#services/apiserver/http/ApiServer.ts'
import type { Limits } from '#services/apiserver/http/limits.ts'
import { SigningKeys } from '#services/apiserver/nodes/SigningKeys.ts'
import { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import type { NodeCalls } from '#services/platform/NodeLink.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi, type TestApi } from './api.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Asked {
  readonly user?: string
  readonly body?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

export interface TestHttp {
  readonly api: TestApi
  readonly clock: VirtualClock
  readonly port: number
  readonly errors: unknown[]
  /** What reached the audit trail. */
  readonly records: AuditRecord[]
  /** What a user connects with. */
  credentials(user: string): { readonly cert: string; readonly key: string; readonly ca: string }
  /** Over HTTP/1.1, read to its end. */
  call(method: string, path: string, asked?: Asked): Promise<HttpAnswer>
  /** Over HTTP/1.1, not read: `answer` resolves with the headers. */
  open(path: string, asked?: Asked): Promise<IncomingMessage>
  /** A connection of HTTP/2 of a user's. */
  session(user?: string): Promise<ClientHttp2Session>
  /** Asks on a session; the body is not read, and the client's window of 64 KiB keeps the rest at the server. */
  stream(
    session: ClientHttp2Session,
    path: string,
    headers?: Readonly<Record<string, string>>
  ): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: ClientHttp2Stream }>
  stop(): Promise<void>
}

/** An audit.k8s.io/v1 Event, as far as tests look at it. */
export interface AuditRecord {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  readonly user: { readonly username?: string }
  readonly impersonatedUser?: { readonly username: string }
  readonly objectRef?: { readonly resource: string; readonly namespace?: string; readonly name?: string; readonly subresource?: string }
  readonly responseStatus: { readonly code: number; readonly reason?: string; readonly message?: string }
  readonly annotations?: Readonly<Record<string, string>>
}

/** Users with every right; only `admin` is of system:masters. */
const USERS = ['admin', 'alice', 'bob'] as const

export const startHttp = async (limits: Partial<Limits> = {}, nodeCalls: Partial<NodeCalls> = {}): Promise<TestHttp> => {
  const home = mkdtempSync(join(tmpdir(), 'reckon-http-'))
  const config = await loadOrCreateConfig(home, () => {})
  const pki = await ensurePki(home, config)
  const clock = new VirtualClock(1)
  const api = await startTestApi(clock)
  const people = ['alice', 'bob'].map((name) => ({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name }))
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }
  accepted(
    await api.create({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'people' },
      roleRef,
      subjects: people
    } as unknown as KubeObject)
  )
  const errors: unknown[] = []
  const records: AuditRecord[] = []
  const signingKeys = new SigningKeys(signingMaterial(pki))
  const server = new ApiServer({
    decider: api.decider,
    views: api.views,
    histories: api.histories,
    nodeCalls: nodeCalls as NodeCalls,
    clock,
    tokens: new Tokens(signingKeys, clock),
    signingKeys,
    address: '127.0.0.1:0',
    onError: (error) => errors.push(error),
    audit: { record: (asked, answered) => void records.push(auditEvent(asked, answered) as unknown as AuditRecord) },
    limits
  })
  const port = await server.listen({ certificate: pki.apiserver.certificate, key: pki.apiserver.key, clientCA: pki.ca }, 0, '127.0.0.1')
  const certificates = new Map<string, { cert: string; key: string; ca: string }>()
  for (const name of USERS) {
    const { certificate, key } = name === 'admin' ? pki.admin : await clientCertificate(home, { commonName: name, organizations: [] })
    certificates.set(name, { cert: certificate, key, ca: pki.ca })
  }
  const of = (user: string): { cert: string; key: string; ca: string } =>
    certificates.get(user) ??
    (() => {
      throw new Error(`no user ${user}`)
    })()
  const sessions: ClientHttp2Session[] = []
  const open: TestHttp['open'] = (path, { user = 'admin', headers = {} } = {}) =>
    new Promise((resolve, reject) => {
      const made = requestHttps({ host: '127.0.0.1', port, path, headers, agent: new Agent(of(user)) }, resolve)
      made.on('error', reject)
      made.end()
    })
  return {
    api,
    clock,
    port,
    errors,
    records,
    credentials: of,
    open,
    call: (method, path, { user = 'admin', body, headers = {} } = {}) =>
      new Promise((resolve, reject) => {
        const size = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)), 'content-type': 'application/json' }
        const made = requestHttps(
          { host: '127.0.0.1', port, method, path, headers: { ...size, ...headers }, agent: new Agent(of(user)) },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }))
            response.on('error', reject)
          }
        )
        made.on('error', reject)
        made.end(body)
      }),
    session: (user = 'admin') =>
      new Promise((resolve, reject) => {
        const session = connectHttp2(`https://127.0.0.1:${port}`, of(user))
        sessions.push(session)
        session.on('error', () => {})
        session.once('connect', () => resolve(session))
        session.once('error', reject)
      }),
    stream: (session, path, headers = {}) =>
      new Promise((resolve, reject) => {
        const body = session.request({ ':path': path, ...headers })
        body.on('error', reject)
        body.on('response', ({ ':status': status = 0, ...rest }) => resolve({ status, headers: rest as IncomingHttpHeaders, body }))
      }),
    stop: async () => {
      for (const session of sessions) session.destroy()
      const closed = server.close()
      await clock.run(1_000)
      await closed
      rmSync(home, { recursive: true, force: true })
    }
  }
}

/** What is left of a body, read to its end. */
export const readAll = async (body: AsyncIterable<Buffer>): Promise<Buffer> => Buffer.concat(await Array.fromAsync(body))

/** Resolves when a stream or a message is over, however. */
export const closed = (body: NodeJS.ReadableStream): Promise<void> =>
  new Promise((resolve) => {
    body.on('error', () => {})
    body.on('close', () => resolve())
  })
