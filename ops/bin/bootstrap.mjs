/**
 * What runs under the machine's own Node (20 is enough) before any package is there: brings in Node 24, the packages
 * and the generated schema, then hands over to the TypeScript. Uses nothing but Node itself and npm.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '../..')
const CACHE = join(PROJECT, '.cache')
const NODE = join(PROJECT, 'node_modules/.bin/node')
const STAMP = join(PROJECT, 'node_modules/.reckon-stamp')
const LOCK = join(CACHE, 'install.lock')

/** Prepares the checkout, then runs a TypeScript file of it in this process' place and leaves with its exit code. */
export const runUnderNode24 = (script, args) => {
  try {
    ensurePackages()
    ensureSchema()
  } catch (error) {
    process.stderr.write(`reckon: ${error.message}\n`)
    process.exit(1)
  }
  const child = spawn(NODE, [join(PROJECT, script), ...args], { stdio: 'inherit' })
  // A terminal sends its signals to the whole group; the child's end decides ours. Signals sent to us alone are passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    process.stderr.write(`reckon: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

const say = (line) => process.stderr.write(`${line}\n`)

/** What the installed packages must match: the lock file. */
const stamp = () =>
  createHash('sha256')
    .update(readFileSync(join(PROJECT, 'package-lock.json')))
    .digest('hex')

const isInstalled = () => {
  if (!existsSync(NODE)) return false
  if (existsSync(STAMP)) return readFileSync(STAMP, 'utf8') === stamp()
  // Installed by hand: npm writes its hidden lock file at the very end of an installation.
  const byHand = join(PROJECT, 'node_modules/.package-lock.json')
  if (!existsSync(byHand) || statSync(byHand).mtimeMs < statSync(join(PROJECT, 'package-lock.json')).mtimeMs) return false
  if (versionOf(NODE) !== `v${nodeVersion()}`) return false
  writeFileSync(STAMP, stamp())
  return true
}

/** The Node this project runs on, written once, in package.json. */
const nodeVersion = () => JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')).dependencies.node

const ensurePackages = () => {
  if (isInstalled()) return
  withLock(() => {
    if (isInstalled()) return
    const node24 = ensureNode24()
    say('installing the packages (npm ci); the first time this takes a minute …')
    // npm run by an older Node leaves out what needs a newer one, so npm's own program runs under Node 24.
    npm(node24, ['ci', '--no-audit', '--no-fund'], PROJECT)
    writeFileSync(STAMP, stamp())
    say('the packages are installed')
  })
}

const ensureNode24 = () => {
  const version = nodeVersion()
  if (process.versions.node === version) return process.execPath
  const folder = join(CACHE, 'node24')
  const binary = join(folder, 'node_modules/node/bin/node')
  if (!existsSync(binary) || versionOf(binary) !== `v${version}`) {
    say(`installing Node ${version} into .cache/node24 (this machine has ${process.versions.node}) …`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    npm(process.execPath, ['install', '--no-audit', '--no-fund', '--no-save', `node@${version}`], folder)
    const installed = versionOf(binary)
    if (installed !== `v${version}`) throw new Error(`npm installed node@${version}, but ${binary} answers ${installed ?? 'nothing'}`)
  }
  return binary
}

const versionOf = (binary) => {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** Runs npm's own JavaScript under the given Node, with that Node first on PATH for the packages' install scripts. */
const npm = (node, args, cwd) => {
  const path = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`
  // npm would leave a cache of its own program in the folder for passing files, for a Node that it never runs under again.
  const env = { ...process.env, PATH: path, NODE_DISABLE_COMPILE_CACHE: '1' }
  // Set when we were started by `npm start`: settings of the outer npm that must not leak into the inner one.
  for (const name of Object.keys(env)) {
    if (
      /^npm_(config_(global_prefix|local_prefix|prefix|global|omit|include|production)|package_|lifecycle_|command|execpath|node_execpath)/.test(
        name
      )
    )
      delete env[name]
  }
  delete env.NODE_ENV
  const { status, error, stdout, stderr } = spawnSync(node, [npmProgram(), ...args], {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe']
  })
  if (status === 0) return
  const tail = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-20).join('\n')
  throw new Error(`npm ${args[0]} failed in ${cwd}${error ? `: ${error.message}` : ''}\n${tail}`)
}

const npmProgram = () => {
  const candidates = [process.env.npm_execpath]
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder !== '' && existsSync(join(folder, 'npm'))) candidates.push(realpathSync(join(folder, 'npm')))
  }
  candidates.push(join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js'))
  const found = candidates.find((path) => path !== undefined && path.endsWith('npm-cli.js') && existsSync(path))
  if (found === undefined) throw new Error('npm is not on PATH: install npm and run this again')
  return found
}

const ensureSchema = () => {
  const generator = join(PROJECT, 'ops/generateSchema.ts')
  if (!existsSync(generator)) return
  const output = join(PROJECT, 'events/schema/generated')
  const isCurrent = () => {
    const written = newest(output)
    const made = [generator, join(PROJECT, 'ops/schemaTypes.ts'), STAMP].map((file) => statSync(file).mtimeMs)
    return written > Math.max(...made, newest(join(PROJECT, 'events/schema/facts')))
  }
  if (isCurrent()) return
  withLock(() => {
    if (isCurrent()) return
    say('generating the schema of the API objects …')
    const { status } = spawnSync(NODE, [generator], { cwd: PROJECT, stdio: ['ignore', 'ignore', 'inherit'] })
    if (status !== 0) throw new Error('ops/generateSchema.ts failed (its message is above)')
  })
}

/** When the newest file of a folder was written; 0 for a folder that is empty or not there. */
const newest = (folder) => {
  if (!existsSync(folder)) return 0
  return Math.max(0, ...readdirSync(folder).map((file) => statSync(join(folder, file)).mtimeMs))
}

const LOCK_WAIT_MS = 10 * 60 * 1000

/** One installer at a time in a checkout; a lock left by a process that is gone is taken over. */
const withLock = (task) => {
  mkdirSync(CACHE, { recursive: true })
  const deadline = Date.now() + LOCK_WAIT_MS
  let told = false
  while (!takeLock()) {
    if (Date.now() > deadline) throw new Error(`another installation holds ${LOCK}; remove it if there is none`)
    if (!told) say('waiting for another installation in this checkout …')
    told = true
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250)
  }
  try {
    task()
  } finally {
    rmSync(LOCK, { force: true })
  }
}

const takeLock = () => {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  try {
    const holder = Number(readFileSync(LOCK, 'utf8'))
    if (holder > 0) process.kill(holder, 0)
  } catch (error) {
    if (error.code === 'ESRCH') rmSync(LOCK, { force: true })
  }
  return false
}
