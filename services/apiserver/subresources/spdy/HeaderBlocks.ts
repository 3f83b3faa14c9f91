/** Compressed header blocks: one zlib stream per direction for the whole life of a connection, so blocks are taken in order. */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'
import { DICTIONARY } from './dictionary.ts'
import { ProtocolError, readPairs, writePairs } from './frames.ts'

/** Of a block, unpacked: a few names and numbers. A thousandfold of what was sent would fit in a frame. */
const LARGEST = 64 * 1024

/** Turns blocks into others through one zlib stream, one after another. */
class Blocks {
  readonly #zlib: Inflate | Deflate
  #out: Buffer[] = []
  #size = 0
  #failed: Error | undefined
  #fail: (error: Error) => void = () => {}

  constructor(zlib: Inflate | Deflate, limit: number) {
    this.#zlib = zlib
    zlib.on('data', (chunk: Buffer) => {
      this.#out.push(chunk)
      this.#size += chunk.length
      if (this.#size > limit) this.#end(new ProtocolError(`a header block is longer than ${limit} bytes`))
    })
    zlib.on('error', (error) => this.#end(error))
  }
  #end(error: Error): void {
    if (this.#failed !== undefined) return
    this.#failed = error
    this.#fail(error)
    this.#zlib.destroy()
  }
  through(block: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failed !== undefined) return reject(this.#failed)
      this.#fail = reject
      this.#zlib.write(block, (error) => {
        if (error !== undefined && error !== null) return this.#end(error)
        if (this.#failed !== undefined) return
        const out = Buffer.concat(this.#out)
        this.#out = []
        this.#size = 0
        resolve(out)
      })
    })
  }
  close(): void {
    this.#end(new Error('the connection ended'))
  }
}

export class HeaderBlocks {
  readonly #in = new Blocks(createInflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH }), LARGEST)
  readonly #out = new Blocks(createDeflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH }), Number.POSITIVE_INFINITY)

  /** Rejects for a block that can't be read. To be called in the order the blocks came. */
  async read(block: Buffer): Promise<Record<string, string>> {
    try {
      return readPairs(await this.#in.through(block))
    } catch (error) {
      throw error instanceof ProtocolError ? error : new ProtocolError(`a header block can't be read: ${(error as Error).message}`)
    }
  }
  /** To be sent in the order they were made. */
  write(pairs: Readonly<Record<string, string>>): Promise<Buffer> {
    return this.#out.through(writePairs(pairs))
  }
  close(): void {
    this.#in.close()
    this.#out.close()
  }
}
