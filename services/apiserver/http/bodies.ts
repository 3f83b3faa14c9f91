/** Reading request bodies: each bounded in size and time, all of them together in bytes. */
import type { IncomingMessage } from 'node:http'
import type { UserInfo } from '#events/Intent.ts'
import { badRequest, Refusal, tooLarge } from '#events/Refusal.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Gate, Place } from './limits.ts'

/** As upstream's default. */
export const LARGEST_BODY = 3 * 1024 * 1024

/** Reads one request's body. Its bytes count against the limit until `release`, for what is made of them lives as long. */
export class BodyReader implements Place {
  readonly #gate: Gate
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #user: UserInfo
  readonly #places: Place[] = []

  constructor(options: { readonly gate: Gate; readonly clock: Clock; readonly timeoutMs: number; readonly user: UserInfo }) {
    this.#gate = options.gate
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs
    this.#user = options.user
  }
  /** Rejects with 413, 408, 429, or 400 when the client goes away. */
  async read(request: IncomingMessage): Promise<Buffer> {
    const told = Number(request.headers['content-length'] ?? 0)
    if (told > LARGEST_BODY) throw tooLarge(`Request entity too large: limit is ${LARGEST_BODY}`)
    let counted = 0
    const count = (size: number): void => {
      if (size <= counted) return
      this.#places.push(this.#gate.enter('bodyBytes', this.#user, size - counted))
      counted = size
    }
    // All of it at once when its size is told: half-read bodies that wait for each other's bytes would never end.
    if (told > 0) count(told)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      const timer = this.#clock.after(this.#timeoutMs, () =>
        fail(new Refusal(408, 'Timeout', `the request's body did not arrive within ${Math.round(this.#timeoutMs / 1000)} s`, {}))
      )
      const fail = (error: Refusal): void => {
        timer.cancel()
        request.removeAllListeners('data')
        reject(error)
      }
      request.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > LARGEST_BODY) return fail(tooLarge(`Request entity too large: limit is ${LARGEST_BODY}`))
        try {
          count(size)
        } catch (error) {
          return fail(error as Refusal)
        }
        chunks.push(chunk)
      })
      request.on('end', () => {
        timer.cancel()
        resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
      })
      request.on('error', () => fail(badRequest('the request was aborted')))
      request.on('aborted', () => fail(badRequest('the request was aborted')))
    })
  }
  release(): void {
    for (const place of this.#places.splice(0)) place.release()
  }
}
