/**
 * A long answer on its way to one client, over HTTP/1.1 or HTTP/2: what is written waits in the client's connection, never
 * here, and a client that takes nothing is cut off.
 *
 * It writes below Node's `ServerResponse`: a line for a thousand watchers is framed once (one HTTP/1.1 chunk) and each of
 * them costs one write of the same buffer, where `response.write` makes three of its own.
 */
import { Buffer } from 'node:buffer'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { Writable } from 'node:stream'
import type { Clock, Timer } from '#services/platform/Clock.ts'

/** One line for many: `framed` is it as a chunk of HTTP/1.1, `raw` the part of that which is the line. */
export interface Line {
  readonly raw: Buffer
  readonly framed: Buffer
}

export const lineOf = (text: string): Line => {
  const size = Buffer.byteLength(text)
  const head = `${size.toString(16)}\r\n`
  const framed = Buffer.allocUnsafe(head.length + size + 2)
  framed.write(head, 0, 'latin1')
  framed.write(text, head.length)
  framed.write('\r\n', head.length + size, 'latin1')
  return { raw: framed.subarray(head.length, head.length + size), framed }
}

export class Outlet {
  readonly #outlets: Outlets
  readonly #response: ServerResponse
  /** Set by `begin`: an HTTP/2 stream, or the connection itself. */
  #target: Writable | undefined
  #framed = false
  #ended = false
  #closed = false
  #waiting: ((open: boolean) => void) | undefined
  /** When the client last took something, while data waits for it; undefined while none does. Milliseconds. */
  stalledSince: number | undefined
  /** Called when what waited is taken. */
  onDrain: () => void = () => {}
  /** Called once, when nothing more can be written, whoever ended it. */
  onOver: () => void = () => {}

  constructor(outlets: Outlets, response: ServerResponse) {
    this.#outlets = outlets
    this.#response = response
    response.once('close', () => this.#close())
    response.on('error', () => this.#close())
  }
  get closed(): boolean {
    return this.#closed || this.#ended
  }
  /** True when lines go out as chunks of HTTP/1.1. */
  get framed(): boolean {
    return this.#framed
  }
  begin(code: number, headers: OutgoingHttpHeaders): void {
    const response = this.#response
    response.writeHead(code, headers)
    response.flushHeaders()
    const stream = streamOf(response)
    // Behind an unfinished answer on the same connection (pipelining) there is no socket yet: the response buffers until there is.
    this.#target = stream ?? response.socket ?? response
    this.#framed = stream === undefined && response.socket !== null && response.chunkedEncoding
    this.#target.on('drain', this.#drained)
  }
  /** False: enough waits; go on after `ready` or `onDrain`. */
  write(bytes: Buffer): boolean {
    if (!this.#framed || this.closed) return this.send(bytes)
    const target = this.#target as Writable
    target.cork()
    target.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
    target.write(bytes)
    const more = this.send(CRLF)
    target.uncork()
    return more
  }
  line(line: Line): boolean {
    return this.send(this.#framed ? line.framed : line.raw)
  }
  /** Bytes that are framed already, where frames are wanted. */
  send(bytes: Buffer): boolean {
    if (this.closed) return false
    const more = (this.#target as Writable).write(bytes)
    if (!more && this.stalledSince === undefined) this.#outlets.stalled(this)
    return more
  }
  /** Resolves when what waits is taken: true, or false when nobody will take anything any more. */
  ready(): Promise<boolean> {
    if (this.closed) return Promise.resolve(false)
    if (this.stalledSince === undefined) return Promise.resolve(true)
    return new Promise((resolve) => (this.#waiting = resolve))
  }
  /** Writes slice after slice as they are taken; false when the client left. The slices' maker is told to end then. */
  async pour(slices: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<boolean> {
    for await (const slice of slices) if (this.closed || (!this.write(slice) && !(await this.ready()))) return false
    return !this.closed
  }
  /** The end of the answer, behind what waits. */
  end(): void {
    if (this.closed) return
    this.#ended = true
    this.#over()
    // An answer that is ended can still wait for its reader.
    if (this.stalledSince === undefined) this.#outlets.stalled(this)
    this.#response.end()
  }
  /** Ends it in the middle: the client sees a broken answer. */
  cut(): void {
    this.#outlets.breakOff(this.#response)
    this.#close()
  }
  readonly #drained = (): void => {
    if (this.#ended) {
      this.stalledSince = this.#outlets.now()
      return
    }
    this.#outlets.flowing(this)
    this.#settle(true)
    this.onDrain()
  }
  #settle(open: boolean): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(open)
  }
  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#outlets.flowing(this)
    this.#target?.off('drain', this.#drained)
    if (!this.#ended) this.#over()
  }
  #over(): void {
    this.#settle(false)
    this.onOver()
  }
}

const CRLF = Buffer.from('\r\n')

/** The HTTP/2 stream of an answer; undefined over HTTP/1.1. */
export const streamOf = (response: ServerResponse): ServerHttp2Stream | undefined =>
  (response as unknown as { readonly stream?: ServerHttp2Stream }).stream

/** A connection whose client does not even answer a ping is gone. */
const PING_MS = 10_000

/** The answers of a server that wait for their clients, and the end of those that wait in vain. */
export class Outlets {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #stalled = new Set<Outlet>()
  /** Short answers on their way, by when they were written: the oldest first. */
  readonly #ended = new Map<ServerResponse, number>()
  /** Connections that were asked whether they live. */
  readonly #probed = new WeakSet<Http2Session>()
  #timer: Timer | undefined

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }
  open(response: ServerResponse): Outlet {
    return new Outlet(this, response)
  }
  now(): number {
    return this.#clock.now()
  }
  stalled(outlet: Outlet): void {
    outlet.stalledSince = this.#clock.now()
    this.#stalled.add(outlet)
    this.#arm()
  }
  flowing(outlet: Outlet): void {
    outlet.stalledSince = undefined
    this.#stalled.delete(outlet)
  }
  /** A short answer is written; it has to be taken, too. */
  ended(response: ServerResponse): void {
    if (response.writableFinished) return
    this.#ended.set(response, this.#clock.now())
    this.#arm()
  }
  over(response: ServerResponse): void {
    this.#ended.delete(response)
  }
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
  /** Ends an answer so that its client sees that it is not whole. */
  breakOff(response: ServerResponse): void {
    const stream = streamOf(response)
    if (stream === undefined) return void response.destroy()
    const { session } = stream
    stream.close(constants.NGHTTP2_CANCEL)
    stream.destroy()
    this.#probe(session)
  }
  /** The connection may be as dead as its reader. */
  #probe(session: Http2Session | undefined): void {
    if (session === undefined || session.destroyed || this.#probed.has(session)) return
    this.#probed.add(session)
    const gone = this.#clock.after(PING_MS, () => session.destroy())
    const over = (): void => {
      gone.cancel()
      session.off('close', over)
      this.#probed.delete(session)
    }
    session.on('close', over)
    const sent = session.ping((error) => {
      if (error === null) over()
    })
    if (!sent) session.destroy()
  }
  #arm(): void {
    this.#timer ??= this.#clock.after(this.#timeoutMs / 6, () => this.#sweep())
  }
  #sweep(): void {
    this.#timer = undefined
    const before = this.#clock.now() - this.#timeoutMs
    for (const outlet of [...this.#stalled]) if ((outlet.stalledSince ?? before + 1) <= before) outlet.cut()
    for (const [response, since] of [...this.#ended]) {
      if (since > before) break
      this.#ended.delete(response)
      this.breakOff(response)
    }
    if (this.#stalled.size > 0 || this.#ended.size > 0) this.#arm()
  }
}
