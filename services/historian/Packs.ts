/**
 * Writing packs: what comes waits in a table of its own until it makes a pack, so that each step is whole on disk. A pack goes by its
 * last sequence: an entry is in the first one that does not end before it.
 */
import type { SQLOutputValue, StatementSync } from 'node:sqlite'
import type { LogEntry } from '#events/Log.ts'
import { Pack, PACK_BYTES, packOf, sizeOf } from './pack.ts'

/** Packs that are looked at in one slice of giving back room. */
const SLICE = 100

type Put = (sql: string) => StatementSync

export class Packs {
  readonly #put: Put
  /** What waits, oldest first; undefined: it is to be read from the table. */
  #waiting: LogEntry[] | undefined
  #size = 0
  /** So many of those that wait stand in the table. */
  #stored = 0
  #trimmedTo = 0

  constructor(put: Put) {
    this.#put = put
  }
  /** What is known here may not be so: a step was taken back, or another file was begun. */
  forget(): void {
    this.#waiting = undefined
    this.#trimmedTo = 0
  }
  add(entry: LogEntry): void {
    const waiting = (this.#waiting ??= this.#read())
    waiting.push(entry)
    this.#size += sizeOf(entry)
    if (this.#size < PACK_BYTES) return
    this.#write(waiting)
    if (this.#stored > 0) this.#put('DELETE FROM waiting').run()
    this.#waiting = []
    this.#size = 0
    this.#stored = 0
  }
  /** At the end of a step. */
  settle(): void {
    if (this.#waiting === undefined) return
    for (const entry of this.#waiting.slice(this.#stored))
      this.#put('INSERT INTO waiting VALUES (?, ?)').run(entry.sequence, JSON.stringify(entry))
    this.#stored = this.#waiting.length
  }
  #read(): LogEntry[] {
    const rows = this.#put('SELECT entry FROM waiting ORDER BY sequence').all() as unknown as readonly { entry: string }[]
    const waiting = rows.map(({ entry }) => JSON.parse(entry) as LogEntry)
    this.#stored = waiting.length
    this.#size = waiting.reduce((sum, entry) => sum + sizeOf(entry), 0)
    return waiting
  }
  #write(entries: readonly LogEntry[]): void {
    this.#put('INSERT INTO pack VALUES (?, ?)').run((entries.at(-1) as LogEntry).sequence, packOf(entries))
  }
  /** What has left the stream before `first`: a slice of it; false when there is no more. */
  expire(first: number): boolean {
    const { changes } = this.#put('DELETE FROM pack WHERE last IN (SELECT last FROM pack WHERE last < ? ORDER BY last LIMIT ?)').run(
      first,
      SLICE
    )
    return Number(changes) === SLICE
  }
  /** Up to the floor, what the index still has a version of is kept, and packed anew: a slice of it; false when there is no more. */
  trim(floor: number, isKept: (entry: LogEntry) => boolean): boolean {
    const rows = this.#put('SELECT last, data FROM pack WHERE last > ? AND last <= ? ORDER BY last LIMIT ?').all(
      this.#trimmedTo,
      floor,
      SLICE
    ) as Record<string, SQLOutputValue>[]
    let kept: LogEntry[] = []
    let size = 0
    for (const { last, data } of rows) {
      this.#trimmedTo = last as number
      this.#put('DELETE FROM pack WHERE last = ?').run(this.#trimmedTo)
      const pack = new Pack(data as Uint8Array)
      for (const sequence of pack.sequences) {
        const entry = pack.get(sequence) as LogEntry
        if (!isKept(entry)) continue
        kept.push(entry)
        size += sizeOf(entry)
      }
      if (size < PACK_BYTES) continue
      this.#write(kept)
      ;[kept, size] = [[], 0]
    }
    if (kept.length > 0) this.#write(kept)
    if (rows.length === SLICE) return true
    this.#trimmedTo = 0
    return false
  }
}
