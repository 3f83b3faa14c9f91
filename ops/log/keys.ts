/** The keys that seal the log, in the home: one file a key, 32 random bytes each; the last one by name seals what is new. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeSecret } from '#ops/home.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'

const FIRST = 'k1'

export const logKeysFolder = (home: string): string => join(home, 'keys/log')

export const ensureLogKey = (home: string): void => {
  const folder = logKeysFolder(home)
  if (!existsSync(folder) || readdirSync(folder).length === 0) writeSecret(join(folder, FIRST), randomBytes(32))
}

/** What the API server seals and checks entries with. Throws when the home has no key. */
export const loadSeal = (home: string): Seal => {
  const folder = logKeysFolder(home)
  const names = (existsSync(folder) ? readdirSync(folder) : []).filter((name) => /^k\d+$/.test(name)).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
  return new Seal(new Map(names.map((name) => [name, readFileSync(join(folder, name))])))
}
