/** gRPC probes against servers that answer as health servers do, and as others do. */
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { grpc } from '#services/kubelet/probes/grpc.ts'
import type { ProbeOutcome } from '#services/kubelet/probes/outcome.ts'

const probes = suite('gRPC probes')
const servers: (Http2Server | Server)[] = []
probes.after(() => servers.forEach((server) => server.close()))

const listening = async (server: Http2Server | Server): Promise<number> => {
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))
  return (server.address() as AddressInfo).port
}

type Answer = (stream: ServerHttp2Stream, request: { readonly path: string; readonly body: Buffer }) => void

const asked = async (answer: Answer, service = '', timeoutMs = 5_000): Promise<ProbeOutcome> => {
  const server = createServer()
  server.on('stream', (stream, headers) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('error', () => {})
    stream.on('end', () => answer(stream, { path: String(headers[':path']), body: Buffer.concat(parts) }))
  })
  return grpc('127.0.0.1', await listening(server), service, timeoutMs)
}

/** As a gRPC server answers: a message of these bytes, then the status. */
const says =
  (message: readonly number[], status = '0'): Answer =>
  (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }))
    stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]))
  }

probes('a server that serves is healthy', async () => {
  assert.equal(await asked(says([8, 1])), { ok: true, message: 'service healthy' })
})

probes('the service is named in the request, of any length', async () => {
  let request: { path: string; body: Buffer } | undefined
  const keep: Answer = (stream, got) => {
    request = got
    says([8, 1])(stream, got)
  }
  await asked(keep, 'live')
  assert.is(request?.path, '/grpc.health.v1.Health/Check')
  assert.equal([...(request?.body ?? [])], [0, 0, 0, 0, 6, 0x0a, 4, ...Buffer.from('live')])
  await asked(keep, 'x'.repeat(300))
  assert.equal([...(request?.body.subarray(0, 8) ?? [])], [0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02])
  await asked(keep)
  assert.equal([...(request?.body ?? [])], [0, 0, 0, 0, 0])
})

probes('one that does not serve, or does not say, is not', async () => {
  assert.equal(await asked(says([8, 2])), { ok: false, message: 'service unhealthy (responded with "NOT_SERVING")' })
  assert.equal(await asked(says([])), { ok: false, message: 'service unhealthy (responded with "UNKNOWN")' })
})

probes('a status stands for an answer', async () => {
  const refuses =
    (status: string): Answer =>
    (stream) => {
      stream.respond({ ':status': 200, 'grpc-status': status, 'grpc-message': 'unknown%20service' }, { endStream: true })
    }
  assert.match((await asked(refuses('12'))).message, /does not implement the grpc health protocol .*: unknown service$/)
  assert.match((await asked(refuses('5'))).message, /code = 5 desc = unknown service/)
  assert.is((await asked(says([8, 1], '13'))).ok, false)
})

probes('a server that is none of gRPC, or ends the connection, is a failure', async () => {
  assert.match((await asked((stream) => stream.respond({ ':status': 404 }, { endStream: true }))).message, /without a status/)
  const port = await listening(createTcpServer((socket: Socket) => socket.destroy()))
  assert.is((await grpc('127.0.0.1', port, '', 5_000)).ok, false)
})

probes('time is up whether it connects or not', async () => {
  assert.equal(await asked(() => {}, '', 100), { ok: false, message: 'timeout: health rpc did not complete within 0.1s' })
  const unused = await listening(createTcpServer())
  servers.pop()?.close()
  assert.match(
    (await grpc('127.0.0.1', unused, '', 5_000)).message,
    /^error: failed to connect service at "127\.0\.0\.1:\d+": .*ECONNREFUSED/
  )
})

probes.run()
