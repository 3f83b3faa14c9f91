/** The cluster's DNS server: its own names from the view, all others from the machine's name servers, over UDP and TCP. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server as TcpServer, type Socket } from 'node:net'
import { decode, encode, type Answer, type Question } from 'dns-packet'
import type { Clock } from '#services/platform/Clock.ts'
import { answer, type DnsConfig } from './answer.ts'
import { dnsView, type DnsSource, type DnsView } from './DnsView.ts'
import { readRequest, writeReply, type Code, type Request } from './message.ts'
import { ask, framed, readNameServers, type Server } from './upstream.ts'

export interface DnsOptions {
  readonly source: DnsSource
  readonly clock: Clock
  /** Where pods reach it: the bridge's address and a port of this cluster's own. Port 0: any free one. */
  readonly address: string
  readonly port: number
  readonly config: Omit<DnsConfig, 'serial'>
  /** Name servers for the rest of the world; read from /etc/resolv.conf when left out. */
  readonly upstreams?: readonly Server[]
  /** Its own problems, not its clients'. */
  readonly onError?: (error: unknown) => void
}

/** Questions waiting for other name servers; more are answered SERVFAIL at once. */
const FORWARDED_MAX = 1_000
const CONNECTIONS_MAX = 500
const IDLE_MS = 10_000
/** Requests of one TCP connection being answered; reading stops until there are fewer. */
const PIPELINE_MAX = 32
/** How often resolv.conf is read again. */
const UPSTREAMS_MS = 30_000

type Transport = 'udp' | 'tcp'

export class Dns {
  readonly #options: DnsOptions
  readonly #view: DnsView
  readonly #connections = new Set<Socket>()
  #udp: UdpSocket | undefined
  #tcp: TcpServer | undefined
  #forwarded = 0
  #upstreams: { readonly servers: readonly Server[]; readonly until: number } | undefined

  constructor(options: DnsOptions) {
    this.#options = options
    this.#view = dnsView(options.source)
  }
  /** Listens; rejects when the address or port can't be had. */
  async start(): Promise<{ readonly address: string; readonly port: number }> {
    const { address, port, onError } = this.#options
    const udp = (this.#udp = createSocket(address.includes(':') ? 'udp6' : 'udp4'))
    const tcp = (this.#tcp = createServer((socket) => this.#serve(socket)))
    try {
      await new Promise<void>((resolve, reject) => {
        udp.once('error', reject)
        udp.bind({ address, port, exclusive: true }, resolve)
      })
      const bound = udp.address().port
      tcp.maxConnections = CONNECTIONS_MAX
      await new Promise<void>((resolve, reject) => {
        tcp.once('error', reject)
        tcp.listen({ host: address, port: bound, exclusive: true }, resolve)
      })
      for (const socket of [udp, tcp]) socket.removeAllListeners('error').on('error', (error: Error) => onError?.(error))
      udp.on('message', (bytes, from) => {
        void this.#reply(bytes, 'udp').then((reply) => {
          if (reply !== undefined && this.#udp === udp) udp.send(reply, from.port, from.address, () => {})
        }, onError)
      })
      return { address, port: bound }
    } catch (error) {
      await this.stop()
      throw error
    }
  }
  async stop(): Promise<void> {
    const udp = this.#udp
    const tcp = this.#tcp
    this.#udp = undefined
    this.#tcp = undefined
    for (const socket of this.#connections) socket.destroy()
    await Promise.all([
      udp && new Promise<void>((resolve) => udp.close(() => resolve())),
      tcp?.listening && new Promise<void>((resolve) => tcp.close(() => resolve()))
    ])
  }
  #serve(socket: Socket): void {
    this.#connections.add(socket)
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#connections.delete(socket))
    let received = Buffer.alloc(0)
    let pending = 0
    const drain = (): void => {
      while (pending < PIPELINE_MAX && received.length >= 2) {
        const length = received.readUInt16BE(0)
        if (received.length < length + 2) break
        const message = received.subarray(2, length + 2)
        received = received.subarray(length + 2)
        pending++
        void this.#reply(message, 'tcp')
          .then((reply) => {
            if (reply === undefined) socket.destroy()
            else if (socket.writable) socket.write(framed(reply))
          }, this.#options.onError)
          .finally(() => {
            pending--
            if (socket.isPaused()) socket.resume()
            drain()
          })
      }
      if (pending >= PIPELINE_MAX) socket.pause()
    }
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      drain()
    })
  }
  async #reply(bytes: Buffer, transport: Transport): Promise<Buffer | undefined> {
    const read = readRequest(bytes)
    if (read === undefined) return undefined
    const { request } = read
    if (!read.ok) return writeReply(request, read.code, {}, transport, false)
    const { source, config } = this.#options
    const serial =
      source.collection({ group: '', resource: 'services' }).sequence +
      source.collection({ group: 'discovery.k8s.io', resource: 'endpointslices' }).sequence
    const found = answer(this.#view, request.question as Question, { ...config, serial })
    if (found.kind === 'forward') return (await this.#forward(bytes, transport)) ?? this.#fail(request, transport)
    const chased = found.chase === undefined ? [] : await this.#chase(found.chase, request.question as Question)
    const sections = { ...found, answers: this.#shuffled(found.answers).concat(chased) }
    return writeReply(request, found.code, sections, transport, true)
  }
  #fail(request: Request, transport: Transport, code: Code = 'SERVFAIL'): Buffer {
    return writeReply(request, code, {}, transport, false)
  }
  /** Undefined when there is nobody to ask, too many are waiting, or nobody answered. */
  async #forward(query: Buffer, transport: Transport): Promise<Buffer | undefined> {
    if (this.#forwarded >= FORWARDED_MAX) return undefined
    this.#forwarded++
    try {
      return await ask(await this.#servers(), query, transport, this.#options.clock)
    } finally {
      this.#forwarded--
    }
  }
  /** What an ExternalName's target resolves to; nothing when it does not. */
  async #chase(name: string, question: Question): Promise<readonly Answer[]> {
    const query = encode({ type: 'query', id: 0, flags: 1 << 8, questions: [{ type: question.type, name, class: 'IN' }] })
    const reply = await this.#forward(query, 'udp')
    if (reply === undefined) return []
    try {
      return decode(reply).answers ?? []
    } catch {
      return []
    }
  }
  async #servers(): Promise<readonly Server[]> {
    const { upstreams, clock, address, config } = this.#options
    if (upstreams !== undefined) return upstreams
    const now = clock.now()
    if (this.#upstreams === undefined || this.#upstreams.until <= now) {
      this.#upstreams = { servers: await readNameServers([address, config.clusterDNS]), until: now + UPSTREAMS_MS }
    }
    return this.#upstreams.servers
  }
  /** Addresses begin at another place each time: clients take the first. CNAMEs stay in front. */
  #shuffled(answers: readonly Answer[]): Answer[] {
    const fixed = answers.filter(({ type }) => type !== 'A')
    const addresses = answers.filter(({ type }) => type === 'A')
    const at = Math.floor(this.#options.clock.random() * addresses.length)
    return [...fixed, ...addresses.slice(at), ...addresses.slice(0, at)]
  }
}
