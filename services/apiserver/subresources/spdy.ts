/** exec and attach over SPDY/3.1, which kubectl before 1.30 speaks: a stream per channel (`v4.channel.k8s.io`). */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ExecOptions, ExecSession } from '#services/platform/NodeLink.ts'
import { SpdyConnection, type SpdyStream } from './spdy/SpdyConnection.ts'
import { exitStatus } from './websocket.ts'

const PROTOCOL = 'v4.channel.k8s.io'
/** A client opens its streams right after the upgrade; one that does not is gone. */
const OPEN_MS = 30_000
/** After the last word: a client that does not hang up by then is hung up on. */
const CLOSE_MS = 10_000
/** Of one size of a terminal, as JSON. */
const LARGEST_SIZE = 1024

export const speaksSpdy = (request: IncomingMessage): boolean =>
  /^spdy\/3\.1$/i.test(request.headers.upgrade ?? '') &&
  (request.headersDistinct['x-stream-protocol-version'] ?? []).some((offer) =>
    offer.split(',').some((protocol) => protocol.trim() === PROTOCOL)
  )

/** The channels this command has; the client opens one stream for each. */
const channelsOf = ({ stdin, stdout, stderr, tty }: Omit<ExecOptions, 'command'>): string[] => [
  'error',
  ...(stdin ? ['stdin'] : []),
  ...(stdout ? ['stdout'] : []),
  ...(stderr && !tty ? ['stderr'] : []),
  ...(tty ? ['resize'] : [])
]

/** Answers the upgrade and joins the client's streams and the container's session until either ends. */
export const joinSpdy = (socket: Duplex, head: Buffer, session: ExecSession, options: Omit<ExecOptions, 'command'>): void => {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PROTOCOL}\r\n\r\n`
  )
  if (head.length > 0) socket.unshift(head)
  const expected = new Set(channelsOf(options))
  const streams = new Map<string, SpdyStream>()
  const end = (): void => {
    clearTimeout(timer)
    session.close()
    socket.destroy()
  }
  let timer = setTimeout(end, OPEN_MS)
  const connection = new SpdyConnection(socket, {
    onStream: (stream) => {
      const channel = stream.headers['streamtype'] ?? ''
      if (!expected.has(channel) || streams.has(channel)) return stream.reset()
      streams.set(channel, stream)
      if (streams.size < expected.size) return
      clearTimeout(timer)
      start()
    },
    onEnd: () => {
      clearTimeout(timer)
      session.close()
    }
  })
  const start = (): void => {
    const stdin = streams.get('stdin')
    if (stdin !== undefined) takeInput(stdin, session).catch(end)
    const resize = streams.get('resize')
    if (resize !== undefined) takeSizes(resize, session).catch(end)
    session.start({
      onOutput: (output, data) => streams.get(options.tty ? 'stdout' : output)?.write(data) ?? Promise.resolve(),
      onExit: (exit) => {
        timer = setTimeout(end, CLOSE_MS)
        void streams.get('stdout')?.end()
        void streams.get('stderr')?.end()
        // The client reads how it went, and hangs up when it has read everything.
        void streams
          .get('error')
          ?.end(Buffer.from(JSON.stringify(exitStatus(exit))))
          .then(() => connection.close())
      }
    })
  }
}

const takeInput = async (stdin: SpdyStream, session: ExecSession): Promise<void> => {
  for await (const chunk of stdin.input) await session.write(chunk)
  await session.closeStdin()
}

/** One JSON object after another, with or without a line between. */
const takeSizes = async (resize: SpdyStream, session: ExecSession): Promise<void> => {
  let text = ''
  for await (const chunk of resize.input) {
    text += chunk.toString()
    for (let at = text.indexOf('}'); at >= 0; at = text.indexOf('}')) {
      const { Width, Height } = JSON.parse(text.slice(0, at + 1)) as { Width: number; Height: number }
      text = text.slice(at + 1)
      session.resize(Width, Height).catch(() => {})
    }
    if (text.length > LARGEST_SIZE) throw new Error('what came as the size of a terminal is none')
  }
}
