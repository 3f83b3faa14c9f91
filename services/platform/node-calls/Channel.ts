/**
 * A byte channel between the API server and an agent over NATS, with credit: a sender may have at most `WINDOW` bytes
 * on the way, so that a slow reader holds up its writer instead of filling the server's buffers.
 *
 * Frames are one byte of kind and the payload. NATS keeps the order of one publisher's messages on one subject.
 */
import type { NatsConnection, Subscription } from '@nats-io/transport-node'

export const KIND = { stdin: 0, stdout: 1, stderr: 2, exit: 3, resize: 4, closeStdin: 5, close: 6, credit: 9 } as const
export type FrameKind = (typeof KIND)[keyof typeof KIND]

const WINDOW = 512 * 1024
const LARGEST = 64 * 1024
const COUNTED = new Set<number>([KIND.stdin, KIND.stdout, KIND.stderr])
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface ChannelHandlers {
  /** Awaited before the next frame: that is what gives the other side its credit back. */
  readonly onFrame: (kind: FrameKind, payload: Uint8Array) => Promise<void> | void
  readonly onError: (error: unknown) => void
}

export class Channel {
  readonly #connection: NatsConnection
  readonly #out: string
  readonly #subscription: Subscription
  #credit = WINDOW
  #waiting: (() => void)[] = []
  #closed = false

  /** `incoming` and `outgoing` are the two subjects of the session, named from this side. */
  constructor(connection: NatsConnection, incoming: string, outgoing: string, handlers: ChannelHandlers) {
    this.#connection = connection
    this.#out = outgoing
    this.#subscription = connection.subscribe(incoming)
    void this.#read(handlers).catch(handlers.onError)
  }
  async #read(handlers: ChannelHandlers): Promise<void> {
    for await (const message of this.#subscription) {
      const kind = message.data[0] as FrameKind
      const payload = message.data.subarray(1)
      if (kind === KIND.credit) {
        this.#credit += Number(decoder.decode(payload))
        const waiting = this.#waiting
        this.#waiting = []
        for (const resume of waiting) resume()
        continue
      }
      await handlers.onFrame(kind, payload)
      if (COUNTED.has(kind)) this.#publish(KIND.credit, encoder.encode(String(payload.length)))
      if (this.#closed) return
    }
  }
  async send(kind: FrameKind, payload: Uint8Array = new Uint8Array()): Promise<void> {
    if (!COUNTED.has(kind)) return this.#publish(kind, payload)
    for (let at = 0; at < payload.length; at += LARGEST) {
      const part = payload.subarray(at, at + LARGEST)
      while (this.#credit < part.length && !this.#closed) await new Promise<void>((resume) => void this.#waiting.push(resume))
      if (this.#closed) return
      this.#credit -= part.length
      this.#publish(kind, part)
    }
  }
  sendJson(kind: FrameKind, value: unknown): Promise<void> {
    return this.send(kind, encoder.encode(JSON.stringify(value)))
  }
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#subscription.unsubscribe()
    for (const resume of this.#waiting) resume()
    this.#waiting = []
  }
  #publish(kind: FrameKind, payload: Uint8Array): void {
    if (this.#connection.isClosed()) return
    const frame = new Uint8Array(payload.length + 1)
    frame[0] = kind
    frame.set(payload, 1)
    this.#connection.publish(this.#out, frame)
  }
}

export const jsonOf = <Value>(payload: Uint8Array): Value => JSON.parse(decoder.decode(payload)) as Value

/** The subjects of a session: the API server listens on `up`, the agent on `down`. */
export const sessionSubjects = (nodeToken: string, session: string): { readonly up: string; readonly down: string } => ({
  up: `stream.${nodeToken}.${session}.up`,
  down: `stream.${nodeToken}.${session}.down`
})
