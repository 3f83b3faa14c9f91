/** Objects this process wrote and has parsed already, until their events come back; those beyond a bound are parsed then. */
import type { KubeObject } from '#events/KubeObject.ts'

const LIMIT = 4 * 1024 * 1024

export class Offered {
  /** By sequence. */
  readonly #waiting = new Map<number, { readonly object: KubeObject; readonly bytes: number }>()
  #bytes = 0

  /** `bytes`: its text's. */
  add(sequence: number, object: KubeObject, bytes: number): void {
    if (this.#waiting.has(sequence) || this.#bytes + bytes > LIMIT) return
    this.#waiting.set(sequence, { object, bytes })
    this.#bytes += bytes
  }
  take(sequence: number): KubeObject | undefined {
    const found = this.#waiting.get(sequence)
    if (found === undefined) return undefined
    this.#waiting.delete(sequence)
    this.#bytes -= found.bytes
    return found.object
  }
}
