/**
 * Writing entries back into a new stream, each at the sequence it had. Sequences nobody has any more are stepped over: the
 * server counts only what it stores, so an empty entry is stored for each and taken away at the end.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { JetStreamManager } from '@nats-io/jetstream'
import { headers as newHeaders, type NatsConnection } from '@nats-io/transport-node'
import { headersAgain } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'

/** In flight before it is asked whether all of it is stored: entries, and their bytes. */
const AT_ONCE = 1_000
const AT_ONCE_BYTES = 4 * 1024 * 1024
const TIMEOUT_MS = 60_000
const TRIES = 1_000
const TRY_MS = 10
const NOTHING = new Uint8Array()
const encoder = new TextEncoder()

/** A subject of the stream that no object has. */
const GAP: Readonly<Record<string, string>> = {
  EVENTS: 'ev.reckon%2Eio.restore._.gap',
  NOTICES: 'notice.reckon%2Eio.restore._.gap',
  PULSE: 'pulse.object.reckon%2Eio.restore._.gap',
  AUDIT: 'audit.reckon%2Eio.restore.gap',
  KEYS: 'key.reckon%2Eio-restore-gap'
}

export class StreamWriter {
  readonly #nats: NatsConnection
  readonly #jsm: JetStreamManager
  readonly #stream: string
  readonly #onProgress: (sequence: number) => void
  #next: number
  #waiting = 0
  #bytes = 0
  #gaps = false

  /** `next`: the sequence the stream gives out first. */
  constructor(
    nats: NatsConnection,
    jsm: JetStreamManager,
    stream: string,
    next: number,
    onProgress: (sequence: number) => void = () => {}
  ) {
    this.#nats = nats
    this.#jsm = jsm
    this.#stream = stream
    this.#next = next
    this.#onProgress = onProgress
  }
  get next(): number {
    return this.#next
  }
  async write(entry: LogEntry): Promise<void> {
    await this.skipTo(entry.sequence)
    const headers = newHeaders()
    for (const [name, value] of Object.entries(headersAgain(entry.headers))) headers.set(name, value)
    await this.#store(entry.subject, encoder.encode(entry.text), headers)
  }
  /** The next entry gets this sequence. */
  async skipTo(sequence: number): Promise<void> {
    if (sequence < this.#next) throw new Error(`${this.#stream}: entry ${sequence} comes after ${this.#next - 1}`)
    while (this.#next < sequence) {
      this.#gaps = true
      await this.#store(GAP[this.#stream] as string, NOTHING, undefined)
    }
  }
  async #store(subject: string, data: Uint8Array, headers: ReturnType<typeof newHeaders> | undefined): Promise<void> {
    const sequence = this.#next
    this.#next += 1
    this.#waiting += 1
    this.#bytes += data.length
    const options = headers === undefined ? {} : { headers }
    if (this.#waiting < AT_ONCE && this.#bytes < AT_ONCE_BYTES) return this.#nats.publish(subject, data, options)
    // Sequences follow on each other: when this one is what it must be, all before it are stored.
    const { seq, error } = (await this.#nats.request(subject, data, { ...options, timeout: TIMEOUT_MS })).json<{
      seq?: number
      error?: { description: string }
    }>()
    if (seq !== sequence)
      throw new Error(
        `${this.#stream}: the entry ${sequence} was stored as ${seq ?? 'none'}${error === undefined ? '' : `: ${error.description}`}`
      )
    ;[this.#waiting, this.#bytes] = [0, 0]
    this.#onProgress(sequence)
  }
  /** Everything is stored: returns when that is so, and what stood in the gaps is gone. */
  async end(): Promise<void> {
    await this.#nats.flush()
    // The server has it all; whether it is stored, nobody was told of the last ones.
    for (let tries = 0; ; tries++) {
      const { last_seq: last } = (await this.#jsm.streams.info(this.#stream)).state
      if (last === this.#next - 1) break
      if (last >= this.#next || tries >= TRIES) throw new Error(`${this.#stream}: ends at ${last}, and not at ${this.#next - 1}`)
      await wait(TRY_MS)
    }
    if (this.#gaps) await this.#jsm.streams.purge(this.#stream, { filter: GAP[this.#stream] as string })
  }
}
