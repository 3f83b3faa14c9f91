/** A whole API server in this process: memory logs, real TLS on a free port, clients by certificate, token or impersonation. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '#events/KubeObject.ts'
import { badRequest } from '#events/Refusal.ts'
import { signingMaterial } from '#ops/components/apiserver.ts'
import { ensurePki, pkiFile } from '#ops/pki/pki.ts'
import { ApiServer } from '#services/apiserver/http/ApiServer.ts'
import { SigningKeys } from '#services/apiserver/nodes/SigningKeys.ts'
import { Tokens } from '#services/apiserver/nodes/Tokens.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { startTestApi, type TestApi } from './api.ts'

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
}

export interface Answer {
  readonly code: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

export interface TestServer {
  readonly api: TestApi
  /** Where its certificates are. */
  readonly home: string
  readonly port: number
  /** The administrator's connections. */
  readonly agent: Agent
  /** What the server reported as its own mistakes. */
  readonly errors: unknown[]
  /** Rejects when the connection fails or `ms` pass without the end of the answer. */
  send(sent: Sent, ms?: number): Promise<Answer>
  /** As the administrator, JSON both ways. */
  json(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string
  ): Promise<{ readonly code: number; readonly object: KubeObject & Record<string, unknown> }>
  stop(): Promise<void>
}

const CONFIG = {
  name: 'test',
  instance: 'tests',
  nodeName: 'n1',
  apiPort: 0,
  natsPort: 0,
  podCIDR: '10.244.0.0/16',
  serviceCIDR: '10.96.0.0/16',
  clusterDNS: '10.96.0.10',
  nodePortRange: '30000-32767',
  clusterDomain: 'cluster.local',
  bridge: 'rktests0'
}

/** Sends one request over an agent's connections and reads the whole answer. */
export const sendOver = (
  agent: Agent,
  host: string,
  port: number,
  { method, path, headers = {}, body }: Sent,
  ms = 10_000
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const outgoing = httpsRequest(
      { agent, host, port, method, path, headers: { ...(headers as Record<string, string>), ...length } },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({ code: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') })
        )
      }
    )
    const timer = setTimeout(() => outgoing.destroy(new Error(`no end of the answer within ${ms} ms`)), ms)
    outgoing.on('close', () => clearTimeout(timer))
    outgoing.on('error', reject)
    outgoing.end(body)
  })

export const startTestServer = async (): Promise<TestServer> => {
  const home = mkdtempSync(join(tmpdir(), 'reckon-server-'))
  const signingKeys = new SigningKeys(signingMaterial(await ensurePki(home, CONFIG as Parameters<typeof ensurePki>[1])))
  const read = (name: string): string => readFileSync(pkiFile(home, name), 'utf8')
  const api = await startTestApi()
  const errors: unknown[] = []
  const server = new ApiServer({
    decider: api.decider,
    views: api.views,
    histories: api.histories,
    nodeCalls: {
      logs: async function* () {
        yield Buffer.from('a line\n')
      },
      exec: () => Promise.reject(badRequest('nothing runs here')),
      attach: () => Promise.reject(badRequest('nothing runs here'))
    },
    clock: systemClock,
    tokens: new Tokens(signingKeys, systemClock),
    signingKeys,
    address: '127.0.0.1:6443',
    onError: (error) => errors.push(error),
    audit: { record: () => {} }
  })
  const port = await server.listen(
    { certificate: read('apiserver.crt'), key: read('apiserver.key'), clientCA: read('ca.crt') },
    0,
    '127.0.0.1'
  )
  const agent = new Agent({ keepAlive: true, maxSockets: 64, ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') })
  const send: TestServer['send'] = (sent, ms) => sendOver(agent, '127.0.0.1', port, sent, ms)
  return {
    api,
    home,
    port,
    agent,
    errors,
    send,
    json: async (method, path, body, contentType = 'application/json') => {
      const { code, text } = await send({
        method,
        path,
        headers: body === undefined ? {} : { 'content-type': contentType },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      return { code, object: JSON.parse(text) as KubeObject }
    },
    stop: async () => {
      agent.destroy()
      await server.close()
      rmSync(home, { recursive: true, force: true })
    }
  }
}
