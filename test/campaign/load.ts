/** Sixteen writers that remember every answer: what was acknowledged, what was refused, and what nobody can tell. */
import { setTimeout as wait } from 'node:timers/promises'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Plane } from '#test/support/plane.ts'

export const WRITERS = 16
export const NAMESPACE = 'default'
const PATH = `/api/v1/namespaces/${NAMESPACE}/configmaps`
/** Between tries of a writer that was not answered with a yes. */
const PAUSE_MS = 50

export interface Acknowledged {
  readonly verb: 'create' | 'update' | 'delete'
  readonly name: string
  /** What the event must carry: unique per write. */
  readonly value: string
  readonly version: number
  readonly at: number
}

export interface LoadOptions {
  readonly writers?: number
  /** Bytes of each object, beside its metadata. */
  readonly bytes?: number
  /** Milliseconds a writer rests after each write. */
  readonly restMs?: number
}

export class Load {
  /** In the order they came. */
  readonly acknowledged: Acknowledged[] = []
  /** Values that were refused for good: the server's word is that they are not stored. */
  readonly refused: string[] = []
  /** Answers that were no answer: connections that broke, time-outs, 5xx that promise nothing. By what they said. */
  readonly unknown = new Map<string, number>()
  /** Refusals by status code. */
  readonly codes = new Map<number, number>()
  readonly #plane: Plane
  readonly #options: LoadOptions
  readonly #tag: string
  #running = false
  #writers: Promise<void>[] = []
  #waiting: { readonly count: number; readonly done: () => void }[] = []

  constructor(plane: Plane, tag: string, options: LoadOptions = {}) {
    this.#plane = plane
    this.#tag = tag
    this.#options = options
  }
  start(): void {
    this.#running = true
    this.#writers = Array.from({ length: this.#options.writers ?? WRITERS }, (_, number) => this.#write(number))
  }
  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#writers)
  }
  /** Resolves when `count` more writes are acknowledged; false after `ms`. */
  async more(count: number, ms: number): Promise<boolean> {
    const wanted = this.acknowledged.length + count
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)))
    const there = new Promise<boolean>((resolve) => this.#waiting.push({ count: wanted, done: () => resolve(true) }))
    const answer = await Promise.race([there, late])
    clearTimeout(timer)
    return answer
  }
  /** The longest time without an acknowledgement that touches [from, to], in milliseconds. */
  outage(from: number, to: number): number {
    let longest = 0
    for (let at = this.acknowledged.length - 1; at > 0; at--) {
      const [before, after] = [this.acknowledged[at - 1] as Acknowledged, this.acknowledged[at] as Acknowledged]
      if (after.at < from) break
      if (before.at <= to) longest = Math.max(longest, after.at - before.at)
    }
    return longest
  }
  async #write(number: number): Promise<void> {
    const filler = 'x'.repeat(this.#options.bytes ?? 64)
    for (let n = 0; this.#running; n++) {
      const marker = `${this.#tag}-${number}-${n}`
      const metadata = n % 5 === 4 ? { generateName: `${marker}-` } : { name: marker }
      const created = await this.#one('create', `${marker}:1`, () =>
        this.#plane.call('POST', PATH, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { value: `${marker}:1`, filler } })
      )
      const name = created?.metadata.name as string | undefined
      if (name === undefined) continue
      for (const step of [2, 3]) {
        const value = `${marker}:${step}`
        if (
          !this.#running ||
          (await this.#one(
            'update',
            value,
            () => this.#plane.call('PATCH', `${PATH}/${name}`, { data: { value } }, { 'content-type': 'application/merge-patch+json' }),
            name
          )) === undefined
        )
          break
      }
      if (n % 2 === 0 && this.#running) await this.#one('delete', name, () => this.#plane.call('DELETE', `${PATH}/${name}`), name)
    }
  }
  /** The object of a positive answer; what became of any other is remembered. */
  async #one(
    verb: Acknowledged['verb'],
    value: string,
    ask: () => ReturnType<Plane['call']>,
    known?: string
  ): Promise<KubeObject | undefined> {
    try {
      const { status, body } = await ask()
      if (status === 200 || status === 201) {
        const object = JSON.parse(body) as KubeObject
        const name = known ?? (object.metadata.name as string)
        // A finished deletion is answered with a Status, which has no version.
        this.acknowledged.push({ verb, name, value, version: Number(object.metadata.resourceVersion ?? 0), at: performance.now() })
        this.#tell()
        if (this.#options.restMs !== undefined) await wait(this.#options.restMs)
        return object
      }
      this.codes.set(status, (this.codes.get(status) ?? 0) + 1)
      const { message = '' } = JSON.parse(body) as { message?: string }
      // 504: it may be stored. Everything else is a no.
      if (status === 504 || status === 500) this.#lost(`${status} ${message.slice(0, 80)}`)
      else if (verb !== 'delete') this.refused.push(value)
    } catch (error) {
      this.#lost(error instanceof Error ? `${(error as { code?: string }).code ?? error.message}` : String(error))
    }
    await wait(PAUSE_MS)
    return undefined
  }
  #lost(why: string): void {
    this.unknown.set(why, (this.unknown.get(why) ?? 0) + 1)
  }
  #tell(): void {
    const due = this.#waiting.filter(({ count }) => count <= this.acknowledged.length)
    if (due.length === 0) return
    this.#waiting = this.#waiting.filter((other) => !due.includes(other))
    for (const { done } of due) done()
  }
}
