/** The bare Debian itself, with Node and npm: made once by debootstrap and kept as an archive, refreshed when it is old. */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE, type Report, run } from '#ops/setup/project.ts'
import { KEYRING, SUITE, type Settings } from './settings.ts'
import { makePlace } from './system.ts'

/** What README.md promises to run on. */
const NODE = 'node@20'
const NPM = 'npm@10'
const FOLDER = join(CACHE, 'bare')
/** Point releases and security updates come about as often. */
const FRESH_MS = 14 * 24 * 3600 * 1000

/** The archive of a base, made now when there is none or an old one. `folder`: on a disk with room to make it. */
export const ensureBase = async (folder: string, settings: Settings, report: Report): Promise<string> => {
  const recipe = createHash('sha256').update([SUITE, NODE, NPM, process.arch, settings.mirror].join(' ')).digest('hex').slice(0, 12)
  const archive = join(FOLDER, `base-${recipe}.tar`)
  if (existsSync(archive) && Date.now() - statSync(archive).mtimeMs < FRESH_MS) return archive
  mkdirSync(FOLDER, { recursive: true })
  const work = makePlace(folder)
  try {
    report(`making a Debian ${SUITE} (debootstrap --variant=minbase), with ${NODE} and ${NPM}; it is kept in .cache/bare`)
    const root = join(work, 'root')
    await Promise.all([bootstrap(root, settings.mirror), fetchNode(join(work, 'node'))])
    putNode(join(work, 'node/node_modules'), root)
    await run('tar', ['-C', root, '--numeric-owner', '-cf', `${archive}.${process.pid}`, '.'])
    renameSync(`${archive}.${process.pid}`, archive)
  } finally {
    rmSync(`${archive}.${process.pid}`, { force: true })
    rmSync(work, { recursive: true, force: true })
  }
  for (const old of readdirSync(FOLDER).filter((name) => /^base-\w+\.tar$/.test(name) && !archive.endsWith(name)))
    rmSync(join(FOLDER, old), { force: true })
  return archive
}

/** In namespaces of its own, debootstrap's mounts end with it, however it ends. */
const bootstrap = async (root: string, mirror: string): Promise<void> => {
  await run('setpriv', [
    ...['--pdeathsig=KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
    ...['debootstrap', '--variant=minbase', `--keyring=${KEYRING}`, SUITE, root, mirror]
  ])
  const archives = join(root, 'var/cache/apt/archives')
  for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) rmSync(join(archives, file))
}

const fetchNode = async (into: string): Promise<void> => {
  mkdirSync(into, { recursive: true })
  await run('npm', ['install', '--prefix', into, '--no-save', '--no-audit', '--no-fund', NODE, NPM], { cwd: into })
}

/** As Node's own archive lays them out. */
const putNode = (modules: string, root: string): void => {
  const binary = join(modules, 'node/bin/node')
  if (!existsSync(binary)) throw new Error(`npm installed ${NODE} without its program (npm's ignore-scripts keeps it from being fetched)`)
  const local = join(root, 'usr/local')
  mkdirSync(join(local, 'lib/node_modules'), { recursive: true })
  cpSync(binary, join(local, 'bin/node'))
  cpSync(join(modules, 'npm'), join(local, 'lib/node_modules/npm'), { recursive: true, verbatimSymlinks: true })
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name))
}
