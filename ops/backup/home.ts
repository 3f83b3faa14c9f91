/** What of a home a restored one needs besides the log: its configuration, its authority, its keys. The rest is made anew. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { configPath, nodePath, writeSecret } from '#ops/home.ts'
import { keysFolder } from '#ops/log/keys.ts'
import type { HomeFile } from './format.ts'

/**
 * The authority, so that kubeconfigs go on to work; the key of service account tokens; what seals the log and wraps the keys of
 * Secrets. Not the certificates it signed nor the NATS users' seeds: those are made anew, so that whoever has the old ones, the
 * lost cluster's processes among them, does not get in.
 */
const WANTED = /^(config\.json|node\.json|pki\/ca\.(crt|key)|pki\/sa\.key|pki\/sa-retired\/\d+\.pub|keys\/(log|secrets)\/k\d+)$/

const within = (home: string, folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name).slice(home.length + 1))
    : []

export const homeFiles = (home: string): readonly HomeFile[] =>
  [
    ...[configPath(home), nodePath(home)].filter((path) => existsSync(path)).map((path) => path.slice(home.length + 1)),
    ...within(home, join(home, 'pki')),
    ...within(home, keysFolder(home))
  ]
    .filter((path) => WANTED.test(path) && statSync(join(home, path)).isFile())
    .sort()
    .map((path) => ({ path, modified: statSync(join(home, path)).mtimeMs, content: readFileSync(join(home, path)).toString('base64') }))

/** Writes them into another home, all but the configuration: with that it becomes one. */
export const writeHomeFiles = (home: string, files: readonly HomeFile[]): void => {
  for (const { path, modified, content } of files) {
    if (!WANTED.test(path) || path === 'config.json' || path === 'node.json') continue
    const target = join(home, path)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    writeSecret(target, Buffer.from(content, 'base64'))
    // A signing key's age is its file's.
    utimesSync(target, new Date(modified), new Date(modified))
  }
}

export const configIn = (files: readonly HomeFile[]): string => {
  const read = (name: string): object | undefined => {
    const found = files.find(({ path }) => path === name)
    return found === undefined ? undefined : (JSON.parse(Buffer.from(found.content, 'base64').toString()) as object)
  }
  const cluster = read('config.json')
  if (cluster === undefined) throw new Error('the backup has no config.json')
  // Of before there were two, all of it is in the one.
  return JSON.stringify({ ...read('node.json'), ...cluster })
}
