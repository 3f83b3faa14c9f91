/** One probe or HTTP hook, carried out: over HTTP, TCP, gRPC, or as a command in the container. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { Container, ExecAction, GRPCAction, HTTPGetAction, TCPSocketAction } from '#events/schema/generated/core.v1.ts'
import { run, type Runtime } from '#services/platform/Runtime.ts'
import { grpc } from './grpc.ts'
import type { ProbeOutcome } from './outcome.ts'

export interface ProbeTarget {
  readonly containerId: string
  readonly container: Container
  /** The pod's address. */
  readonly ip: string
}

export interface ProbeAction {
  readonly exec?: ExecAction
  readonly httpGet?: HTTPGetAction
  readonly tcpSocket?: TCPSocketAction
  readonly grpc?: GRPCAction
}

export interface Prober {
  /** Never rejects: what goes wrong is an outcome. */
  probe(action: ProbeAction, target: ProbeTarget, timeoutMs: number): Promise<ProbeOutcome>
}

const BODY_MAX = 10 * 1024

const portOf = (port: string | number, container: Container): number =>
  typeof port === 'number' ? port : (container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port))

export class NetworkProber implements Prober {
  readonly #runtime: Runtime

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }
  probe(action: ProbeAction, target: ProbeTarget, timeoutMs: number): Promise<ProbeOutcome> {
    if (action.exec !== undefined) return this.#exec(action.exec.command ?? [], target.containerId, timeoutMs)
    if (action.httpGet !== undefined) return http(action.httpGet, target, timeoutMs)
    if (action.tcpSocket !== undefined)
      return tcp(action.tcpSocket.host ?? target.ip, portOf(action.tcpSocket.port, target.container), timeoutMs)
    if (action.grpc !== undefined) return grpc(target.ip, action.grpc.port, action.grpc.service ?? '', timeoutMs)
    return Promise.resolve({ ok: false, message: 'missing probe handler' })
  }
  async #exec(command: readonly string[], id: string, timeoutMs: number): Promise<ProbeOutcome> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<ProbeOutcome>((resolve) => {
      timer = setTimeout(
        () => resolve({ ok: false, message: `command timed out: "${command.join(' ')}" timed out after ${timeoutMs / 1000}s` }),
        timeoutMs
      )
    })
    const done = run(this.#runtime, id, command).then(
      ({ code, output }) => ({ ok: code === 0, message: output }),
      (error: unknown) => ({ ok: false, message: error instanceof Error ? error.message : String(error) })
    )
    return Promise.race([done, late]).finally(() => clearTimeout(timer))
  }
}

const http = (
  { scheme = 'HTTP', host, port, path = '/', httpHeaders = [] }: HTTPGetAction,
  { ip, container }: ProbeTarget,
  timeoutMs: number
): Promise<ProbeOutcome> =>
  new Promise((resolve) => {
    const target = host === undefined || host === '' ? ip : host
    const number = portOf(port, container)
    const url = `${scheme.toLowerCase()}://${target}:${number}${path.startsWith('/') ? path : `/${path}`}`
    const headers = {
      'user-agent': 'kube-probe/1.36',
      accept: '*/*',
      connection: 'close',
      ...Object.fromEntries(httpHeaders.map(({ name, value }) => [name.toLowerCase(), value]))
    }
    const fail = (message: string): void => resolve({ ok: false, message: `Get "${url}": ${message}` })
    try {
      // What a probe asks is whether the server answers, not who it is or how strictly: as upstream, no certificate check,
      // and lines that end in a bare line feed will do.
      const call = (scheme.toUpperCase() === 'HTTPS' ? httpsRequest : httpRequest)(url, {
        headers,
        agent: false,
        insecureHTTPParser: true,
        ...(scheme.toUpperCase() === 'HTTPS' ? { rejectUnauthorized: false } : {})
      })
      const timer = setTimeout(() => {
        fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
        call.destroy()
      }, timeoutMs)
      call.on('response', (response) => {
        const status = response.statusCode ?? 0
        let size = 0
        response.on('data', (chunk: Buffer) => void ((size += chunk.length) > BODY_MAX && response.destroy()))
        response.on('error', () => {})
        response.on('close', () => {
          clearTimeout(timer)
          resolve(
            status >= 200 && status < 400
              ? { ok: true, message: '' }
              : { ok: false, message: `HTTP probe failed with statuscode: ${status}` }
          )
        })
      })
      call.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        fail(error.code === 'ECONNREFUSED' ? `dial tcp ${target}:${number}: connect: connection refused` : error.message)
      })
      call.end()
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error))
    }
  })

const tcp = (host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> =>
  new Promise((resolve) => {
    const socket = connect({ host: host === '' ? '127.0.0.1' : host, port, timeout: timeoutMs })
    const end = (ok: boolean, why: string): void => {
      socket.destroy()
      resolve({ ok, message: ok ? '' : `dial tcp ${host}:${port}: ${why}` })
    }
    socket.on('connect', () => end(true, ''))
    socket.on('timeout', () => end(false, 'i/o timeout'))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(false, error.code === 'ECONNREFUSED' ? 'connect: connection refused' : error.message)
    )
  })
