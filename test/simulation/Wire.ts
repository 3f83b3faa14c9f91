/** The way of an answer to its client: later, in order, until it breaks. */
import { Writable } from 'node:stream'
import type { Process } from './Process.ts'
import type { VirtualClock } from './VirtualClock.ts'

/** An answer on its way over a network: what is written arrives later, in order, until the connection breaks. */
export class Wire extends Writable {
  socket = null
  readonly #clock: VirtualClock
  readonly #server: Process
  readonly #onText: (text: string) => void
  #arrives = 0
  #cut = false

  /** `server`: told that there is room again only while it runs. */
  constructor(clock: VirtualClock, server: Process, onText: (text: string) => void) {
    super({ highWaterMark: 16 * 1024 })
    this.#clock = clock
    this.#server = server
    this.#onText = onText
  }
  writeHead(): void {}
  flushHeaders(): void {}
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.#arrives = Math.max(this.#arrives, this.#clock.now() + this.#clock.random() * 50)
    this.#clock.after(this.#arrives - this.#clock.now(), () => {
      if (this.#cut) return
      this.#onText(chunk.toString())
      this.#server.enter(() => done())
    })
  }
  /** What is on its way is lost. */
  cut(): void {
    this.#cut = true
    this.destroy()
  }
}
