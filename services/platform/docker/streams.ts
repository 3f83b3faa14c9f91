/** Docker's multiplexed output: frames of an eight-byte header (stream, length) and a payload. */
import type { Duplex, Readable } from 'node:stream'
import type { ExecSession } from '#services/platform/NodeLink.ts'

export type Piece = { readonly channel: 'stdout' | 'stderr'; readonly data: Uint8Array }

const HEADER = 8

/** The payloads in order; pulls from the stream only as fast as it is read. With `tty` there are no frames. */
export async function* pieces(stream: Readable, tty: boolean): AsyncGenerator<Piece> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (tty) {
      yield { channel: 'stdout', data: chunk }
      continue
    }
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let at = 0
    while (held.length - at >= HEADER) {
      const length = held.readUInt32BE(at + 4)
      if (held.length - at < HEADER + length) break
      yield { channel: held[at] === 2 ? 'stderr' : 'stdout', data: held.subarray(at + HEADER, at + HEADER + length) }
      at += HEADER + length
    }
    held = held.subarray(at)
  }
}

/** A hijacked connection as a session. `finish` tells how it ended, once the output is over. */
export const sessionOf = (
  stream: Duplex,
  tty: boolean,
  resize: (width: number, height: number) => Promise<void>,
  finish: () => Promise<number>
): ExecSession => {
  let closed = false
  // A connection that breaks shows in the reading loop; without a listener it would end the process.
  stream.on('error', () => {})
  return {
    write: (data) =>
      new Promise((resolve, reject) => {
        if (closed || stream.writableEnded || stream.destroyed) return resolve()
        stream.write(data, (error) => (error === null || error === undefined || closed || stream.destroyed ? resolve() : reject(error)))
      }),
    closeStdin: async () => {
      if (!stream.writableEnded) stream.end()
    },
    resize,
    close: () => {
      closed = true
      stream.destroy()
    },
    start: ({ onOutput, onExit }) => {
      const read = async (): Promise<void> => {
        for await (const { channel, data } of pieces(stream, tty)) await onOutput(channel, data)
        onExit({ code: await finish() })
      }
      read().catch((error: unknown) =>
        onExit({ error: closed ? 'the session was closed' : error instanceof Error ? error.message : String(error) })
      )
    }
  }
}
