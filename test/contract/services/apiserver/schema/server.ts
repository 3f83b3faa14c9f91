/**
 * A plain-http server of discovery and OpenAPI documents that keeps what is posted and records every body: enough for kubectl's client
 * side.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Discovery } from '#services/apiserver/discovery/Discovery.ts'
import type { DiscoveryKind } from '#services/apiserver/discovery/documents.ts'
import { decodeProtobuf, PROTOBUF_CONTENT_TYPE } from '#services/apiserver/protobuf/decode.ts'

export interface Recorded {
  readonly method: string
  readonly path: string
  readonly contentType: string
  readonly body: Buffer
}

export interface SchemaServer {
  readonly url: string
  readonly requests: Recorded[]
  close(): Promise<void>
}

type Answer = (request: IncomingMessage, path: string, response: ServerResponse) => boolean

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const json = (response: ServerResponse, code: number, value: unknown, contentType = 'application/json'): void => {
  response.writeHead(code, { 'Content-Type': contentType })
  response.end(JSON.stringify(value))
}

const missing = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  reason: 'NotFound',
  code: 404,
  message: 'not found',
  details: {}
}

/** Serves `kinds` on a free port of the loopback interface; `openapi` answers the paths it knows. */
export const serveSchema = async (kinds: readonly DiscoveryKind[], openapi: Answer): Promise<SchemaServer> => {
  const requests: Recorded[] = []
  const discovery = new Discovery(kinds, '127.0.0.1')
  const objects = new Map<string, Record<string, unknown>>()
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const body = await bodyOf(request)
    const contentType = request.headers['content-type'] ?? ''
    requests.push({ method: request.method ?? '', path: request.url ?? '', contentType, body })
    if (openapi(request, path, response)) return
    const found =
      request.method === 'GET'
        ? discovery.answer({ path, accept: request.headers.accept, ifNoneMatch: request.headers['if-none-match'] })
        : undefined
    if (found !== undefined) {
      response.writeHead(found.code, found.headers)
      response.end(found.body)
    } else if (path === '/version') json(response, 200, { major: '1', minor: '33', gitVersion: 'v1.33.0' })
    else if (request.method === 'POST') {
      const object =
        contentType === PROTOBUF_CONTENT_TYPE ? decodeProtobuf(body).object : (JSON.parse(body.toString()) as Record<string, unknown>)
      const name = (object['metadata'] as { name?: string } | undefined)?.name
      if (request.url?.includes('dryRun') !== true && name !== undefined) objects.set(`${path}/${name}`, object)
      json(response, 201, object)
    } else if (objects.has(path)) json(response, 200, objects.get(path))
    else json(response, 404, missing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      })
  }
}
