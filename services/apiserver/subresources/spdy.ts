/** exec and attach over SPDY/3.1, which kubectl before 1.30 speaks: a stream per channel (`v4.channel.k8s.io`). */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import transport, { type SpdyConnection, type SpdyStream } from 'spdy-transport'
import type { ExecOptions, ExecSession } from '../../platform/NodeLink.ts'
import { exitStatus } from './websocket.ts'

const PROTOCOL = 'v4.channel.k8s.io'
/** A client opens its streams right after the upgrade; one that does not is gone. */
const OPEN_MS = 30_000

export const speaksSpdy = (request: IncomingMessage): boolean =>
  /^spdy\/3\.1$/i.test(request.headers.upgrade ?? '') && (request.headersDistinct['x-stream-protocol-version'] ?? []).some((offer) => offer.split(',').some((protocol) => protocol.trim() === PROTOCOL))

/** The channels this command has; the client opens one stream for each. */
const channelsOf = ({ stdin, stdout, stderr, tty }: Omit<ExecOptions, 'command'>): string[] => [
  'error',
  ...(stdin ? ['stdin'] : []),
  ...(stdout ? ['stdout'] : []),
  ...(stderr && !tty ? ['stderr'] : []),
  ...(tty ? ['resize'] : [])
]

/**
 * The package takes every stream for an HTTP request and refuses one without method and path; the streams of
 * remotecommand have neither. There is no option for it, so the parser is given both.
 */
const allowBareStreams = (connection: SpdyConnection): void => {
  const { parser } = connection._spdyState
  const parse = parser.parseKVs.bind(parser)
  parser.parseKVs = (pairs, done) => parse(pairs, (error, headers) => done(error, headers === undefined ? headers : { ':method': 'POST', ':path': '/', ...headers }))
}

/** kubectl's SPDY knows no flow control: it neither keeps to windows nor opens them. TCP's own has to do. */
const withoutWindows = ({ _spdyState: { window, streamWindow } }: SpdyConnection): void => {
  for (const { send, recv } of [window, streamWindow]) for (const side of [send, recv]) Object.assign(side, { current: ENDLESS, max: ENDLESS, limit: 2 * ENDLESS, lowWaterMark: 0 })
}

/** Input a container has not read yet: beyond it the client's connection is not read either. */
const UNREAD_MAX = 1024 * 1024
const ENDLESS = 2 ** 50

/** Answers the upgrade and joins the client's streams and the container's session until either ends. */
export const joinSpdy = (socket: Duplex, head: Buffer, session: ExecSession, options: Omit<ExecOptions, 'command'>): void => {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PROTOCOL}\r\n\r\n`)
  if (head.length > 0) socket.unshift(head)
  const connection = transport.connection.create(socket, { protocol: 'spdy', isServer: true })
  allowBareStreams(connection)
  withoutWindows(connection)
  connection.start(3.1)
  const expected = new Set(channelsOf(options))
  const streams = new Map<string, SpdyStream>()
  const end = (): void => {
    clearTimeout(timer)
    session.close()
    socket.destroy()
  }
  const timer = setTimeout(end, OPEN_MS)
  socket.on('close', end)
  connection.on('error', end)
  connection.on('stream', (stream: SpdyStream) => {
    const channel = stream.headers['streamtype'] ?? ''
    stream.on('error', () => {})
    stream.respond(200, {})
    if (!expected.has(channel) || streams.has(channel)) return void stream.end()
    streams.set(channel, stream)
    if (streams.size < expected.size) return
    clearTimeout(timer)
    start()
  })
  const start = (): void => {
    const stdin = streams.get('stdin')
    if (stdin !== undefined) {
      const push = stdin.push.bind(stdin)
      stdin.push = (chunk: unknown): boolean => {
        const more = push(chunk)
        if (stdin.readableLength > UNREAD_MAX) socket.pause()
        return more
      }
      const take = async (chunk: Uint8Array): Promise<void> => {
        await session.write(chunk)
        if (socket.isPaused() && stdin.readableLength < UNREAD_MAX / 2) socket.resume()
      }
      readAll(stdin, take, () => session.closeStdin()).catch(end)
    }
    const resize = streams.get('resize')
    let sizes = ''
    resize?.on('data', (chunk: Buffer) => {
      sizes += chunk.toString()
      // One JSON object after another, with or without a line between.
      for (let at = sizes.indexOf('}'); at >= 0; at = sizes.indexOf('}')) {
        const { Width, Height } = JSON.parse(sizes.slice(0, at + 1)) as { Width: number; Height: number }
        sizes = sizes.slice(at + 1)
        session.resize(Width, Height).catch(() => {})
      }
    })
    session.start({
      onOutput: (output, data) => {
        const stream = streams.get(options.tty ? 'stdout' : output)
        if (stream === undefined) return Promise.resolve()
        return new Promise((resolve) => void (stream.write(Buffer.from(data)) ? resolve() : stream.once('drain', resolve)))
      },
      onExit: (exit) => {
        streams.get('stdout')?.end()
        streams.get('stderr')?.end()
        streams.get('error')?.end(JSON.stringify(exitStatus(exit)), () => setTimeout(() => socket.end(), 100))
      }
    })
  }
}

/** Piece by piece, then the end. (The stream's own iterator waits for its writable half as well.) */
const readAll = (stream: Duplex, take: (chunk: Uint8Array) => Promise<void>, done: () => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    let last: Promise<void> = Promise.resolve()
    stream.on('data', (chunk: Buffer) => {
      stream.pause()
      last = take(chunk)
      last.then(() => stream.resume(), reject)
    })
    stream.on('end', () => void last.then(done).then(resolve, reject))
  })
