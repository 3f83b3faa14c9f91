/**
 * Writing the index on disk. Each batch of entries is one transaction with the place it leads to, so that a process that is killed
 * goes on where contents and place agree. A file that can't be read, or is of another cluster or an older form, is never mended:
 * another one is begun, under another name, because SQLite's files may not be taken away from under who reads them.
 *
 * The write-ahead log is not synced at each step (`synchronous = NORMAL`): what a machine that dies loses is read from the log again.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { objectId, resourceId } from '#events/Key.ts'
import { keyOfSubject, type StreamName } from '#events/Subject.ts'
import { decidedAt } from '#projections/History.ts'
import type { LogEntry } from '#events/Log.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Keyframe } from '#services/platform/past/Keyframe.ts'
import type { PastStore, Reached, Taken } from '#services/platform/past/PastIndex.ts'
import { Tally, tallyOf } from '#services/platform/past/Tally.ts'
import { prepared, type MomentRow, type PlaceRow } from './database.ts'
import { Packs } from './Packs.ts'
import { forkOf, SCHEMA, VERSION } from './schema.ts'
import { SqliteReader } from './SqliteReader.ts'
import type { Describe } from './traits.ts'
import { OUTDATED, EXPIRED, NAMELESS, UNSAID, HAS, ENDED } from './trimming.ts'

/** Objects whose place in the index is at hand: the ones that change again. */
const KNOWN = 65_536
/** Objects, or lives, that are looked at in one slice of giving back room. */
const SLICE = 2_000

/** "Database disk image is malformed", "file is not a database". */
const RUINED: ReadonlySet<number> = new Set([11, 26])

interface Known {
  readonly collection: number
  readonly object: number
  readonly namespace: number
  /** Since when it is there; undefined: it is not. */
  born: number | undefined
  /** Which version of it stands. */
  version: number | undefined
}

const pointerOf = (folder: string, stream: string): string => join(folder, `${stream}.current`)

/** The file that counts now, or undefined when there is none yet. */
export const currentDatabase = (folder: string, stream: string): string | undefined => {
  const pointer = pointerOf(folder, stream)
  return existsSync(pointer) ? join(folder, readFileSync(pointer, 'utf8').trim()) : undefined
}

export class SqlitePast extends SqliteReader implements PastStore {
  readonly #path: string
  readonly #known = new Map<string, Known>()
  /** Numbers of collections, namespaces and what is said of objects, by table and text. */
  readonly #numbers = new Map<string, number>()
  readonly #packs = new Packs((sql) => this.#put(sql))
  #database: DatabaseSync | undefined
  readonly #statements = new Map<string, StatementSync>()
  #identity = ''
  #file = ''
  #last = 0
  #moment: MomentRow | undefined
  #trimAt = 0
  /** Undefined: it is to be read from where it is kept. */
  #tally: Tally | undefined

  readonly #describe: Describe
  readonly #onMade: (file: string) => void

  /** `onMade`: another file was begun; what was in the one before counts no longer. */
  constructor(folder: string, stream: StreamName, clock: Clock, describe: Describe, onMade: (file: string) => void = () => {}) {
    super(stream, clock, () => {})
    this.#path = folder
    this.#describe = describe
    this.#onMade = onMade
    // Not what it is in: a home that is gone must not come back as an empty one.
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
    chmodSync(folder, 0o700)
  }
  begin(identity: string): Reached {
    try {
      const database = this.#database ?? this.#opened()
      const place = database?.prepare('SELECT * FROM place').get() as PlaceRow | undefined
      if (place?.identity === identity) {
        this.#database = database
        this.#identity = identity
        this.#last = place.sequence
        this.#file = currentDatabase(this.#path, this.stream) as string
        super.reached(place.sequence, this.#file)
        this.#moment = database?.prepare('SELECT * FROM moment ORDER BY first DESC LIMIT 1').get() as MomentRow | undefined
        return { sequence: place.sequence, ...(place.hash === null ? {} : { chain: { sequence: place.chain, hash: place.hash } }) }
      }
      if (database !== undefined && database !== this.#database) database.close()
    } catch (error) {
      if (!isSqlite(error)) throw error
    }
    this.#make(identity)
    return { sequence: 0 }
  }
  /** What is there, if it has this form and its tables hang together as far as a look at each of them tells. */
  #opened(): DatabaseSync | undefined {
    const path = currentDatabase(this.#path, this.stream)
    if (path === undefined) return undefined
    const database = new DatabaseSync(path)
    try {
      const { user_version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
      if (user_version === VERSION) return prepared(database)
    } catch (error) {
      database.close()
      throw error
    }
    database.close()
    return undefined
  }
  /** Begins a new file, and lets go of all others. */
  #make(identity: string): void {
    this.#forget()
    const name = `${this.stream}-${Date.now().toString(36)}-${process.hrtime.bigint().toString(36)}.sqlite`
    closeSync(openSync(join(this.#path, name), 'wx', 0o600))
    const database = prepared(new DatabaseSync(join(this.#path, name)))
    database.exec(`BEGIN; ${SCHEMA}; COMMIT`)
    database.prepare('INSERT INTO place VALUES (1, ?, 0, 0, NULL, 0, 0, 0, 0, ?)').run(identity, new Tally().bytes)
    const pointer = pointerOf(this.#path, this.stream)
    writeFileSync(`${pointer}.new`, `${name}\n`, { mode: 0o600 })
    renameSync(`${pointer}.new`, pointer)
    for (const other of readdirSync(this.#path)) {
      if (other.startsWith(`${this.stream}-`) && !other.startsWith(name)) rmSync(join(this.#path, other), { force: true })
    }
    this.#database = database
    this.#identity = identity
    this.#file = join(this.#path, name)
    super.reached(0, this.#file)
    this.#onMade(this.#file)
  }
  #forget(): void {
    super.close()
    try {
      this.#database?.close()
    } catch (error) {
      if (!isSqlite(error)) throw error
    }
    this.#database = undefined
    this.#statements.clear()
    this.#unknow()
    this.#last = 0
    this.#moment = undefined
    this.#trimAt = 0
  }
  #unknow(): void {
    this.#known.clear()
    this.#numbers.clear()
    this.#packs.forget()
    this.#tally = undefined
  }
  /** What it writes to now. */
  get file(): string {
    return this.#file
  }
  get making(): string {
    return this.#file
  }
  seed({ sequence, hash, time, standing }: Pick<Keyframe, 'sequence' | 'hash' | 'time' | 'standing'>): void {
    this.#atOnce(() => {
      for (const { collection, id, version } of standing) {
        const known = this.#knownOf(collection, id)
        this.#put('INSERT INTO version VALUES (?, ?, NULL, NULL)').run(known.object, version * 2)
        // Since when it was there matters to moments before the keyframe alone.
        this.#put('INSERT INTO living VALUES (?, ?, ?, ?)').run(known.collection, known.object, known.namespace, version)
        known.born = version
        known.version = version
      }
      this.#put('INSERT INTO moment VALUES (?, ?, ?)').run(sequence, sequence, time)
      this.#put('UPDATE place SET sequence = ?, chain = ?, hash = ?, begins = ?').run(sequence, sequence, hash, sequence)
      this.#put('UPDATE place SET standing = ?').run((this.#tally = tallyOf(standing)).bytes)
    })
    this.#last = sequence
    this.#moment = { first: sequence, last: sequence, time }
    super.reached(sequence, this.#file)
  }
  clear(): void {
    this.#make(this.#identity)
  }
  override close(): void {
    this.#forget()
  }
  get tally(): Uint8Array | undefined {
    return this.#place().standing ?? undefined
  }
  take(taken: readonly Taken[], { sequence, chain }: Reached): void {
    this.#atOnce(() => {
      const { standing } = this.#place()
      const tally = (this.#tally ??= new Tally(standing ?? undefined))
      for (const { entry, event } of taken) this.#entry(entry, event)
      this.#packs.settle()
      this.#put('UPDATE moment SET last = ? WHERE first = ?').run(this.#moment?.last ?? 0, this.#moment?.first ?? 0)
      this.#put('UPDATE place SET sequence = ?, chain = ?, hash = ?').run(sequence, chain?.sequence ?? 0, chain?.hash ?? null)
      if (standing !== null) this.#put('UPDATE place SET standing = ?').run(tally.bytes)
    })
    this.#last = Math.max(this.#last, sequence)
    super.reached(sequence, this.#file)
  }
  #entry(entry: LogEntry, event: boolean): void {
    const { sequence, subject, headers } = entry
    if (sequence <= this.#last) return
    this.#last = sequence
    this.#when(sequence, decidedAt(entry))
    const key = event ? keyOfSubject(this.stream, subject) : undefined
    if (key === undefined) return
    const [collection, id] = [resourceId(key), objectId(key.namespace, key.name)]
    const known = this.#knownOf(collection, id)
    const deleted = headers['reckon-deleted'] === 'true'
    if (known.version !== undefined) this.#tally?.toggle({ collection, id, version: known.version })
    if (!deleted) this.#tally?.toggle({ collection, id, version: sequence })
    known.version = deleted ? undefined : sequence
    const { labels, fields } = this.#describe(key, entry)
    this.#put('INSERT INTO version VALUES (?, ?, ?, ?)').run(
      known.object,
      sequence * 2 + (deleted ? 1 : 0),
      labels === undefined ? null : this.#numberOf('said', 'text', labels),
      fields === undefined ? null : this.#numberOf('said', 'text', fields)
    )
    this.#packs.add(entry)
    if (deleted === (known.born === undefined)) return
    if (!deleted) {
      this.#put('INSERT INTO living VALUES (?, ?, ?, ?)').run(known.collection, known.object, known.namespace, sequence)
      known.born = sequence
      return
    }
    const born = known.born as number
    this.#put('DELETE FROM living WHERE collection = ? AND object = ?').run(known.collection, known.object)
    const fork = forkOf(born, sequence - 1)
    this.#put('INSERT INTO gone (collection, fork, born, died, object, namespace) VALUES (?, ?, ?, ?, ?, ?)').run(
      known.collection,
      fork,
      born,
      sequence,
      known.object,
      known.namespace
    )
    known.born = undefined
  }
  /** The log's clock may step back (a server restarted on another clock); a moment is still one place. */
  #when(sequence: number, decided: number): void {
    const before = this.#moment
    if (before !== undefined && decided <= before.time) {
      this.#moment = { ...before, last: sequence }
      return
    }
    if (before !== undefined) this.#put('UPDATE moment SET last = ? WHERE first = ?').run(before.last, before.first)
    this.#put('INSERT INTO moment VALUES (?, ?, ?)').run(sequence, sequence, decided)
    this.#moment = { first: sequence, last: sequence, time: decided }
  }
  #knownOf(resource: string, id: string): Known {
    const slot = `${resource}/${id}`
    const known = this.#known.get(slot)
    if (known !== undefined) {
      this.#known.delete(slot)
      this.#known.set(slot, known)
      return known
    }
    const collection = this.#numberOf('collection', 'name', resource)
    const namespace = this.#numberOf('namespace', 'name', id.slice(0, id.indexOf('/')))
    const found = this.#put('SELECT id FROM object WHERE collection = ? AND name = ?').get(collection, id) as { id: number } | undefined
    const object = found?.id ?? Number(this.#put('INSERT INTO object (collection, name) VALUES (?, ?)').run(collection, id).lastInsertRowid)
    // Of a new one there is nothing to find.
    const living =
      found &&
      (this.#put('SELECT born FROM living WHERE collection = ? AND object = ?').get(collection, object) as { born: number } | undefined)
    const made: Known = { collection, object, namespace, born: living?.born, version: living && this.#lastOf(object) }
    this.#known.set(slot, made)
    if (this.#known.size > KNOWN) this.#known.delete(this.#known.keys().next().value as string)
    return made
  }
  #lastOf(object: number): number {
    const { last } = this.#put('SELECT max(version) AS last FROM version WHERE object = ?').get(object) as { last: number | null }
    return Math.floor((last ?? 0) / 2)
  }
  #numberOf(table: 'collection' | 'namespace' | 'said', column: 'name' | 'text', text: string): number {
    const slot = `${table} ${text}`
    const known = this.#numbers.get(slot)
    if (known !== undefined) return known
    const found = this.#put(`SELECT id FROM ${table} WHERE ${column} = ?`).get(text) as { id: number } | undefined
    const id = found?.id ?? Number(this.#put(`INSERT INTO ${table} (${column}) VALUES (?)`).run(text).lastInsertRowid)
    this.#numbers.set(slot, id)
    if (this.#numbers.size > KNOWN) this.#numbers.delete(this.#numbers.keys().next().value as string)
    return id
  }
  raise(floor: number, time: number): void {
    this.#atOnce(() => {
      this.#put('DELETE FROM moment WHERE last <= ?').run(floor)
      const over = this.#put('SELECT * FROM moment WHERE first <= ?').get(floor) as MomentRow | undefined
      this.#put('DELETE FROM moment WHERE first <= ?').run(floor)
      // What was decided in the floor's own millisecond, or by a clock that was behind it, is of the floor's moment.
      const { last } = this.#put('SELECT max(last) AS last FROM moment WHERE time <= ?').get(time) as { last: number | null }
      this.#put('DELETE FROM moment WHERE time <= ?').run(time)
      const sameMoment = over !== undefined && over.time <= time
      this.#put('INSERT INTO moment VALUES (?, ?, ?)').run(floor, Math.max(floor, last ?? 0, sameMoment ? over.last : 0), time)
      if (over !== undefined && !sameMoment) this.#put('INSERT INTO moment VALUES (?, ?, ?)').run(floor + 1, over.last, over.time)
      this.#put('UPDATE place SET floor = ?').run(floor)
    })
    this.#trimAt = 0
    this.#moment = this.#put('SELECT * FROM moment ORDER BY first DESC LIMIT 1').get() as MomentRow | undefined
  }
  expire(first: number): void {
    const { gone } = this.#place()
    if (first <= gone) return
    this.#atOnce(() => {
      this.#put('DELETE FROM moment WHERE last < ?').run(first)
      this.#put('UPDATE place SET gone = ?, standing = NULL').run(first)
    })
    this.#trimAt = 0
    this.#moment = this.#put('SELECT * FROM moment ORDER BY first DESC LIMIT 1').get() as MomentRow | undefined
  }
  trim(): boolean {
    const { floor, trimmed, gone } = this.#place()
    const wanted = Math.max(floor, gone)
    if (wanted <= trimmed) return false
    const end = this.#trimAt + SLICE
    const more = this.#atOnce(() => {
      if (floor >= gone) this.#trimFloor(this.#trimAt, end, floor)
      else this.#trimExpired(this.#trimAt, end, gone)
      this.#put(NAMELESS).run(this.#trimAt, end)
      const lives = Number(this.#put(ENDED).run(SLICE, floor >= gone ? floor : gone - 1).changes)
      const { last } = this.#put('SELECT max(id) AS last FROM object').get() as { last: number | null }
      const objects = lives > 0 || end < (last ?? 0)
      // Only then it is known which versions are left.
      const left =
        objects ||
        (floor >= gone ? this.#packs.trim(floor, ({ sequence, subject }) => this.#has(subject, sequence)) : this.#packs.expire(gone))
      if (!left) this.#put(UNSAID).run()
      if (!left) this.#put('UPDATE place SET trimmed = ?').run(wanted)
      return left
    })
    this.#trimAt = end
    this.#known.clear()
    this.#numbers.clear()
    return more
  }
  /** Whether the index has this version still. */
  #has(subject: string, sequence: number): boolean {
    const key = keyOfSubject(this.stream, subject)
    return key !== undefined && this.#put(HAS).get(resourceId(key), objectId(key.namespace, key.name), sequence * 2) !== undefined
  }
  /** Of each object the version it had at the floor is left, if it was there. */
  #trimFloor(from: number, to: number, floor: number): void {
    const last = floor * 2 + 1
    this.#put(OUTDATED).run(from, to, last)
    this.#put('DELETE FROM version WHERE object > ? AND object <= ? AND version <= ? AND version % 2 = 1').run(from, to, last)
  }
  #trimExpired(from: number, to: number, first: number): void {
    this.#put('DELETE FROM version WHERE object > ? AND object <= ? AND version < ?').run(from, to, first * 2)
    this.#put(EXPIRED).run(from, to)
  }
  #place(): PlaceRow {
    return this.#put('SELECT * FROM place').get() as unknown as PlaceRow
  }
  #put(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = (this.#database as DatabaseSync).prepare(sql)))
    return statement
  }
  #atOnce<Value>(work: () => Value): Value {
    const database = this.#database as DatabaseSync
    database.exec('BEGIN IMMEDIATE')
    try {
      const value = work()
      database.exec('COMMIT')
      return value
    } catch (error) {
      // What is known here of what was being written is not so.
      this.#unknow()
      if (RUINED.has((error as { errcode?: number }).errcode ?? 0)) this.clear()
      else if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
}

export const isSqlite = (error: unknown): boolean => (error as { code?: string } | undefined)?.code === 'ERR_SQLITE_ERROR'
