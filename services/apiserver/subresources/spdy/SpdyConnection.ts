/**
 * The server's end of a SPDY/3.1 connection, as far as Kubernetes' clients use it: they open streams, both sides write and end them.
 *
 * There is no flow control by windows: client-go's SPDY neither keeps to windows nor opens them, so a server that did would
 * stand still after 64 KiB. TCP's own has to do: the connection is read no further while a stream's reader is behind.
 */
import type { Duplex } from 'node:stream'
import { drained } from '#services/apiserver/http/drained.ts'
import {
  FLAG_FIN,
  HEAD_BYTES,
  ProtocolError,
  STATUS,
  SYN_STREAM_BYTES,
  TYPE,
  dataFrames,
  goAway,
  ping,
  readHead,
  rstStream,
  synReply,
  type Head
} from './frames.ts'
import { HeaderBlocks } from './HeaderBlocks.ts'
import { Inbox } from './Inbox.ts'

/** Of a control frame: its headers are a few words. */
const LARGEST_CONTROL = 64 * 1024
/** Input that was not read yet, per stream. */
const UNREAD_MAX = 1024 * 1024
/** Streams open at once: port forwarding opens two for each connection. */
const STREAMS_MAX = 1_000

export class SpdyStream {
  readonly id: number
  /** Names are lower-case: `streamtype`, `port`, `requestid`. */
  readonly headers: Readonly<Record<string, string>>
  /** What the client sends; ends when it ends its half. */
  readonly input = new Inbox(UNREAD_MAX)
  readonly #send: (frames: readonly Buffer[]) => Promise<void>
  readonly #closed: () => void
  #ended = false
  #inputEnded = false

  constructor(
    id: number,
    headers: Readonly<Record<string, string>>,
    send: (frames: readonly Buffer[]) => Promise<void>,
    closed: () => void
  ) {
    this.id = id
    this.headers = headers
    this.#send = send
    this.#closed = closed
  }
  /** Resolves when the connection takes more, or has ended. */
  write(data: Uint8Array): Promise<void> {
    return this.#ended ? Promise.resolve() : this.#send(dataFrames(this.id, data, false))
  }
  /** Ends our half, after a last word if there is one. */
  end(data: Uint8Array = new Uint8Array()): Promise<void> {
    if (this.#ended) return Promise.resolve()
    this.#ended = true
    const sent = this.#send(dataFrames(this.id, data, true))
    if (this.#inputEnded) this.#closed()
    return sent
  }
  reset(status: number = STATUS.cancel): void {
    if (this.#ended && this.#inputEnded) return
    void this.#send([rstStream(this.id, status)])
    this.abort()
  }
  /** The client ended its half. */
  endInput(): void {
    if (this.#inputEnded) return
    this.#inputEnded = true
    this.input.end()
    if (this.#ended) this.#closed()
  }
  /** Nothing goes or comes any more. */
  abort(error?: Error): void {
    this.#ended = true
    this.#inputEnded = true
    this.input.end(error)
    this.#closed()
  }
}

export interface SpdyHandlers {
  /** A stream the client opened; it was answered already. */
  onStream(stream: SpdyStream): void
  /** Once, when the connection has ended, for whatever reason. */
  onEnd(error?: Error): void
}

export class SpdyConnection {
  readonly #socket: Duplex
  readonly #handlers: SpdyHandlers
  readonly #blocks = new HeaderBlocks()
  readonly #streams = new Map<number, SpdyStream>()
  #last = 0
  #over = false

  constructor(socket: Duplex, handlers: SpdyHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    socket.on('error', () => {})
    socket.once('close', () => this.#end())
    void this.#read().then(
      () => this.#end(),
      (error: Error) => {
        if (error instanceof ProtocolError) void this.#send([goAway(this.#last, STATUS.protocolError)])
        this.#end(error)
      }
    )
  }
  /** Says goodbye and closes once everything written is on its way. */
  close(): void {
    if (this.#over || this.#socket.writableEnded) return
    void this.#send([goAway(this.#last, 0)])
    this.#socket.end()
  }
  #end(error?: Error): void {
    if (this.#over) return
    this.#over = true
    for (const stream of [...this.#streams.values()]) stream.abort(error ?? new Error('the connection ended'))
    this.#blocks.close()
    // What was written is sent before the end, if the other side takes it.
    if (error === undefined) this.#socket.destroy()
    else this.#socket.end(() => this.#socket.destroy())
    this.#handlers.onEnd(error)
  }
  #send(frames: readonly Buffer[]): Promise<void> {
    const socket = this.#socket
    if (socket.writableEnded || socket.destroyed) return Promise.resolve()
    let more = true
    for (const frame of frames) more = socket.write(frame)
    return more ? Promise.resolve() : drained(socket)
  }
  /** Frame after frame, in order; data is passed on as it comes, in pieces of a frame. */
  async #read(): Promise<void> {
    let rest: Buffer = Buffer.alloc(0)
    let data: { readonly stream: SpdyStream | undefined; readonly fin: boolean; left: number } | undefined
    for await (const chunk of this.#socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (;;) {
        if (data !== undefined) {
          const piece = rest.subarray(0, data.left)
          rest = rest.subarray(piece.length)
          data.left -= piece.length
          if (piece.length > 0) await data.stream?.input.push(piece)
          if (data.left > 0) break
          if (data.fin) data.stream?.endInput()
          data = undefined
        }
        if (rest.length < HEAD_BYTES) break
        const head = readHead(rest)
        if (!head.control) {
          data = { stream: await this.#receiver(head.stream), fin: (head.flags & FLAG_FIN) !== 0, left: head.length }
          rest = rest.subarray(HEAD_BYTES)
          continue
        }
        if (head.version !== 3) throw new ProtocolError(`version ${head.version} of SPDY is not spoken here`)
        if (head.length > LARGEST_CONTROL) throw new ProtocolError(`a control frame of ${head.length} bytes is too long`)
        if (rest.length < HEAD_BYTES + head.length) break
        const body = rest.subarray(HEAD_BYTES, HEAD_BYTES + head.length)
        rest = rest.subarray(HEAD_BYTES + head.length)
        if (await this.#control(head, body)) return
      }
    }
  }
  /** Whatever a frame is answered with goes out before the next is read: who sends without reading would have us keep its answers. */
  async #receiver(id: number): Promise<SpdyStream | undefined> {
    const stream = this.#streams.get(id)
    // Of a stream that ended a moment ago something may still be under way; of one that never was, nothing.
    if (stream === undefined && id > this.#last) await this.#send([rstStream(id, STATUS.invalidStream)])
    return stream
  }
  /** True for the end of the connection. */
  async #control({ type, flags }: Extract<Head, { control: true }>, body: Buffer): Promise<boolean> {
    const word = (at: number): number => {
      if (body.length < at + 4) throw new ProtocolError('a control frame ends early')
      return body.readUInt32BE(at)
    }
    switch (type) {
      case TYPE.synStream:
        await this.#open(word(0) & 0x7fff_ffff, (flags & FLAG_FIN) !== 0, body.subarray(SYN_STREAM_BYTES))
        return false
      case TYPE.headers:
        // Nobody sends any, but what follows is packed with what they said.
        await this.#blocks.read(body.subarray(4))
        return false
      case TYPE.rstStream:
        this.#streams.get(word(0) & 0x7fff_ffff)?.abort()
        return false
      case TYPE.ping:
        // Odd ones are the client's own; others would be answers to ours.
        if (word(0) % 2 === 1) await this.#send([ping(word(0))])
        return false
      case TYPE.goAway:
        return this.#streams.size === 0
      default:
        return false
    }
  }
  async #open(id: number, fin: boolean, block: Buffer): Promise<void> {
    const headers = await this.#blocks.read(block)
    if (id % 2 === 0 || id <= this.#last) {
      if (this.#streams.has(id)) this.#streams.get(id)?.reset(STATUS.streamInUse)
      throw new ProtocolError(`stream ${id} can't be opened after ${this.#last}`)
    }
    this.#last = id
    if (this.#streams.size >= STREAMS_MAX) return this.#send([rstStream(id, STATUS.refusedStream)])
    const stream = new SpdyStream(
      id,
      headers,
      (frames) => this.#send(frames),
      () => this.#streams.delete(id)
    )
    this.#streams.set(id, stream)
    if (fin) stream.endInput()
    await this.#send([synReply(id, await this.#blocks.write({}))])
    this.#handlers.onStream(stream)
  }
}
