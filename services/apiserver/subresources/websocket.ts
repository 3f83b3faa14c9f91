/** exec and attach over WebSocket, in the channel protocols kubectl ≥ 1.30 speaks (`v5.channel.k8s.io`, KEP-4006). */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Status } from '#events/Refusal.ts'
import type { ExecSession } from '#services/platform/NodeLink.ts'

const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const
/** A frame from a client; exec's stdin comes in much smaller ones. */
const LARGEST_FRAME = 1024 * 1024
/** Output waiting for a slow client before the container's output is held up. */
const BUFFERED_MAX = 1024 * 1024

const server = new WebSocketServer({
  noServer: true,
  maxPayload: LARGEST_FRAME,
  handleProtocols: (offered) => PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false
})

export const speaksChannels = (request: IncomingMessage): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .some((protocol) => (PROTOCOLS as readonly string[]).includes(protocol.trim()))

export const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket> =>
  new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve))

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
  const send = (channel: number, data: Uint8Array): Promise<void> => {
    const frame = new Uint8Array(data.length + 1)
    frame[0] = channel
    frame.set(data, 1)
    return new Promise((resolve) => {
      // Waiting for the write only when much is waiting: a quick client costs no round trip per frame.
      socket.send(frame, () => resolve())
      if (socket.bufferedAmount < BUFFERED_MAX) resolve()
    })
  }
  let incoming: Promise<void> = Promise.resolve()
  socket.on('message', (message: Buffer) => {
    const channel = message[0]
    const payload = message.subarray(1)
    incoming = incoming.then(async () => {
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
      void send(CHANNEL.error, Buffer.from(JSON.stringify(exitStatus(exit)))).then(() => socket.close(1000))
    }
  })
}
