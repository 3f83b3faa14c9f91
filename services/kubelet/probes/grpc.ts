/**
 * A gRPC probe: one call of grpc.health.v1.Health/Check, over Node's own HTTP/2.
 *
 * A gRPC library would bring its own connections, resolvers and retries for one message of a few bytes each way:
 * a request is `string service = 1`, a response `ServingStatus status = 1` (health.proto).
 */
import { connect } from 'node:http2'
import type { ProbeOutcome } from './outcome.ts'

const CHECK = '/grpc.health.v1.Health/Check'
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
const SERVING = 1
/** Of google.rpc.Code. */
const [OK, UNIMPLEMENTED] = [0, 12]
/** A health answer is seven bytes; a server that sends more than this is none. */
const ANSWER_MAX = 10 * 1024

/** The words are upstream's (pkg/probe/grpc). */
export const grpc = (host: string, port: number, service: string, timeoutMs: number): Promise<ProbeOutcome> =>
  new Promise((resolve) => {
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const session = connect(`http://${address}`)
    let connected = false
    const end = (outcome: ProbeOutcome): void => {
      clearTimeout(timer)
      session.destroy()
      resolve(outcome)
    }
    const fail = (message: string): void => end({ ok: false, message })
    const seconds = `${timeoutMs / 1000}s`
    const timer = setTimeout(
      () => fail(`timeout: ${connected ? 'health rpc did not complete' : `failed to connect service "${address}"`} within ${seconds}`),
      timeoutMs
    )
    session.on('connect', () => (connected = true))
    const broken = (error: Error): void =>
      fail(
        connected
          ? `error: health rpc probe failed: ${error.message}`
          : `error: failed to connect service at "${address}": ${error.message}`
      )
    session.on('error', broken)
    const headers = {
      ':method': 'POST',
      ':path': CHECK,
      'content-type': 'application/grpc',
      'user-agent': 'kube-probe/1.36',
      te: 'trailers'
    }
    const call = session.request(headers)
    call.on('error', broken)
    // After an answer this says nothing new: the first outcome counts.
    call.on('close', () => broken(new Error('the connection was closed')))
    let answer = Buffer.alloc(0)
    let code: number | undefined
    let said = ''
    const note = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] === undefined) return
      code = Number(headers['grpc-status'])
      said = decodeURIComponent(String(headers['grpc-message'] ?? ''))
    }
    // A call that is refused has its status where others have their headers.
    call.on('response', note)
    call.on('trailers', note)
    call.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length > ANSWER_MAX) fail('error: health rpc probe failed: the answer is too long for one')
    })
    call.on('end', () => {
      if (code === UNIMPLEMENTED)
        return fail(`error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${said}`)
      if (code === undefined) return fail('error: health rpc probe failed: the server ended the call without a status')
      if (code !== OK) return fail(`error: health rpc probe failed: rpc error: code = ${code} desc = ${said}`)
      const status = statusOf(answer)
      if (status === SERVING) return end({ ok: true, message: 'service healthy' })
      fail(`service unhealthy (responded with "${STATUSES[status] ?? status}")`)
    })
    call.end(requestOf(service))
  })

/** A message behind its prefix: not compressed, so many bytes. */
const requestOf = (service: string): Buffer => {
  const name = Buffer.from(service)
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)])

/** An absent field is 0, UNKNOWN. */
const statusOf = (answer: Buffer): number => (answer[5] === 0x08 ? (answer[6] ?? 0) : 0)
