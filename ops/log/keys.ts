/**
 * The keys that seal the log, and the master keys that wrap the keys of confidential objects, in the home: one file a key, 32
 * random bytes each; the last one by name serves what is new.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeSecret } from '#ops/home.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'

export const keysFolder = (home: string): string => join(home, 'keys')

/** Makes what is missing. */
export const ensureKeys = (home: string): void => {
  for (const kind of ['log', 'secrets']) {
    const folder = join(keysFolder(home), kind)
    if (!existsSync(folder) || readdirSync(folder).length === 0) writeSecret(join(folder, 'k1'), randomBytes(32))
  }
}

const load = (home: string, kind: string): ReadonlyMap<string, Uint8Array> => {
  const folder = join(keysFolder(home), kind)
  const names = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => /^k\d+$/.test(name)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]))
}

/** What the API server seals and checks entries with. Throws when the home has no key. */
export const loadSeal = (home: string): Seal => new Seal(load(home, 'log'))

export const loadMasters = (home: string): ReadonlyMap<string, Uint8Array> => load(home, 'secrets')
