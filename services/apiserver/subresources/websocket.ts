/**
 * exec, attach and logs over WebSocket: in the channel protocols kubectl ≥ 1.30 speaks (`v5.channel.k8s.io`, KEP-4006), and in the oldest
 * ones, which browsers and small clients use: a byte, or a digit and base64, in front of what is sent; of logs just what is read.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Status } from '#events/Refusal.ts'
import type { ExecSession } from '#services/platform/NodeLink.ts'

const CHANNELS = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'channel.k8s.io', 'base64.channel.k8s.io'] as const
const LOGS = ['binary.k8s.io', 'base64.binary.k8s.io'] as const
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const
/** A frame from a client; exec's stdin comes in much smaller ones. */
const LARGEST_FRAME = 1024 * 1024
/** Of the reason a socket is closed for (RFC 6455, 5.5), in characters that may have three bytes. */
const LONGEST_REASON = 40
/** Output waiting for a slow client before the container's output is held up. */
const BUFFERED_MAX = 1024 * 1024

const serverOf = (protocols: readonly string[]): WebSocketServer =>
  new WebSocketServer({
    noServer: true,
    maxPayload: LARGEST_FRAME,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false
  })
const servers = { channels: serverOf(CHANNELS), logs: serverOf(LOGS) }

/** Who names no protocol gets the oldest one. */
const speaks = (request: IncomingMessage, protocols: readonly string[]): boolean => {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())
  const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket'
  return isWebSocket && (offered.join('') === '' || offered.some((protocol) => protocols.includes(protocol)))
}
export const speaksChannels = (request: IncomingMessage): boolean => speaks(request, CHANNELS)
export const speaksLogs = (request: IncomingMessage): boolean => speaks(request, LOGS)

export const upgrade = (what: keyof typeof servers, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket> =>
  new Promise((resolve) => servers[what].handleUpgrade(request, socket, head, resolve))

/** Waiting for the write only when much is waiting: a quick client costs no round trip per frame. */
const sendAtPace = (socket: WebSocket, frame: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    socket.send(frame, () => resolve())
    if (socket.bufferedAmount < BUFFERED_MAX) resolve()
  })

const isBase64 = ({ protocol }: WebSocket): boolean => protocol.startsWith('base64.')
/** From v4 on how a command ended is a Status; before, it is the reason why it failed, and nothing when it did not. */
const tellsStatus = ({ protocol }: WebSocket): boolean => protocol.startsWith('v')

/** `channel` and what is sent on it, as the protocol writes both. */
const frameOf = (socket: WebSocket, channel: number, data: Uint8Array): string | Uint8Array => {
  if (isBase64(socket)) return `${channel}${Buffer.from(data).toString('base64')}`
  const frame = new Uint8Array(data.length + 1)
  frame[0] = channel
  frame.set(data, 1)
  return frame
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** Throws what ends the connection when the text is no base64. */
const partsOf = (socket: WebSocket, message: Buffer): { readonly channel: number | undefined; readonly payload: Buffer } => {
  if (!isBase64(socket)) return { channel: message[0], payload: message.subarray(1) }
  const text = message.toString('latin1')
  if (!/^\d/.test(text) || !BASE64.test(text.slice(1))) throw new TypeError('no channel and base64')
  return { channel: Number(text[0]), payload: Buffer.from(text.slice(1), 'base64') }
}

/** A log until it ends or nobody reads it any more; `chunks` is read at the reader's pace. */
export const sendOverSocket = async (
  socket: WebSocket,
  chunks: AsyncIterator<Uint8Array>,
  first?: IteratorResult<Uint8Array>
): Promise<void> => {
  socket.on('error', () => socket.terminate())
  try {
    for (let next = first ?? (await chunks.next()); next.done !== true && socket.readyState === socket.OPEN; next = await chunks.next())
      await sendAtPace(socket, isBase64(socket) ? Buffer.from(next.value).toString('base64') : next.value)
    socket.close(1000)
  } catch (error) {
    // There is no answer any more that a refusal could be.
    socket.close(1011, error instanceof Error ? error.message.slice(0, LONGEST_REASON) : '')
  }
}

/** How a command ended, as remotecommand clients read it. */
export const exitStatus = (exit: { readonly code: number } | { readonly error: string }): Status | Record<string, unknown> => {
  if ('error' in exit) return { metadata: {}, status: 'Failure', reason: 'InternalError', message: exit.error, code: 500 }
  if (exit.code === 0) return { metadata: {}, status: 'Success' }
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exit.code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exit.code) }] }
  }
}

/** Joins a client's socket and a container's session until either ends. */
export const joinSession = (socket: WebSocket, session: ExecSession): void => {
  const send = (channel: number, data: Uint8Array): Promise<void> => sendAtPace(socket, frameOf(socket, channel, data))
  let incoming: Promise<void> = Promise.resolve()
  socket.on('message', (message: Buffer) => {
    incoming = incoming.then(async () => {
      const { channel, payload } = partsOf(socket, message)
      if (channel === CHANNEL.stdin) await session.write(payload)
      else if (channel === CHANNEL.resize) {
        const { Width, Height } = JSON.parse(payload.toString()) as { Width: number; Height: number }
        await session.resize(Width, Height)
      } else if (channel === CHANNEL.close && payload[0] === CHANNEL.stdin) await session.closeStdin()
    })
    incoming.catch(() => socket.close(1002))
  })
  socket.on('close', () => session.close())
  socket.on('error', () => session.close())
  session.start({
    onOutput: (output, data) => send(output === 'stdout' ? CHANNEL.stdout : CHANNEL.stderr, data),
    onExit: (exit) => {
      const status = exitStatus(exit) as { readonly message?: string }
      const told = tellsStatus(socket) ? JSON.stringify(status) : (status.message ?? '')
      void send(CHANNEL.error, Buffer.from(told)).then(() => socket.close(1000))
    }
  })
}
