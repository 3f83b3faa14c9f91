/**
 * The API servers' seal on every entry they write: a MAC (HMAC-SHA-256, RFC 2104, of the entry's digest) under a key that
 * only they hold. An entry without it is not theirs, however it came into the stream, and is passed over.
 *
 * A MAC and not a signature: verifying an Ed25519 signature takes a hundred microseconds, and a million events are
 * replayed at a start. Who may read but not write the log need not verify it: the walls of the log's account do.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { EXPECTED_HEADER, expectedOf, PREVIOUS_HEADER } from '#events/Event.ts'
import type { Append, LogEntry, LogState } from '#events/Log.ts'
import type { Hash } from '#projections/Chain.ts'

export const MAC_HEADER = 'reckon-mac'
export const CHAIN_HEADER = 'reckon-chain'

/** The headers an entry's digest covers, in this order: everything that is read back from an entry. */
export const SEALED_HEADERS: readonly string[] = [
  'ce-id',
  'ce-type',
  'ce-source',
  'ce-subject',
  'ce-time',
  'ce-authid',
  'ce-correlationid',
  'ce-causationid',
  'reckon-cause',
  'reckon-verb',
  'reckon-command',
  'reckon-reasons',
  'reckon-deleted',
  'reckon-lost',
  'reckon-sealed',
  CHAIN_HEADER,
  PREVIOUS_HEADER,
  EXPECTED_HEADER
]

const BLOCK = 64
const MAC_BYTES = 16
const KEY_ID = /^[a-z0-9]{1,16}$/

export const sha256: Hash = (data) => hash('sha256', data, 'buffer')

interface Pads {
  readonly inner: Buffer
  readonly outer: Buffer
}

const padsOf = (key: Uint8Array): Pads => {
  const block = Buffer.alloc(BLOCK)
  block.set(key.length > BLOCK ? sha256(key) : key)
  // Room for the digest behind each pad, so that one buffer is hashed per half.
  const pad = (byte: number): Buffer => Buffer.concat([Buffer.from(block.map((value) => value ^ byte)), Buffer.alloc(32)])
  return { inner: pad(0x36), outer: pad(0x5c) }
}

export class Seal {
  readonly #keys: ReadonlyMap<string, Pads>
  readonly #current: string

  /** Keys by id; new entries are sealed with the last one. */
  constructor(keys: ReadonlyMap<string, Uint8Array>) {
    for (const [id, key] of keys)
      if (!KEY_ID.test(id) || key.length < 32) throw new Error(`the log key ${id} is not usable: 32 bytes are needed`)
    this.#keys = new Map([...keys].map(([id, key]) => [id, padsOf(key)]))
    const current = [...keys.keys()].at(-1)
    if (current === undefined) throw new Error('there is no log key')
    this.#current = current
  }
  /** 32 bytes that stand for the entry, its seal aside. */
  digest(stream: string, { subject, headers, text }: Pick<LogEntry, 'subject' | 'headers' | 'text'>): Uint8Array {
    let said = `${stream}\n${subject}\n`
    for (const name of SEALED_HEADERS) {
      const value = name === EXPECTED_HEADER ? expectedOf(headers) : headers[name]
      if (value !== undefined) said += `${name}:${value}\n`
    }
    return hash('sha256', `${said}\n${text}`, 'buffer')
  }
  /**
   * Whether an entry is an event of ours: sealed, or from before seals; not the filler of a loss, and not put aside by a person.
   * `digest`: the entry's.
   */
  counts(
    { sequence, headers }: Pick<LogEntry, 'sequence' | 'headers'>,
    digest: Uint8Array,
    { sealedFrom, quarantined }: Pick<LogState, 'sealedFrom' | 'quarantined'>
  ): boolean {
    return (
      (sequence < sealedFrom || this.verifies(digest, headers[MAC_HEADER])) &&
      headers['reckon-lost'] !== 'true' &&
      !quarantined.includes(sequence)
    )
  }
  /** The append with its seal. */
  seal(stream: string, append: Append, anchor: string | undefined): Append {
    const headers: Record<string, string> = { ...append.headers }
    if (anchor !== undefined) headers[CHAIN_HEADER] = anchor
    if (append.expected !== undefined) headers[EXPECTED_HEADER] = String(append.expected)
    headers[MAC_HEADER] = `${this.#current}:${this.#mac(this.#current, this.digest(stream, { ...append, headers })).toString('base64url')}`
    return { ...append, headers }
  }
  /** True when one of our keys sealed exactly this. */
  verifies(digest: Uint8Array, header: string | undefined): boolean {
    const [id = '', mac = ''] = header?.split(':') ?? []
    if (!this.#keys.has(id)) return false
    const given = Buffer.from(mac, 'base64url')
    return given.length === MAC_BYTES && timingSafeEqual(given, this.#mac(id, digest))
  }
  #mac(id: string, digest: Uint8Array): Buffer {
    const { inner, outer } = this.#keys.get(id) as Pads
    inner.set(digest, BLOCK)
    outer.set(sha256(inner), BLOCK)
    return (sha256(outer) as Buffer).subarray(0, MAC_BYTES)
  }
}
