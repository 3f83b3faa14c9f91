/** The index's database as its writer opens it, and the rows in which it says how far it is. */
import type { DatabaseSync } from 'node:sqlite'

const CACHE_KIB = 32 * 1024

export interface PlaceRow {
  readonly identity: string
  readonly sequence: number
  readonly chain: number
  readonly hash: Uint8Array | null
  readonly floor: number
  readonly trimmed: number
  readonly gone: number
  readonly standing: Uint8Array | null
}

export interface MomentRow {
  readonly first: number
  readonly last: number
  readonly time: number
}

export const prepared = (database: DatabaseSync): DatabaseSync => {
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -${CACHE_KIB}`)
  // What a long step made of the write-ahead log is given back.
  database.exec('PRAGMA journal_size_limit = 67108864')
  return database
}
