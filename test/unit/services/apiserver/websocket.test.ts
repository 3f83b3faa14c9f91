/** Channels over WebSocket in each protocol, from the newest to the one without a name, and logs as messages. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { joinSession, sendOverSocket, speaksChannels, speaksLogs, upgrade } from '#services/apiserver/subresources/websocket.ts'
import type { ExecSession } from '#services/platform/NodeLink.ts'

type Output = Parameters<ExecSession['start']>[0]

/** Says back what it is told, and ends with the code that it is told with `exit`. */
const echo = (): ExecSession => {
  let output: Output | undefined
  return {
    start: (given) => void (output = given),
    write: async (data) => {
      const text = Buffer.from(data).toString()
      if (text.startsWith('exit')) output?.onExit({ code: Number(text.slice(4)) })
      else await output?.onOutput('stdout', data)
    },
    resize: async (width, height) => void (await output?.onOutput('stderr', Buffer.from(`${width}x${height}`))),
    closeStdin: async () => output?.onExit({ code: 0 }),
    close: () => {}
  }
}

interface Server {
  readonly url: string
  close(): Promise<void>
}

const serve = async (chunks: () => AsyncIterator<Uint8Array>): Promise<Server> => {
  const server = createServer()
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/log' && speaksLogs(request))
      void upgrade('logs', request, socket, head).then((one) => sendOverSocket(one, chunks()))
    else if (request.url === '/exec' && speaksChannels(request))
      void upgrade('channels', request, socket, head).then((one) => joinSession(one, echo()))
    else socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

/** All that comes until the server closes; texts as texts. */
const talk = async (url: string, protocols: readonly string[], says: readonly (string | Buffer)[]): Promise<(string | Buffer)[]> => {
  const socket = new WebSocket(url, [...protocols])
  const heard: (string | Buffer)[] = []
  socket.on('message', (data: Buffer, isBinary) => heard.push(isBinary ? data : data.toString()))
  const over = once(socket, 'close')
  await once(socket, 'open')
  for (const one of says) socket.send(one)
  const [code] = (await over) as [number]
  return [...heard, `closed ${code}`]
}

const one = (channel: number, text: string): Buffer => Buffer.concat([Buffer.of(channel), Buffer.from(text)])
const NOTHING = async function* (): AsyncGenerator<Uint8Array> {}
const RESIZE = JSON.stringify({ Width: 80, Height: 24 })
const FAILED = 'command terminated with non-zero exit code: exit status 3'

const websocket = suite('channels over WebSocket')
for (const [protocols, end] of [
  [['v5.channel.k8s.io', 'v4.channel.k8s.io', 'channel.k8s.io'], 'status'],
  [['v4.channel.k8s.io'], 'status'],
  [['channel.k8s.io'], 'text'],
  [[], 'text']
] as const)
  websocket(`${protocols[0] ?? 'no protocol'}: a byte tells the channel, and the end is told as a ${end}`, async () => {
    const server = await serve(NOTHING)
    const heard = await talk(`${server.url}/exec`, protocols, [one(0, 'hello'), one(4, RESIZE), one(0, 'exit3')])
    const [said, size, ended, closed] = heard as [Buffer, Buffer, Buffer, string]
    assert.equal([said, size, closed], [one(1, 'hello'), one(2, '80x24'), 'closed 1000'])
    assert.is(ended[0], 3)
    const text = ended.subarray(1).toString()
    if (end === 'text') assert.is(text, FAILED)
    else assert.equal([JSON.parse(text).reason, JSON.parse(text).message], ['NonZeroExitCode', FAILED])
    const good = await talk(`${server.url}/exec`, protocols, [one(0, 'exit0')])
    assert.is((good[0] as Buffer).subarray(1).toString(), end === 'text' ? '' : '{"metadata":{},"status":"Success"}')
    await server.close()
  })
websocket('base64.channel.k8s.io: a digit and base64 both ways; what is neither ends it', async () => {
  const server = await serve(NOTHING)
  const protocols = ['base64.channel.k8s.io']
  const text = (channel: number, said: string): string => `${channel}${Buffer.from(said).toString('base64')}`
  const heard = await talk(`${server.url}/exec`, protocols, [text(0, 'hello'), text(4, RESIZE), text(0, 'exit3')])
  assert.equal(heard, [text(1, 'hello'), text(2, '80x24'), text(3, FAILED), 'closed 1000'])
  for (const bad of ['x', '0{}', '0a b']) assert.equal(await talk(`${server.url}/exec`, protocols, [bad]), ['closed 1002'], bad)
  await server.close()
})
websocket('logs are messages of what is read, as bytes or as base64', async () => {
  const lines = ['one\n', 'two\n'].map((line) => Buffer.from(line))
  const server = await serve(async function* () {
    yield* lines
  })
  for (const protocols of [['binary.k8s.io'], []]) assert.equal(await talk(`${server.url}/log`, protocols, []), [...lines, 'closed 1000'])
  assert.equal(await talk(`${server.url}/log`, ['base64.binary.k8s.io'], []), [
    ...lines.map((line) => line.toString('base64')),
    'closed 1000'
  ])
  await server.close()
  const broken = await serve(async function* () {
    yield Buffer.from('one\n')
    throw new Error('the container is gone')
  })
  assert.equal(await talk(`${broken.url}/log`, ['binary.k8s.io'], []), [Buffer.from('one\n'), 'closed 1011'])
  await broken.close()
})
websocket('protocols nobody speaks are refused', async () => {
  const server = await serve(NOTHING)
  for (const path of ['exec', 'log']) {
    const socket = new WebSocket(`${server.url}/${path}`, ['v9.channel.k8s.io'])
    const [error] = (await once(socket, 'error')) as [Error]
    assert.match(error.message, '400')
  }
  await server.close()
})
websocket.run()
