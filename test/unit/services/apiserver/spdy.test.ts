import { createHash } from 'node:crypto'
import { duplexPair, type Duplex } from 'node:stream'
import { constants, createDeflate, deflateSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ExecSession } from '#services/platform/NodeLink.ts'
import { joinSpdy } from '#services/apiserver/subresources/spdy.ts'
import { DICTIONARY } from '#services/apiserver/subresources/spdy/dictionary.ts'
import {
  FLAG_FIN,
  HEAD_BYTES,
  TYPE,
  dataFrames,
  ping,
  readHead,
  rstStream,
  synStream,
  writePairs,
  type Head
} from '#services/apiserver/subresources/spdy/frames.ts'
import { SpdyConnection, type SpdyStream } from '#services/apiserver/subresources/spdy/SpdyConnection.ts'

/** The client's end: packs headers with one zlib stream, and reads frames. */
class Client {
  readonly socket: Duplex
  readonly #deflate = createDeflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH })
  readonly frames: { readonly head: Head; readonly body: Buffer }[] = []
  #rest: Buffer = Buffer.alloc(0)
  #wake: () => void = () => {}
  closed = false

  constructor(socket: Duplex) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
  }
  listen(): void {
    this.socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      while (this.#rest.length >= HEAD_BYTES) {
        const head = readHead(this.#rest)
        if (this.#rest.length < HEAD_BYTES + head.length) break
        this.frames.push({ head, body: this.#rest.subarray(HEAD_BYTES, HEAD_BYTES + head.length) })
        this.#rest = this.#rest.subarray(HEAD_BYTES + head.length)
      }
      this.#wake()
    })
  }
  pack(headers: Record<string, string>): Promise<Buffer> {
    return new Promise((resolve) => {
      const parts: Buffer[] = []
      const take = (part: Buffer): number => parts.push(part)
      this.#deflate.on('data', take)
      this.#deflate.write(writePairs(headers), () => {
        this.#deflate.off('data', take)
        resolve(Buffer.concat(parts))
      })
    })
  }
  async open(id: number, headers: Record<string, string>, fin = false): Promise<void> {
    this.socket.write(synStream(id, await this.pack(headers), fin))
  }
  send(id: number, text: string, fin = false): void {
    for (const frame of dataFrames(id, Buffer.from(text), fin)) this.socket.write(frame)
  }
  async until(found: () => boolean): Promise<void> {
    while (!found() && !this.closed) await new Promise<void>((resolve) => (this.#wake = resolve))
    assert.ok(found(), 'the connection closed before it came')
  }
  said(id: number): string {
    return Buffer.concat(this.frames.filter(({ head }) => !head.control && head.stream === id).map(({ body }) => body)).toString()
  }
  ended(id: number): boolean {
    return this.frames.some(({ head }) => !head.control && head.stream === id && (head.flags & FLAG_FIN) !== 0)
  }
  controls(type: number): Buffer[] {
    return this.frames.filter(({ head }) => head.control && head.type === type).map(({ body }) => body)
  }
}

const connected = (
  onStream: (stream: SpdyStream) => void
): { client: Client; ended: Promise<Error | undefined>; connection: SpdyConnection } => {
  const [near, far] = duplexPair()
  let end: (error?: Error) => void = () => {}
  const ended = new Promise<Error | undefined>((resolve) => (end = resolve))
  const connection = new SpdyConnection(near, { onStream, onEnd: (error) => end(error) })
  const client = new Client(far)
  client.listen()
  return { client, ended, connection }
}

const echo = (stream: SpdyStream): void =>
  void (async () => {
    for await (const chunk of stream.input) await stream.write(chunk)
    await stream.end(Buffer.from('!'))
  })().catch(() => {})

const spdy = suite('SPDY/3.1')

spdy('knows the dictionary of the specification', () => {
  assert.is(createHash('sha256').update(DICTIONARY).digest('hex'), '51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02')
})

spdy('opens streams, answers them, and carries data both ways until both ends are done', async () => {
  const opened: Record<string, string>[] = []
  const { client } = connected((stream) => {
    opened.push({ ...stream.headers })
    echo(stream)
  })
  await client.open(1, { streamType: 'stdin' })
  await client.open(3, { streamtype: 'stdout', port: '80' })
  client.send(1, 'hello ')
  client.send(3, 'other')
  client.send(1, 'world', true)
  client.send(3, '', true)
  await client.until(() => client.ended(1) && client.ended(3))
  assert.equal(opened, [{ streamtype: 'stdin' }, { streamtype: 'stdout', port: '80' }])
  assert.is(client.said(1), 'hello world!')
  assert.is(client.said(3), 'other!')
  assert.equal(
    client.controls(TYPE.synReply).map((body) => body.readUInt32BE(0)),
    [1, 3]
  )
})

spdy('takes frames however they are cut', async () => {
  const { client } = connected(echo)
  const bytes = Buffer.concat([synStream(1, await client.pack({ streamtype: 'stdin' })), ...dataFrames(1, Buffer.from('in pieces'), true)])
  for (const byte of bytes) client.socket.write(Buffer.of(byte))
  await client.until(() => client.ended(1))
  assert.is(client.said(1), 'in pieces!')
})

spdy('takes a stream that ends as it begins', async () => {
  const { client } = connected(echo)
  await client.open(1, { streamtype: 'x' }, true)
  await client.until(() => client.ended(1))
  assert.is(client.said(1), '!')
})

spdy('cuts what is longer than a frame', () => {
  const frames = dataFrames(5, Buffer.alloc(0x100_0001), true)
  const heads = frames.filter((_, at) => at % 2 === 0).map(readHead)
  assert.equal(
    heads.map(({ length, flags }) => [length, flags]),
    [
      [0xff_ffff, 0],
      [2, FLAG_FIN]
    ]
  )
})

spdy("answers the client's pings, and refuses data for a stream that never was", async () => {
  const { client } = connected(echo)
  client.socket.write(ping(7))
  client.socket.write(ping(8))
  client.send(9, 'lost')
  await client.until(() => client.controls(TYPE.rstStream).length === 1)
  assert.equal(
    client.controls(TYPE.ping).map((body) => body.readUInt32BE(0)),
    [7]
  )
  assert.equal([...(client.controls(TYPE.rstStream)[0] as Buffer)], [0, 0, 0, 9, 0, 0, 0, 2])
})

spdy('lets a stream go that the client resets, and keeps the others', async () => {
  const streams: SpdyStream[] = []
  const { client } = connected((stream) => {
    streams.push(stream)
    echo(stream)
  })
  await client.open(1, {})
  await client.open(3, {})
  client.socket.write(rstStream(1, 5))
  client.send(3, 'still here', true)
  await client.until(() => client.ended(3))
  assert.is(client.said(3), 'still here!')
  await (streams[0] as SpdyStream).write(Buffer.from('late'))
  assert.is(client.said(1), '')
})

spdy('reads no further while a reader is behind', async () => {
  let stream: SpdyStream | undefined
  const { client } = connected((opened) => (stream = opened))
  await client.open(1, {})
  await client.until(() => client.controls(TYPE.synReply).length === 1)
  const chunk = 'x'.repeat(256 * 1024)
  let sent = 0
  const full = new Promise<void>((resolve) => {
    const more = (): void => {
      for (; sent < 64; sent++) {
        if (!client.socket.write(Buffer.concat(dataFrames(1, Buffer.from(chunk), sent === 63)))) {
          sent += 1
          client.socket.once('drain', more)
          setImmediate(resolve)
          return
        }
      }
    }
    more()
  })
  await full
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(sent < 12, `${sent} of 64 pieces went out though nobody reads`)
  let size = 0
  for await (const piece of (stream as SpdyStream).input) size += piece.length
  assert.is(size, 64 * chunk.length)
})

spdy('keeps no answers for a client that sends and never reads', async () => {
  const [ours, theirs] = duplexPair()
  new SpdyConnection(theirs, { onStream: (stream) => stream.reset(), onEnd: () => {} })
  const client = new Client(ours)
  const frames: Buffer[] = []
  for (let id = 1; id < 200; id += 2) frames.push(synStream(id, await client.pack({ streamtype: 'x' })))
  // Twice as many bytes go back as came.
  for (let id = 0; id < 100_000; id++) frames.push(...dataFrames(1_000_001, Buffer.alloc(0), true))
  const bytes = Buffer.concat(frames)
  for (let at = 0; at < bytes.length; at += 65_536) ours.write(bytes.subarray(at, at + 65_536))
  for (let turn = 0; turn < 20_000 && theirs.writableLength < 256 * 1024; turn++)
    await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(theirs.writableLength < 256 * 1024, `${theirs.writableLength} bytes wait for who does not read`)
  ours.destroy()
})

spdy('counts what a piece takes, not only its bytes', async () => {
  const { client } = connected(() => {})
  await client.open(1, {})
  await client.until(() => client.controls(TYPE.synReply).length === 1)
  const bytes = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.concat(dataFrames(1, Buffer.from('x'), false))))
  for (let at = 0; at < bytes.length; at += 65_536) client.socket.write(bytes.subarray(at, at + 65_536))
  for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(
    client.socket.writableLength > 500_000,
    `all but ${client.socket.writableLength} bytes of a hundred thousand pieces were taken though nobody reads`
  )
  client.socket.destroy()
})

const refusesBytes = async (bytes: Buffer, words: RegExp): Promise<void> => {
  const { client, ended } = connected(echo)
  client.socket.write(bytes)
  const error = await ended
  assert.match(error?.message ?? '', words)
  assert.is(client.controls(TYPE.goAway).length, 1)
}

spdy('ends a connection that breaks the rules, and says so', async () => {
  const packed = (block: Buffer): Buffer => deflateSync(block, { dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH })
  await refusesBytes(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]), /version 2/)
  await refusesBytes(Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0, 0]), /too long/)
  await refusesBytes(Buffer.from([0x80, 3, 0, 3, 0, 0, 0, 2, 0, 0]), /ends early/)
  await refusesBytes(synStream(2, packed(writePairs({}))), /can't be opened/)
  await refusesBytes(synStream(1, Buffer.from('no zlib at all')), /can't be read/)
  await refusesBytes(synStream(1, packed(Buffer.from([0, 0, 0, 9]))), /ends early/)
  // A block that unpacks to a thousandfold.
  await refusesBytes(synStream(1, packed(Buffer.alloc(10_000_000))), /longer than/)
})

spdy('takes no more streams than it has room for', async () => {
  const { client } = connected(() => {})
  for (let id = 1; id <= 2_001; id += 2) await client.open(id, {})
  await client.until(() => client.controls(TYPE.rstStream).length === 1)
  assert.equal([...(client.controls(TYPE.rstStream)[0] as Buffer)].slice(4), [0, 0, 0, 3])
})

spdy('tells every stream when the connection ends', async () => {
  const errors: string[] = []
  const { client, ended } = connected(
    (stream) =>
      void (async () => {
        for await (const chunk of stream.input) void chunk
      })().catch((error: Error) => errors.push(error.message))
  )
  await client.open(1, {})
  await client.until(() => client.controls(TYPE.synReply).length === 1)
  client.socket.destroy()
  await ended
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.equal(errors, ['the connection ended'])
})

/** A container that gives back what it gets, and ends with 3. */
const session = (): ExecSession & { readonly sizes: [number, number][]; readonly closed: Promise<void> } => {
  let closed: () => void
  let out: (output: 'stdout' | 'stderr', data: Uint8Array) => Promise<void>
  let exit: (result: { readonly code: number }) => void
  const made = {
    sizes: [] as [number, number][],
    closed: new Promise<void>((resolve) => (closed = resolve)),
    start: ({ onOutput, onExit }: Parameters<ExecSession['start']>[0]) => {
      out = onOutput
      exit = onExit
    },
    write: (data: Uint8Array) => out('stdout', data),
    closeStdin: () => Promise.resolve(exit({ code: 3 })),
    resize: (width: number, height: number) => Promise.resolve(void made.sizes.push([width, height])),
    close: () => closed()
  }
  return made as unknown as ReturnType<typeof session>
}

const joined = (
  options: Parameters<typeof joinSpdy>[3]
): { client: Client; session: ReturnType<typeof session>; greeting: Promise<string> } => {
  const [near, far] = duplexPair()
  const made = session()
  const client = new Client(far)
  const greeting = new Promise<string>((resolve) =>
    far.once('data', (chunk: Buffer) => {
      resolve(chunk.toString())
      client.listen()
    })
  )
  joinSpdy(near, Buffer.alloc(0), made, options)
  return { client, session: made, greeting }
}

spdy('joins a command: input, output, and how it ended', async () => {
  const { client, session: made, greeting } = joined({ stdin: true, stdout: true, stderr: true, tty: false })
  assert.match(await greeting, /^HTTP\/1\.1 101 .*\r\n(.*\r\n)*X-Stream-Protocol-Version: v4\.channel\.k8s\.io\r\n/)
  for (const [at, streamtype] of ['error', 'stdin', 'stdout', 'stderr'].entries()) await client.open(2 * at + 1, { streamtype })
  client.send(1, '', true)
  client.send(3, 'typed', true)
  await client.until(() => client.ended(1) && client.ended(5) && client.ended(7))
  assert.is(client.said(5), 'typed')
  assert.is((JSON.parse(client.said(1)) as { reason: string }).reason, 'NonZeroExitCode')
  client.socket.end()
  await made.closed
})

spdy('joins a terminal: its sizes come one after another, in any pieces', async () => {
  const { client, session: made, greeting } = joined({ stdin: true, stdout: true, stderr: true, tty: true })
  await greeting
  for (const [at, streamtype] of ['error', 'stdin', 'stdout', 'resize'].entries()) await client.open(2 * at + 1, { streamtype })
  client.send(7, '{"Width":80,"Height":24}\n{"Wid')
  client.send(7, 'th":100,"Height":40}')
  client.send(3, 'x', true)
  await client.until(() => client.ended(1))
  assert.equal(made.sizes, [
    [80, 24],
    [100, 40]
  ])
})

spdy('refuses a channel the command does not have, and hangs up on a size that is none', async () => {
  const { client, session: made, greeting } = joined({ stdin: false, stdout: true, stderr: false, tty: true })
  await greeting
  await client.open(1, { streamtype: 'stdin' })
  await client.until(() => client.controls(TYPE.rstStream).length === 1)
  for (const [at, streamtype] of ['error', 'stdout', 'resize'].entries()) await client.open(2 * at + 3, { streamtype })
  client.send(7, 'x'.repeat(5_000))
  await made.closed
})

spdy.run()
