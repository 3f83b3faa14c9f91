/**
 * The ledger on disk, in the cluster's home: `<stream>.json` says who the stream is, `<stream>.head` how far it went,
 * `<stream>.marks` the places on the way, `<stream>.floors.json` where history begins when it was compacted.
 *
 * The head is written on every fold, by one write of 64 bytes into one of two slots in turn: a write that is cut short
 * leaves the other. Not synced each time: what a killed process wrote is kept by the kernel, and when the machine itself
 * dies the log, which is synced, is only longer than remembered.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Damage } from '#events/Log.ts'
import type { Floor, Ledger, Place } from './Ledger.ts'

export interface LedgerRecord {
  readonly identity: string
  /** RFC 3339: when the stream was made. */
  readonly made: string
  readonly damage?: Damage
  /** Entries were taken out of the stream, by a restore or an accepted loss: its finished files are written anew now and then. */
  readonly thinned?: true
}

const SLOT = 64
const MARK = 64
const SYNC_MS = 1_000
const HASH = 32

/** count, sequence, whether there is a hash, the hash, checksum. */
const pack = (count: number, { sequence, hash }: Place): Buffer => {
  const bytes = Buffer.alloc(SLOT)
  bytes.writeBigUInt64LE(BigInt(count), 0)
  bytes.writeBigUInt64LE(BigInt(sequence), 8)
  bytes.writeUInt32LE(hash === undefined ? 0 : 1, 16)
  if (hash !== undefined) bytes.set(hash, 20)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SLOT - 4)), SLOT - 4)
  return bytes
}

const unpack = (bytes: Buffer): { readonly count: number; readonly place: Place } | undefined => {
  if (bytes.length !== SLOT || crc32(bytes.subarray(0, SLOT - 4)) !== bytes.readUInt32LE(SLOT - 4)) return undefined
  const hash = bytes.readUInt32LE(16) === 1 ? { hash: Uint8Array.from(bytes.subarray(20, 20 + HASH)) } : {}
  return { count: Number(bytes.readBigUInt64LE(0)), place: { sequence: Number(bytes.readBigUInt64LE(8)), ...hash } }
}

const ledgerFile = (folder: string, stream: string): string => join(folder, `${stream}.json`)

export const readRecord = (folder: string, stream: string): LedgerRecord | undefined => {
  const path = ledgerFile(folder, stream)
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as LedgerRecord) : undefined
}

/** The record appears whole or not at all, and is on disk when this returns. */
export const writeRecord = (folder: string, stream: string, record: LedgerRecord): void => writeWhole(ledgerFile(folder, stream), record)

const floorsFile = (folder: string, stream: string): string => join(folder, `${stream}.floors.json`)

export const readFloors = (folder: string, stream: string): readonly Floor[] => {
  const path = floorsFile(folder, stream)
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as readonly Floor[]) : []
}

/** On disk when this returns. */
export const writeFloors = (folder: string, stream: string, floors: readonly Floor[]): void =>
  writeWhole(floorsFile(folder, stream), floors)

const writeWhole = (path: string, content: unknown): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const file = openSync(`${path}.new`, 'w', 0o600)
  writeSync(file, `${JSON.stringify(content, null, 2)}\n`)
  fsyncSync(file)
  closeSync(file)
  renameSync(`${path}.new`, path)
  const parent = openSync(dirname(path), 'r')
  fsyncSync(parent)
  closeSync(parent)
}

export class FileLedger implements Ledger {
  /** Writes a ledger anew: for a stream that was restored, or whose losses were accepted. */
  static begin(
    folder: string,
    stream: string,
    record: LedgerRecord,
    marks: readonly Place[],
    head: Place,
    floors: readonly Floor[] = []
  ): void {
    for (const kind of ['head', 'marks']) rmSync(join(folder, `${stream}.${kind}`), { force: true })
    if (floors.length > 0) writeFloors(folder, stream, floors)
    else rmSync(floorsFile(folder, stream), { force: true })
    writeRecord(folder, stream, record)
    const ledger = new FileLedger(folder, stream)
    for (const mark of marks) ledger.mark(mark)
    ledger.remember(head)
    ledger.close()
  }
  readonly stream: string
  readonly #folder: string
  readonly #headFile: number
  readonly #marksFile: number
  readonly #marks: Place[] = []
  #record: LedgerRecord
  #head: Place = { sequence: 0 }
  #count = 0
  #syncing: NodeJS.Timeout | undefined

  /** The stream's record must be there (`writeRecord`). Throws when the files can't be read. */
  constructor(folder: string, stream: string) {
    const record = readRecord(folder, stream)
    if (record === undefined) throw new Error(`${ledgerFile(folder, stream)} is missing: it says which log is this cluster's`)
    this.stream = stream
    this.#folder = folder
    this.#record = record
    this.#headFile = openSync(join(folder, `${stream}.head`), existsSync(join(folder, `${stream}.head`)) ? 'r+' : 'w+', 0o600)
    this.#marksFile = openSync(join(folder, `${stream}.marks`), 'a+', 0o600)
    this.#takeRoom()
    this.#readHead()
    this.#readMarks()
  }
  /** The head's places are on the disk from the beginning: on one that is full meanwhile only what is there can be written over. */
  #takeRoom(): void {
    const { size } = fstatSync(this.#headFile)
    if (size < 2 * SLOT) writeSync(this.#headFile, Buffer.alloc(2 * SLOT - size), 0, 2 * SLOT - size, size)
  }
  get identity(): string {
    return this.#record.identity
  }
  #readHead(): void {
    for (const slot of [0, 1]) {
      const bytes = Buffer.alloc(SLOT)
      const length = readSync(this.#headFile, bytes, 0, SLOT, slot * SLOT)
      const found = unpack(bytes.subarray(0, length))
      if (found !== undefined && found.count > this.#count) [this.#count, this.#head] = [found.count, found.place]
    }
  }
  #readMarks(): void {
    const bytes = readFileSync(join(this.#folder, `${this.stream}.marks`))
    for (let at = 0; at + MARK <= bytes.length; at += MARK) {
      const found = unpack(bytes.subarray(at, at + MARK))
      // One that was cut short is no loss: the others stand for themselves.
      if (found !== undefined) this.#marks.push(found.place)
    }
  }
  head(): Place {
    return this.#head
  }
  marks(): readonly Place[] {
    return this.#marks
  }
  remember(place: Place): void {
    this.#head = place
    this.#count += 1
    writeSync(this.#headFile, pack(this.#count, place), 0, SLOT, (this.#count % 2) * SLOT)
    this.#syncing ??= setTimeout(() => {
      this.#syncing = undefined
      fdatasync(this.#headFile, () => {})
    }, SYNC_MS).unref()
  }
  mark(place: Place): void {
    this.#marks.push(place)
    try {
      writeSync(this.#marksFile, pack(this.#marks.length, place))
    } catch (error) {
      // One mark less on a full disk only makes a later search coarser; the head, which counts, is written in place.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
  floors(): readonly Floor[] {
    return readFloors(this.#folder, this.stream)
  }
  damage(): Damage | undefined {
    return this.#record.damage
  }
  report(damage: Damage): void {
    if (this.#record.damage !== undefined) return
    this.#record = { ...this.#record, damage }
    writeRecord(this.#folder, this.stream, this.#record)
  }
  close(): void {
    clearTimeout(this.#syncing)
    for (const file of [this.#headFile, this.#marksFile]) closeSync(file)
  }
}
