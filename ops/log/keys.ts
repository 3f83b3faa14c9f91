/**
 * The keys that seal the log, and the master keys that wrap the keys of confidential objects, in the home: one file a key, 32
 * random bytes each; the last one by name serves what is new.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeSecret } from '#ops/home.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { nodeKey, oneNode, type BindingSeal } from '#services/platform/secrets/NodeKeys.ts'

export const keysFolder = (home: string): string => join(home, 'keys')

/** Makes what is missing. */
export const ensureKeys = (home: string): void => {
  for (const kind of ['log', 'secrets']) {
    const folder = join(keysFolder(home), kind)
    if (!existsSync(folder) || readdirSync(folder).length === 0) writeSecret(join(folder, 'k1'), randomBytes(32))
  }
}

/** A node's own keys, for its agent: what it must run is sealed with them. Written where the API server's home is. */
export const ensureNodeKeys = (home: string, node: string): void => {
  for (const [name, master] of loadMasters(home)) {
    const path = join(keysFolder(home), nodeFolder(node), name)
    if (!existsSync(path)) writeSecret(path, nodeKey(master, node))
  }
}

/** A node's keys by name, base64, for its own home. */
export const nodeKeysOf = (home: string, node: string): Readonly<Record<string, string>> =>
  Object.fromEntries([...loadMasters(home)].map(([name, master]) => [name, Buffer.from(nodeKey(master, node)).toString('base64')]))

export const installNodeKeys = (home: string, node: string, keys: Readonly<Record<string, string>>): void => {
  for (const [name, key] of Object.entries(keys)) writeSecret(join(keysFolder(home), nodeFolder(node), name), Buffer.from(key, 'base64'))
}

const nodeFolder = (node: string): string => join('nodes', node)

export const loadNodeKeys = (home: string, node: string): BindingSeal => oneNode(node, load(home, nodeFolder(node)))

const load = (home: string, kind: string): ReadonlyMap<string, Uint8Array> => {
  const folder = join(keysFolder(home), kind)
  const names = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => /^k\d+$/.test(name))
    .sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]))
}

/** What the API server seals and checks entries with. Throws when the home has no key. */
export const loadSeal = (home: string): Seal => new Seal(load(home, 'log'))

export const loadMasters = (home: string): ReadonlyMap<string, Uint8Array> => load(home, 'secrets')
