/** Reading the index on disk, beside whoever writes it: each question sees one state of it, and none holds the writer up. */
import { existsSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Version } from '#projections/History.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Standing } from '#services/platform/past/Keyframe.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import { Waiters } from '#services/platform/Waiters.ts'
import { forksOf } from './schema.ts'

/** Rows in one step: a millisecond or two, between which others have their turn. */
const STEP = 2_000
/** Room of its own for what was read lately, KiB; the system keeps the file's pages as well. */
const CACHE_KIB = 16 * 1024

interface Open {
  readonly database: DatabaseSync
  readonly statements: Map<string, StatementSync>
  readonly file: string
}

/** An object, what rows are ordered by, their id where that is not one of a kind, the object's name, its last version at the moment. */
type Row = readonly [object: number, by: number, id: number, name: string, version: number | null]

const AT = 'object.name, (SELECT max(version) FROM version WHERE version.object = object.id AND version <= ?)'
/** Each goes on behind a row: what rows are ordered by and their ids come last but one and two. */
const LIVING = `SELECT living.object, living.object, 0, ${AT} FROM living JOIN object ON object.id = living.object
  WHERE living.collection = ? AND born <= ? AND living.object > ? AND 0 <= ? ORDER BY living.object LIMIT ?`
const DIED = `SELECT gone.object, died, gone.id, ${AT} FROM gone JOIN object ON object.id = gone.object
  WHERE gone.collection = ? AND fork = ? AND (died, gone.id) > (?, ?) ORDER BY died, gone.id LIMIT ?`
const BORN = `SELECT gone.object, born, gone.id, ${AT} FROM gone JOIN object ON object.id = gone.object
  WHERE gone.collection = ? AND fork = ? AND born <= ? AND (born, gone.id) > (?, ?) ORDER BY born, gone.id LIMIT ?`
const VERSION_AT = 'SELECT max(version) AS value FROM version WHERE object = ? AND version <= ?'
const DELETED_SINCE = 'SELECT 1 AS value FROM version WHERE object = ? AND version > ? AND version % 2 = 1 LIMIT 1'
const OBJECT =
  'SELECT object.id AS value FROM object JOIN collection ON collection.id = object.collection WHERE collection.name = ? AND object.name = ?'
const LAST_ID = Number.MAX_SAFE_INTEGER

export class SqliteReader implements PastIndex {
  readonly stream: StreamName
  readonly #waiters: Waiters
  readonly #onDamaged: (file: string) => void
  #file: string | undefined
  #open: Open | undefined
  #filled: number | undefined

  /** `onDamaged`: the file that is there can't be read; whoever writes it should make another. */
  constructor(stream: StreamName, clock: Clock, onDamaged: (file: string) => void) {
    this.stream = stream
    this.#waiters = new Waiters(clock)
    this.#onDamaged = onDamaged
  }
  close(): void {
    this.#release()
  }
  #release(): void {
    this.#open?.database.close()
    this.#open = undefined
  }
  /**
   * Told by the writer after each step: how far it is, and in which file. Before the first, what is there is not looked at, for nobody
   * has compared it with the log. `filled`: how far the index is that will take the place of one that began at a keyframe.
   */
  reached(sequence: number, file: string, filled?: number): void {
    this.#file = file
    this.#filled = filled
    this.#waiters.reached(sequence)
  }
  reaches(sequence: number, timeoutMs: number): Promise<boolean> {
    if (this.lastSequence >= sequence || timeoutMs <= 0) return Promise.resolve(this.lastSequence >= sequence)
    return this.#waiters
      .until(sequence, timeoutMs, () => new Error('late'))
      .then(
        () => true,
        () => this.lastSequence >= sequence
      )
  }
  get lastSequence(): number {
    return this.#number('SELECT sequence AS value FROM place') ?? 0
  }
  get floor(): number {
    return this.#number('SELECT floor AS value FROM place') ?? 0
  }
  get begins(): number {
    return this.#number('SELECT begins AS value FROM place') ?? 0
  }
  get filled(): number | undefined {
    return this.#filled
  }
  get firstTime(): number | undefined {
    return this.#number('SELECT time AS value FROM moment ORDER BY first LIMIT 1')
  }
  sequenceAt(time: number): number {
    return this.#number('SELECT last AS value FROM moment WHERE time <= ? ORDER BY time DESC LIMIT 1', time) ?? 0
  }
  timeOf(sequence: number): number | undefined {
    return this.#number('SELECT time AS value FROM moment WHERE first <= ? ORDER BY first DESC LIMIT 1', sequence)
  }
  versionAt(ref: ResourceRef, id: string, sequence: number): number | undefined {
    const object = this.#objectOf(ref, id)
    const version = object === undefined ? undefined : this.#number(VERSION_AT, object, sequence * 2 + 1)
    return version === undefined || version % 2 === 1 ? undefined : version / 2
  }
  deletedSince(ref: ResourceRef, id: string, sequence: number): boolean {
    const object = this.#objectOf(ref, id)
    return object !== undefined && this.#number(DELETED_SINCE, object, sequence * 2 + 1) !== undefined
  }
  async liveAt(ref: ResourceRef, sequence: number, namespace?: string): Promise<readonly Version[]> {
    const file = this.#file
    const collection = this.#number('SELECT id AS value FROM collection WHERE name = ?', resourceId(ref))
    if (collection === undefined) return []
    const prefix = namespace === undefined ? '' : `${namespace}/`
    const found: Version[] = []
    await this.#standingIn(collection, sequence, (id, version) => id.startsWith(prefix) && found.push({ id, sequence: version }))
    // Another file was begun meanwhile, which holds other rows: what was found is of neither.
    if (this.#file !== file) return this.liveAt(ref, sequence, namespace)
    return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  }
  async standingAt(sequence: number): Promise<readonly Standing[]> {
    const all = (statement: StatementSync): readonly { id: number; name: string }[] =>
      statement.all() as unknown as readonly { id: number; name: string }[]
    const collections = this.#asked(all, 'SELECT id, name FROM collection ORDER BY id') ?? []
    const standing: Standing[] = []
    for (const { id, name: collection } of collections) {
      await this.#standingIn(id, sequence, (name, version) => standing.push({ collection, id: name, version }))
    }
    return standing
  }
  async #standingIn(collection: number, sequence: number, tell: (id: string, version: number) => void): Promise<void> {
    const seen = new Set<number>()
    // What dies while this goes on moves from the first place that is looked at to a later one, and is found in one of them.
    const take = ([object, , , id, version]: Row): void => {
      if (version === null || version % 2 === 1 || seen.has(object)) return
      seen.add(object)
      tell(id, version / 2)
    }
    const at = sequence * 2 + 1
    await this.#steps(take, LIVING, [at, collection, sequence], 0, 0)
    for (const fork of forksOf(sequence, this.lastSequence)) {
      if (fork <= sequence) await this.#steps(take, DIED, [at, collection, fork], sequence, LAST_ID)
      else await this.#steps(take, BORN, [at, collection, fork, sequence], 0, 0)
    }
  }
  /** All rows behind one, so many at a time. */
  async #steps(take: (row: Row) => void, sql: string, values: readonly SQLInputValue[], by: number, id: number): Promise<void> {
    for (;;) {
      const rows = this.#asked((statement) => asRows(statement).all(...values, by, id, STEP) as unknown as readonly Row[], sql) ?? []
      rows.forEach(take)
      if (rows.length < STEP) return
      ;[, by, id] = rows.at(-1) as Row
      await breathe()
    }
  }
  #objectOf(ref: ResourceRef, id: string): number | undefined {
    return this.#number(OBJECT, resourceId(ref), id)
  }
  #number(sql: string, ...values: SQLInputValue[]): number | undefined {
    return (this.#row(sql, ...values) as { value: number | null } | undefined)?.value ?? undefined
  }
  #row(sql: string, ...values: SQLInputValue[]): object | undefined {
    return this.#asked((statement) => statement.get(...values), sql)
  }
  /** Undefined while there is no index, or none that can be read: from then on there is none until the writer tells of one. */
  #asked<Answer>(ask: (statement: StatementSync) => Answer, sql: string): Answer | undefined {
    try {
      const open = this.#connected()
      if (open === undefined) return undefined
      let statement = open.statements.get(sql)
      if (statement === undefined) open.statements.set(sql, (statement = open.database.prepare(sql)))
      return ask(statement)
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_SQLITE_ERROR') throw error
      const file = this.#open?.file ?? this.#file
      this.#release()
      if (this.#file === file) this.#file = undefined
      if (file !== undefined) this.#onDamaged(file)
      return undefined
    }
  }
  #connected(): Open | undefined {
    const file = this.#file
    if (this.#open?.file === file) return this.#open
    this.#release()
    if (file === undefined || !existsSync(file)) return undefined
    const database = new DatabaseSync(file, { readOnly: true, timeout: 1_000 })
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}; PRAGMA query_only = 1`)
    return (this.#open = { database, statements: new Map(), file })
  }
}

/** Rows as arrays instead of objects with names, which take twice as long. */
const asRows = (statement: StatementSync & { setReturnArrays?(on: boolean): void }): StatementSync => {
  statement.setReturnArrays?.(true)
  return statement
}

const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
