/**
 * Entries of the log as they were followed, some dozens compressed together, so that a list of the past is read from beside its index.
 *
 * nats-server reads a block of megabytes for each entry that is not in its memory, and the objects of a moment lie all over the log: a
 * page of 500 took seconds. Compressed one by one the entries would take several times the room that they take together. An entry is
 * whole in it, with its seal, so that whoever reads it here checks what would be checked of the log's.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { LogEntry } from '#events/Log.ts'

/** Of text in one: twice as much is a fifth smaller on disk, and takes twice as long to open for one entry (20 µs). */
export const PACK_BYTES = 16 * 1024
/** An entry's headers, about. */
const HEADERS = 512

export const sizeOf = ({ text }: Pick<LogEntry, 'text'>): number => text.length + HEADERS

/** Where an entry is: its sequence, the bytes of what stands around its body, and of its body. */
type Slot = readonly [sequence: number, envelope: number, body: number]

/** A window of a pack's size: opening one takes half as long as with zstd's usual one, most of which is making room for it. */
const PARAMS = {
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_windowLog]: 14 }
}
/** Most come out in one piece. */
const PIECE = 2 * PACK_BYTES

/** `entries`: in the order of their sequences. */
export const packOf = (entries: readonly LogEntry[]): Uint8Array => {
  const slots: Slot[] = []
  const parts: Buffer[] = []
  for (const { sequence, subject, headers, text, time } of entries) {
    const [envelope, body] = [Buffer.from(JSON.stringify([subject, time, headers])), Buffer.from(text)]
    slots.push([sequence, envelope.length, body.length])
    parts.push(envelope, body)
  }
  return zstdCompressSync(Buffer.concat([Buffer.from(`${JSON.stringify(slots)}\n`), ...parts]), PARAMS)
}

/** One that is open. */
export class Pack {
  readonly bytes: number
  readonly #all: Buffer
  readonly #at = new Map<number, readonly [from: number, slot: Slot]>()

  /** Throws for what is no pack. */
  constructor(packed: Uint8Array) {
    const all = zstdDecompressSync(packed, { chunkSize: PIECE })
    const head = all.indexOf('\n')
    let from = head + 1
    for (const slot of JSON.parse(all.toString('utf8', 0, head)) as readonly Slot[]) {
      this.#at.set(slot[0], [from, slot])
      from += slot[1] + slot[2]
    }
    this.#all = all
    this.bytes = all.length
  }
  get sequences(): readonly number[] {
    return [...this.#at.keys()]
  }
  get(sequence: number): LogEntry | undefined {
    const found = this.#at.get(sequence)
    if (found === undefined) return undefined
    const [from, [, envelope, body]] = found
    const [subject, time, headers] = JSON.parse(this.#all.toString('utf8', from, from + envelope)) as [string, number, LogEntry['headers']]
    return { subject, sequence, headers, text: this.#all.toString('utf8', from + envelope, from + envelope + body), time }
  }
}
