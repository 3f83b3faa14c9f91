/** What came for a reader that takes its time: an async iterable with room for so many bytes; who brings more waits. */

/** What a piece takes besides its bytes: a client may send them one by one, and a Buffer is a hundred times a byte. */
const PER_CHUNK = 256

const costOf = (chunk: Buffer): number => chunk.length + PER_CHUNK

export class Inbox implements AsyncIterable<Buffer> {
  readonly #room: number
  #chunks: Buffer[] = []
  #bytes = 0
  #over = false
  #error: Error | undefined
  #wake: () => void = () => {}
  #space: () => void = () => {}

  constructor(room: number) {
    this.#room = room
  }
  /** Resolves when there is room for more. */
  push(chunk: Buffer): Promise<void> {
    if (this.#over || chunk.length === 0) return Promise.resolve()
    this.#chunks.push(chunk)
    this.#bytes += costOf(chunk)
    this.#wake()
    return this.#bytes <= this.#room ? Promise.resolve() : new Promise((resolve) => (this.#space = resolve))
  }
  /** No more comes; with an error, what was not taken yet is gone. */
  end(error?: Error): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    if (error !== undefined) this.#chunks = []
    this.#wake()
    this.#space()
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift()
        if (chunk !== undefined) {
          this.#bytes -= costOf(chunk)
          if (this.#bytes <= this.#room) this.#space()
          yield chunk
        } else if (this.#error !== undefined) throw this.#error
        else if (this.#over) return
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      // Nobody reads any more: what still comes is let go.
      this.end()
      this.#chunks = []
      this.#bytes = 0
      this.#space()
    }
  }
}
