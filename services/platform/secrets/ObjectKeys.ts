/**
 * A key for each confidential object, so that an object can be made unreadable in all of history by destroying one key.
 *
 * Keys live in a stream of their own, the last one of each object being the truth, wrapped under a master key that is not
 * in it. A key kept in the event itself, however wrapped, would live as long as the event.
 */
import { randomBytes } from 'node:crypto'
import type { Log, LogEntry, Subscription } from '#events/Log.ts'
import { decodeToken, encodeToken } from '#events/Subject.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Integrity } from '#services/platform/ledger/Integrity.ts'
import { openBytes, sealText } from './Cipher.ts'

export const KEYS = 'KEYS'

/** What the stream keeps of a key. */
interface KeyRecord {
  /** Which master key it is wrapped under. */
  readonly master: string
  /** Absent: destroyed. */
  readonly wrapped?: string
  /** `namespace/name` of its object, for people. */
  readonly of: string
  /** RFC 3339: when the object was deleted; after a while its key goes. */
  readonly deleted?: string
}

interface Known {
  readonly record: KeyRecord
  readonly sequence: number
  readonly key: Buffer | undefined
}

export interface ObjectKeysOptions {
  readonly log: Log
  /** Master keys by name; the last one wraps what is new. */
  readonly masters: ReadonlyMap<string, Uint8Array>
  readonly clock: Clock
  /** Seals and checks entries; without it (in tests) every entry is taken. */
  readonly integrity?: Integrity
  /** Overwrites an entry's bytes on disk. */
  readonly shred: (sequence: number) => Promise<void>
  /** After the start: the stream is not what was written (LogDamaged). */
  readonly onFailed?: (error: Error) => void
}

const DATA_KEY = 32

export class ObjectKeys {
  readonly #options: ObjectKeysOptions
  readonly #master: string
  readonly #known = new Map<string, Known>()
  readonly #listeners = new Set<() => void>()
  readonly #gone = new Set<() => void>()
  #subscription: Subscription | undefined

  constructor(options: ObjectKeysOptions) {
    this.#options = options
    const master = [...options.masters.keys()].at(-1)
    if (master === undefined) throw new Error('there is no master key for confidential objects')
    this.#master = master
  }
  /** Resolves when every key there is is known; rejects with LogDamaged. */
  async start(): Promise<void> {
    const { log, integrity } = this.#options
    integrity?.begin(await log.state())
    let started = false
    return new Promise((resolve, reject) => {
      this.#subscription = log.follow({
        from: 1,
        onEntries: (entries) => {
          for (const entry of entries) if ((integrity?.take(entry) ?? 'event') === 'event') this.#take(entry)
          integrity?.settle()
          for (const listener of this.#listeners) listener()
        },
        onCaughtUp: () => {
          started = true
          resolve()
        },
        onFailed: (error) => {
          if (started) this.#options.onFailed?.(error)
          reject(error)
        }
      })
    })
  }
  close(): void {
    this.#subscription?.close()
  }
  /** Called after keys came or went. */
  onChange(listener: () => void): Subscription {
    this.#listeners.add(listener)
    return { close: () => void this.#listeners.delete(listener) }
  }
  /** Called after an object's key was destroyed, here or by another API server. */
  onDestroyed(listener: () => void): Subscription {
    this.#gone.add(listener)
    return { close: () => void this.#gone.delete(listener) }
  }
  #take({ subject, sequence, text }: LogEntry): void {
    const uid = subject.slice('key.'.length)
    if ((this.#known.get(uid)?.sequence ?? 0) >= sequence) return
    this.#remember(uid, JSON.parse(text) as KeyRecord, sequence)
  }
  #remember(uid: string, record: KeyRecord, sequence: number): void {
    const before = this.#known.get(uid)?.key
    const key = this.#unwrap(uid, record)
    this.#known.set(uid, { record, sequence, key })
    if (before !== undefined && key === undefined) for (const listener of this.#gone) listener()
  }
  #unwrap(uid: string, { master, wrapped }: KeyRecord): Buffer | undefined {
    const by = this.#options.masters.get(master)
    return wrapped === undefined || by === undefined ? undefined : openBytes(by, uid, wrapped)
  }
  /** Whether the object's contents can be read: `unknown` may still come. */
  state(uid: string): 'here' | 'destroyed' | 'unknown' {
    const known = this.#known.get(encodeToken(uid))
    return known === undefined ? 'unknown' : known.key === undefined ? 'destroyed' : 'here'
  }
  /** The object's key is stored when this resolves: no event may be sealed under one that could be lost. */
  async ensure(uid: string, of: string): Promise<void> {
    const token = encodeToken(uid)
    if (this.#known.has(token)) return
    const key = randomBytes(DATA_KEY)
    const record: KeyRecord = { master: this.#master, wrapped: sealText(this.#masterKey(), token, key), of }
    await this.#write(token, record, 0)
  }
  seal(uid: string, secret: string): string {
    const { key } = this.#known.get(encodeToken(uid)) ?? {}
    if (key === undefined) throw new Error(`the key of ${uid} is not there`)
    return sealText(key, uid, secret)
  }
  /** Undefined when the key is not there. Throws when it does not fit. */
  open(uid: string, sealed: string): string | undefined {
    const { key } = this.#known.get(encodeToken(uid)) ?? {}
    return key === undefined ? undefined : openBytes(key, uid, sealed).toString()
  }
  /** The object is gone; its past can still be read until its key goes too. */
  async markDeleted(uid: string): Promise<void> {
    const token = encodeToken(uid)
    const known = this.#known.get(token)
    if (known?.key === undefined || known.record.deleted !== undefined) return
    await this.#write(token, { ...known.record, deleted: new Date(this.#options.clock.now()).toISOString() }, known.sequence)
  }
  /** It is there after all: the log was brought back up to a moment before it was deleted. */
  async unmarkDeleted(uid: string): Promise<void> {
    const token = encodeToken(uid)
    const known = this.#known.get(token)
    if (known?.key === undefined || known.record.deleted === undefined) return
    const { deleted: _, ...rest } = known.record
    await this.#write(token, rest, known.sequence)
  }
  /** Makes every version of the object unreadable, everywhere but in copies that were taken of the keys before. */
  async destroy(uid: string): Promise<void> {
    const token = encodeToken(uid)
    const known = this.#known.get(token)
    if (known?.key === undefined) return
    // First the bytes, then the word: a crash in between leaves a key that nobody has.
    await this.#options.shred(known.sequence)
    const { wrapped: _, ...rest } = known.record
    await this.#write(token, { ...rest, deleted: rest.deleted ?? new Date(this.#options.clock.now()).toISOString() }, undefined)
  }
  /** Uids with a key, and since when their object is deleted (milliseconds), if it is. */
  *deleted(): Iterable<{ readonly uid: string; readonly since: number | undefined; readonly of: string }> {
    for (const [token, { key, record }] of this.#known)
      if (key !== undefined)
        yield { uid: decodeToken(token), since: record.deleted === undefined ? undefined : Date.parse(record.deleted), of: record.of }
  }
  #masterKey(): Uint8Array {
    return this.#options.masters.get(this.#master) as Uint8Array
  }
  async #write(token: string, record: KeyRecord, expected: number | undefined): Promise<void> {
    const { log, integrity } = this.#options
    const append = { subject: `key.${token}`, headers: {}, text: JSON.stringify(record), ...(expected === undefined ? {} : { expected }) }
    const result = await log.append([integrity?.seal(append) ?? append])
    // Another API server was faster: its record is on the way here.
    if (result.ok) this.#remember(token, record, result.last)
    else throw new Error(`the key of ${record.of} was written by somebody else at the same time`)
  }
}
