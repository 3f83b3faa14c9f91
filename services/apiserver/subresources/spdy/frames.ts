/**
 * The frames of SPDY/3.1 as bytes (its specification, section 2.2): what remotecommand and port forwarding send and answer. Plain
 * functions of bytes; compression of headers and the life of streams are elsewhere.
 */

export const TYPE = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const
export const FLAG_FIN = 1
export const STATUS = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5, streamInUse: 8, streamAlreadyClosed: 9 } as const
const VERSION = 3
export const HEAD_BYTES = 8
/** Of a frame; three bytes say it. */
const LENGTH_MAX = 0xff_ffff

export type Head =
  | { readonly control: false; readonly stream: number; readonly flags: number; readonly length: number }
  | { readonly control: true; readonly version: number; readonly type: number; readonly flags: number; readonly length: number }

/** The first eight bytes of a frame. */
export const readHead = (bytes: Buffer): Head => {
  const first = bytes.readUInt32BE(0)
  const flags = bytes.readUInt8(4)
  const length = bytes.readUIntBE(5, 3)
  if (first >>> 31 === 0) return { control: false, stream: first, flags, length }
  return { control: true, version: (first >>> 16) & 0x7fff, type: first & 0xffff, flags, length }
}

const head = (first: number, flags: number, length: number): Buffer => {
  const bytes = Buffer.alloc(HEAD_BYTES)
  bytes.writeUInt32BE(first >>> 0, 0)
  bytes.writeUInt8(flags, 4)
  bytes.writeUIntBE(length, 5, 3)
  return bytes
}

const control = (type: number, flags: number, body: Buffer): Buffer =>
  Buffer.concat([head(0x8000_0000 + VERSION * 0x1_0000 + type, flags, body.length), body])

const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, at) => bytes.writeUInt32BE(value >>> 0, 4 * at))
  return bytes
}

/** One frame, or several for what is longer than a frame can be; none for nothing that ends nothing. */
export const dataFrames = (stream: number, data: Uint8Array, fin: boolean): Buffer[] => {
  const frames: Buffer[] = []
  for (let at = 0; at < data.length || (fin && frames.length === 0); at += LENGTH_MAX) {
    const part = data.subarray(at, at + LENGTH_MAX)
    frames.push(
      head(stream, fin && at + LENGTH_MAX >= data.length ? FLAG_FIN : 0, part.length),
      Buffer.from(part.buffer, part.byteOffset, part.length)
    )
  }
  return frames
}

export const synStream = (stream: number, block: Buffer, fin = false): Buffer =>
  control(TYPE.synStream, fin ? FLAG_FIN : 0, Buffer.concat([words(stream, 0), Buffer.alloc(2), block]))
export const synReply = (stream: number, block: Buffer): Buffer => control(TYPE.synReply, 0, Buffer.concat([words(stream), block]))
export const rstStream = (stream: number, status: number): Buffer => control(TYPE.rstStream, 0, words(stream, status))
export const ping = (id: number): Buffer => control(TYPE.ping, 0, words(id))
export const goAway = (last: number, status: number): Buffer => control(TYPE.goAway, 0, words(last, status))

/** What stands before the header block of a SYN_STREAM. */
export const SYN_STREAM_BYTES = 10

/** Bytes that are no SPDY/3.1, or more than is taken: the connection ends. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** Name and value pairs; names lower-case. Throws ProtocolError for a block that says more than it holds. */
export const readPairs = (block: Buffer): Record<string, string> => {
  const pairs: Record<string, string> = Object.create(null) as Record<string, string>
  let at = 0
  const count = (): number => {
    if (at + 4 > block.length) throw new ProtocolError('a header block ends early')
    at += 4
    return block.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const length = count()
    if (at + length > block.length) throw new ProtocolError('a header block ends early')
    at += length
    return block.toString('utf8', at - length, at)
  }
  for (let left = count(); left > 0; left--) {
    const name = text().toLowerCase()
    pairs[name] = text()
  }
  return pairs
}

export const writePairs = (pairs: Readonly<Record<string, string>>): Buffer => {
  const entries = Object.entries(pairs)
  const texts = entries.flat().flatMap((text) => [words(Buffer.byteLength(text)), Buffer.from(text)])
  return Buffer.concat([words(entries.length), ...texts])
}
