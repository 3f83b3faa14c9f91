/** Reading the index on disk, beside whoever writes it: each question sees one state of it, and none holds the writer up. */
import { existsSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Version } from '#projections/History.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Standing } from '#services/platform/past/Keyframe.ts'
import type { LogEntry } from '#events/Log.ts'
import type { Narrow, PastIndex, Traits } from '#services/platform/past/PastIndex.ts'
import { Waiters } from '#services/platform/Waiters.ts'
import { Pack } from './pack.ts'
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

/** Packs that are open. A list goes by names, and they by sequences: it comes back to each. */
const PACKS_BYTES = 8 * 1024 * 1024

/**
 * An object, what rows are ordered by, their id where that is not one of a kind, the object's name, its last version at the moment,
 * and what is said of that one.
 */
type Row = readonly [
  object: number,
  by: number,
  id: number,
  name: string,
  version: number | null,
  labels?: number | null,
  fields?: number | null
]

/** Of one namespace, or of all (0). */
const WITHIN = '(?2 = 0 OR namespace = ?2)'
const LAST = '(SELECT max(version) FROM version WHERE version.object = object.id AND version <= ?1)'
/** What is told of a life, `version` with what is said of it or alone. */
const FORMS = {
  plain: { columns: `object.name, ${LAST}`, tables: 'JOIN object ON object.id = life.object' },
  described: {
    columns: 'object.name, version.version, labels, fields',
    tables: `JOIN object ON object.id = life.object LEFT JOIN version ON version.object = object.id AND version.version = ${LAST}`
  }
} as const
type Form = (typeof FORMS)[keyof typeof FORMS]

/** Each goes on behind a row: what rows are ordered by and their ids. */
const living = ({ columns, tables }: Form): string => `SELECT life.object, life.object, 0, ${columns} FROM living AS life ${tables}
  WHERE life.collection = ?3 AND born <= ?4 AND ${WITHIN} AND life.object > ?5 AND 0 <= ?6 ORDER BY life.object LIMIT ?7`
const died = ({ columns, tables }: Form): string => `SELECT life.object, died, life.id, ${columns} FROM gone AS life ${tables}
  WHERE life.collection = ?3 AND fork = ?4 AND ${WITHIN} AND (died, life.id) > (?5, ?6) ORDER BY died, life.id LIMIT ?7`
const born = ({ columns, tables }: Form): string => `SELECT life.object, born, life.id, ${columns} FROM gone AS life ${tables}
  WHERE life.collection = ?3 AND fork = ?4 AND ${WITHIN} AND (born, life.id) > (?5, ?6) AND born <= ?8 ORDER BY born, life.id LIMIT ?7`
const NAMESPACE = 'SELECT id AS value FROM namespace WHERE name = ?'
const SAID = 'SELECT text FROM said WHERE id = ?'
const PACK_OF = 'SELECT last FROM pack WHERE last >= ? ORDER BY last LIMIT 1'
const PACK = 'SELECT data FROM pack WHERE last = ?'
const WAITING = 'SELECT entry FROM waiting WHERE sequence = ?'
const VERSION_AT = 'SELECT max(version) AS value FROM version WHERE object = ? AND version <= ?'
const VERSIONS = 'SELECT version FROM version WHERE object = ? ORDER BY version'
const DELETED_SINCE = 'SELECT 1 AS value FROM version WHERE object = ? AND version > ? AND version % 2 = 1 LIMIT 1'
const OBJECT =
  'SELECT object.id AS value FROM object JOIN collection ON collection.id = object.collection WHERE collection.name = ? AND object.name = ?'
const LAST_ID = Number.MAX_SAFE_INTEGER

/** What is looked for: in one namespace, or in all (0). */
interface Asked {
  readonly collection: number
  readonly within: number
  readonly sequence: number
  readonly described: boolean
}

type Tell = (id: string, version: number, labels?: number | null, fields?: number | null) => void

export class SqliteReader implements PastIndex {
  readonly stream: StreamName
  readonly #waiters: Waiters
  readonly #onDamaged: (file: string) => void
  #file: string | undefined
  #open: Open | undefined
  #filled: number | undefined
  /** Packs that are open, by their last sequences, the latest last; of the open file. */
  readonly #packs = new Map<number, Pack>()
  #packsBytes = 0

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
    this.#packs.clear()
    this.#packsBytes = 0
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
  async liveAt(ref: ResourceRef, sequence: number, namespace?: string, narrow?: Narrow): Promise<readonly Version[]> {
    const file = this.#file
    const collection = this.#number('SELECT id AS value FROM collection WHERE name = ?', resourceId(ref))
    const within = namespace === undefined ? 0 : this.#number(NAMESPACE, namespace)
    if (collection === undefined || within === undefined) return []
    const found: Version[] = []
    const passes = narrow && this.#passing(narrow)
    const tell = (id: string, version: number, labels?: number | null, fields?: number | null): void => {
      if (passes === undefined || passes(labels ?? null, fields ?? null)) found.push({ id, sequence: version })
    }
    await this.#standingIn({ collection, within, sequence, described: narrow !== undefined }, tell)
    // Another file was begun meanwhile, which holds other rows: what was found is of neither.
    if (this.#file !== file) return this.liveAt(ref, sequence, namespace, narrow)
    return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  }
  async standingAt(sequence: number): Promise<readonly Standing[]> {
    const all = (statement: StatementSync): readonly { id: number; name: string }[] =>
      statement.all() as unknown as readonly { id: number; name: string }[]
    const collections = this.#asked(all, 'SELECT id, name FROM collection ORDER BY id') ?? []
    const standing: Standing[] = []
    for (const { id, name: collection } of collections) {
      const tell: Tell = (name, version) => void standing.push({ collection, id: name, version })
      await this.#standingIn({ collection: id, within: 0, sequence, described: false }, tell)
    }
    return standing
  }
  /** Asked once for the labels that many share, and once for the fields: who wants neither wants no version that has both. */
  #passing(narrow: Narrow): (labels: number | null, fields: number | null) => boolean {
    const asking = (of: (said: Readonly<Record<string, string>>) => Traits): ((id: number | null) => boolean) => {
      const answers = new Map<number, boolean>()
      return (id) => {
        if (id === null) return true
        let answer = answers.get(id)
        if (answer === undefined) {
          const row = this.#row(SAID, id) as { text: string } | undefined
          answers.set(id, (answer = row === undefined || narrow(of(JSON.parse(row.text) as Record<string, string>))))
        }
        return answer
      }
    }
    const [byLabels, byFields] = [asking((labels) => ({ labels })), asking((fields) => ({ fields }))]
    return (labels, fields) => byLabels(labels) && byFields(fields)
  }
  placesOf(ref: ResourceRef, id: string): readonly number[] {
    const object = this.#objectOf(ref, id)
    if (object === undefined) return []
    const all = (statement: StatementSync): readonly { version: number }[] =>
      statement.all(object) as unknown as readonly { version: number }[]
    return (this.#asked(all, VERSIONS) ?? []).map(({ version }) => Math.floor(version / 2))
  }
  entryAt(sequence: number): LogEntry | undefined {
    const row = this.#row(PACK_OF, sequence) as { last: number } | undefined
    const found = row && this.#packed(row.last, sequence)
    if (found !== undefined) return found
    const waiting = this.#row(WAITING, sequence) as { entry: string } | undefined
    return waiting && (JSON.parse(waiting.entry) as LogEntry)
  }
  #packed(last: number, sequence: number): LogEntry | undefined {
    const known = this.#packs.get(last)
    const found = known?.get(sequence)
    // After a compaction another pack may go by this number.
    if (known !== undefined) {
      this.#packs.delete(last)
      this.#packsBytes -= known.bytes
    }
    if (known !== undefined && found !== undefined) {
      this.#packs.set(last, known)
      this.#packsBytes += known.bytes
      return found
    }
    const row = this.#row(PACK, last) as { data: Uint8Array } | undefined
    const pack = row && openPack(row.data)
    if (pack === undefined) return undefined
    this.#packs.set(last, pack)
    this.#packsBytes += pack.bytes
    for (const [oldest, { bytes }] of this.#packs) {
      if (this.#packsBytes <= PACKS_BYTES) break
      this.#packs.delete(oldest)
      this.#packsBytes -= bytes
    }
    return pack.get(sequence)
  }
  async #standingIn({ collection, within, sequence, described: full }: Asked, tell: Tell): Promise<void> {
    const seen = new Set<number>()
    // What dies while this goes on moves from the first place that is looked at to a later one, and is found in one of them.
    const take = ([object, , , id, version, labels, fields]: Row): void => {
      if (version === null || version % 2 === 1 || seen.has(object)) return
      seen.add(object)
      tell(id, version / 2, labels, fields)
    }
    const form = full ? FORMS.described : FORMS.plain
    const at = [sequence * 2 + 1, within, collection]
    await this.#steps(take, living(form), [...at, sequence], 0, 0)
    for (const fork of forksOf(sequence, this.lastSequence)) {
      if (fork <= sequence) await this.#steps(take, died(form), [...at, fork], sequence, LAST_ID)
      else await this.#steps(take, born(form), [...at, fork], 0, 0, sequence)
    }
  }
  /** All rows behind one, so many at a time. */
  async #steps(
    take: (row: Row) => void,
    sql: string,
    values: readonly SQLInputValue[],
    by: number,
    id: number,
    ...more: number[]
  ): Promise<void> {
    for (;;) {
      const rows =
        this.#asked((statement) => asRows(statement).all(...values, by, id, STEP, ...more) as unknown as readonly Row[], sql) ?? []
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

/** One that has rotted is read from the log, which has it all. */
const openPack = (data: Uint8Array): Pack | undefined => {
  try {
    return new Pack(data)
  } catch {
    return undefined
  }
}

const breathe = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
