/**
 * Long answers as slices: buffers of some ten KiB that are made when the client has taken the one before. Nothing that is
 * sent is ever one string, and what is shared between readers (the objects' texts) stays shared.
 */
import { Buffer } from 'node:buffer'
import { pipeline, Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import type { Entry } from '#projections/Objects.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Listing } from '#services/apiserver/time-travel/Listing.ts'
import type { Part } from '#services/apiserver/verbs/read.ts'
import { BREATHE, breathe } from './breathe.ts'

/** What a client may have waiting in this process, more or less: one slice. */
export const SLICE = 64 * 1024

/** A reader that is not done after this long gives its list's objects up for their places in the log. */
const HELD_MS = 5_000

/** Collects texts and gives them back as buffers. */
export class Packer {
  #parts: string[] = []
  #size = 0

  add(text: string): void {
    this.#parts.push(text)
    this.#size += text.length
  }
  get full(): boolean {
    return this.#size >= SLICE
  }
  get empty(): boolean {
    return this.#size === 0
  }
  /** What there is, or a slice of it when there is much more: a single text may be megabytes. */
  take(): Buffer {
    let text = this.#parts.join('')
    if (text.length > 2 * SLICE) {
      const at = cut(text, SLICE)
      this.#parts = [text.slice(at)]
      text = text.slice(0, at)
    } else this.#parts = []
    this.#size -= text.length
    return Buffer.from(text)
  }
  /** Everything, slice by slice. */
  *all(): Generator<Buffer> {
    while (!this.empty) yield this.take()
  }
}

/** Where a text may be cut at or shortly before `at`: never inside a surrogate pair. */
const cut = (text: string, at: number): number => {
  if (at >= text.length) return text.length
  const unit = text.charCodeAt(at)
  return unit >= 0xdc00 && unit <= 0xdfff && at > 0 ? at + 1 : at
}

export function* textSlices(text: string): Generator<Buffer> {
  for (let from = 0; from < text.length;) {
    const to = cut(text, from + SLICE)
    yield Buffer.from(text.slice(from, to))
    from = to
  }
}

export function* byteSlices(bytes: Uint8Array): Generator<Buffer> {
  const shared = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let from = 0; from < shared.length; from += SLICE) yield shared.subarray(from, from + SLICE)
}

export interface Shown {
  readonly head: string
  readonly between: string
  readonly tail: string
  item(entry: Entry): string
}

export async function* listingSlices(part: Part, shown: Shown, clock: Clock): AsyncGenerator<Buffer> {
  const { matches } = part
  const packer = new Packer()
  packer.add(shown.head)
  const begun = clock.now()
  let held = true
  let first = true
  for (let index = part.from; index < part.to; index++) {
    if (index % BREATHE === 0) await breathe()
    const found = part.listing.at(index)
    const entry = found instanceof Promise ? await found : found
    if (matches !== undefined && !matches(entry)) continue
    if (!first) packer.add(shown.between)
    first = false
    packer.add(shown.item(entry))
    while (packer.full) {
      yield packer.take()
      if (held && clock.now() - begun > HELD_MS) {
        held = false
        part.listing = part.listing.released()
      }
    }
  }
  packer.add(shown.tail)
  yield* packer.all()
}

/** The same compressed. What is compressed waits with its reader, too: zlib is given a slice when it has room for it. */
export async function* gzipped(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // Half of zlib's usual windows: 128 KiB per reader, and the texts repeat themselves within a few KiB.
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, windowBits: 14, memLevel: 7, chunkSize: SLICE / 2 })
  // An error of the source destroys the stream, and is thrown where it is read.
  pipeline(Readable.from(slices, { objectMode: false, highWaterMark: SLICE }), gzip, () => {})
  for await (const packed of gzip) yield packed as Buffer
}

/** What was read already, then the rest. */
export async function* resumed(first: Buffer[], rest: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer> {
  for (let next = first.shift(); next !== undefined; next = first.shift()) yield next
  yield* rest
}
