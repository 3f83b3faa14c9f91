/**
 * Keyframes in NATS' object store: one object each. The library does all but taking one away, for which it purges the stream: that
 * is a right over all that is in it, which the API server has over no stream. A message that rolls up its subject does the
 * same to that subject alone, and leaves by itself.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import { headers } from '@nats-io/transport-node'
import { jetstream } from '@nats-io/jetstream'
import { Objm, type ObjectStore } from '@nats-io/obj'
import type { Kept, Keyframes } from '#services/platform/past/Keyframes.ts'

/** The bucket; its stream is `OBJ_keyframes`. */
export const BUCKET = 'keyframes'
const NAME = /^([A-Z]+)-(\d{1,16})$/
/** Between two parts of one. Of an object whose parts have left a full store nothing comes at all. */
const STALL_MS = 10_000
/** What is left of one that was taken away, for so long. */
const GONE_TTL = '5s'

const nameOf = (stream: string, sequence: number): string => `${stream}-${sequence}`

export class ObjectStoreKeyframes implements Keyframes {
  readonly #connection: NatsConnection
  #store: Promise<ObjectStore> | undefined

  constructor(connection: NatsConnection) {
    this.#connection = connection
  }
  #opened(): Promise<ObjectStore> {
    const store = (this.#store ??= new Objm(this.#connection).open(BUCKET, false))
    store.catch(() => (this.#store = undefined))
    return store
  }
  async list(stream: string): Promise<readonly Kept[]> {
    const store = await this.#opened()
    return (await store.list())
      .flatMap(({ name, deleted, mtime }) => {
        const [, of, sequence] = NAME.exec(name) ?? []
        return of !== stream || deleted ? [] : [{ sequence: Number(sequence), time: Date.parse(mtime) }]
      })
      .sort((a, b) => a.sequence - b.sequence)
  }
  async get(stream: string, sequence: number): Promise<Uint8Array | undefined> {
    const name = nameOf(stream, sequence)
    const found = await (await this.#opened()).get(name)
    if (found === null) return undefined
    const parts: Uint8Array[] = []
    const reader = found.data.getReader()
    // It is told by what the reader rejects with as well.
    found.error.catch(() => {})
    for (;;) {
      let timer: NodeJS.Timeout | undefined
      const stalled = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${name}: parts of it are missing`)), STALL_MS)
      })
      try {
        const { done, value } = await Promise.race([reader.read(), stalled])
        if (done) return Buffer.concat(parts)
        if (value !== undefined) parts.push(value)
      } catch (error) {
        void reader.cancel().catch(() => {})
        throw error
      } finally {
        clearTimeout(timer)
      }
    }
  }
  async put(stream: string, sequence: number, bytes: Uint8Array): Promise<void> {
    try {
      await (await this.#opened()).putBlob({ name: nameOf(stream, sequence) }, bytes)
    } catch (cause) {
      // The library then tries to purge what it had stored; that stays until the store is full, and is the first to go.
      throw new Error(`a keyframe of ${stream} can't be stored`, { cause })
    }
  }
  async remove(stream: string, sequence: number): Promise<void> {
    const info = await (await this.#opened()).info(nameOf(stream, sequence))
    if (info === null || info.deleted) return
    const js = jetstream(this.#connection)
    const rolled = headers()
    rolled.set('Nats-Rollup', 'sub')
    rolled.set('Nats-TTL', GONE_TTL)
    const { name, nuid: id } = info
    const gone = JSON.stringify({ name, bucket: BUCKET, nuid: id, size: 0, chunks: 0, deleted: true, mtime: new Date().toISOString() })
    await js.publish(`$O.${BUCKET}.M.${encodeName(name)}`, gone, { headers: rolled })
    await js.publish(`$O.${BUCKET}.C.${id}`, '', { headers: rolled })
  }
}

/** As the object store writes names (ADR-20): base64url with its padding. */
const encodeName = (name: string): string => Buffer.from(name).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
