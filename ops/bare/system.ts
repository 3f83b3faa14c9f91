/** One bare system: a folder as its root, namespaces of its own of every kind, and a way out through slirp4netns. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { BARE_FOLDER, told } from '#ops/environment.ts'
import { identify, isProcess, type ProcessIdentity } from '#ops/setup/process.ts'
import { CACHE, type Report, run } from '#ops/setup/project.ts'
import { createGroups, groupFolders, removeGroups, type ControlGroups } from './cgroups.ts'
import { environmentIn, type Settings, writeSettings } from './settings.ts'

const ENTER = join(import.meta.dirname, 'enter.sh')
const INIT = join(import.meta.dirname, 'init.sh')
const HOST = 'bare'
const READY_LIMIT_MS = 30_000

export interface Ended {
  readonly code: number
  readonly output: string
  readonly timedOut: boolean
}

export interface BareSystem {
  readonly root: string
  /** Its process 1, as this machine numbers it. */
  readonly pid: number
  /** Writes a script that opens a shell inside; its path. */
  writeDoor(cwd: string): string
  /** Runs a command inside; `onLine` gets what it writes. Killed after the limit. */
  run(command: readonly string[], options: { readonly limitMs: number; readonly cwd?: string; readonly onLine?: Report }): Promise<Ended>
  /** Ends every process in it and takes away all that was made for it. */
  stop(): Promise<void>
}

const PREFIX = 'reckon-bare-'
const OVERLAYFS = 0x794c7630
const TMPFS = 0x01021994
const SPACE_BYTES = 4 * 2 ** 30

/** Where roots stand: containers inside lay file systems of their own over it, and that takes a real disk. */
export const rootsFolder = (): string => {
  const chosen = told(BARE_FOLDER)
  const candidates = chosen === undefined ? [join(CACHE, 'bare'), '/var/tmp'] : [chosen]
  const faults: string[] = []
  for (const folder of candidates) {
    mkdirSync(folder, { recursive: true })
    const { type, bavail, bsize } = statfsSync(folder)
    if (type === OVERLAYFS || type === TMPFS) faults.push(`${folder} is on ${type === TMPFS ? 'tmpfs' : 'overlayfs'}`)
    else if (bavail * bsize < SPACE_BYTES) faults.push(`${folder} has less than 4 GiB free`)
    else return folder
  }
  throw new Error(`${faults.join(', and ')}: name a folder on a disk with room in RECKON_BARE_DIR`)
}

interface Owner {
  readonly process: ProcessIdentity | undefined
  readonly groups: readonly string[]
}

/** A folder that `sweep` removes when its maker is gone, with the control groups that go by its name. */
export const makePlace = (folder: string): string => {
  const place = mkdtempSync(join(folder, PREFIX))
  writeFileSync(
    join(place, 'owner'),
    JSON.stringify({ process: identify(process.pid), groups: groupFolders(basename(place)) } satisfies Owner)
  )
  return place
}

/** Takes away what a run left that was killed without a word: its processes died with it, files and control groups did not. */
export const sweep = async (folder: string, report: Report): Promise<void> => {
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith(PREFIX))) {
    const place = join(folder, name)
    const owner = existsSync(join(place, 'owner')) ? (JSON.parse(readFileSync(join(place, 'owner'), 'utf8')) as Owner) : undefined
    if (owner?.process !== undefined && isProcess(owner.process)) continue
    report(`removing what an earlier run left in ${place}`)
    await removeGroups(owner?.groups ?? [])
    rmSync(place, { recursive: true, force: true })
  }
}

/** Unpacks the base and starts it. The caller must call `stop`. */
export const startSystem = async (archive: string, folder: string, settings: Settings, report: Report): Promise<BareSystem> => {
  const system = new System(makePlace(folder), settings, report)
  try {
    await system.start(archive)
    return system
  } catch (error) {
    await system.stop()
    throw error
  }
}

class System implements BareSystem {
  readonly root: string
  pid = 0
  readonly #place: string
  readonly #settings: Settings
  readonly #report: Report
  readonly #commands = new Set<Promise<unknown>>()
  #groups: ControlGroups | undefined
  #namespaces: ChildProcess | undefined
  #network: ChildProcess | undefined

  constructor(place: string, settings: Settings, report: Report) {
    this.#place = place
    this.root = join(place, 'root')
    this.#settings = settings
    this.#report = report
  }

  async start(archive: string): Promise<void> {
    mkdirSync(this.root, { mode: 0o755 })
    await run('tar', ['-C', this.root, '--numeric-owner', '-xpf', archive])
    writeSettings(this.root, this.#settings, HOST)
    this.#groups = createGroups(groupFolders(basename(this.#place)))
    // A process that dies with this one, and takes every other in its namespaces along. Never this machine's mounts:
    // all that init.sh mounts is in a namespace that ends with its last process.
    const child = spawn(
      'setpriv',
      [
        ...['--pdeathsig=KILL', 'sh', ENTER, ...this.#groups.first, '--'],
        ...['unshare', '--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child=KILL'],
        ...['sh', INIT, this.root, HOST, ...this.#groups.mounts]
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin' } }
    )
    this.#namespaces = child
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    const lines = createInterface({ input: child.stdout })
    const failed = Promise.race([
      once(child, 'error').then(([error]) => Promise.reject(error as Error)),
      once(child, 'exit').then(() => Promise.reject(new Error(`its namespaces could not be made: ${errors.trim()}`)))
    ])
    const late = AbortSignal.timeout(READY_LIMIT_MS)
    await Promise.race([
      failed,
      once(late, 'abort').then(() => Promise.reject(new Error(`it did not start within ${READY_LIMIT_MS / 1000} s: ${errors.trim()}`))),
      new Promise<void>((ready) => {
        lines.on('line', (line) => {
          if (line.startsWith('pid ')) this.pid = Number(line.slice(4))
          if (line === 'ready') ready()
        })
      })
    ])
    failed.catch(() => {})
    if (child.pid !== undefined) this.#groups.settle([child.pid, this.pid])
    await this.#connect()
  }

  /**
   * A network stack in a process of this machine: nothing of the machine's own rules, interfaces and settings changes,
   * so nothing can be left behind, and it works behind any firewall. A veth pair with NAT would be faster and would need all of them.
   */
  async #connect(): Promise<void> {
    const loopback = this.#settings.loopback ? [] : ['--disable-host-loopback']
    const child = spawn(
      'slirp4netns',
      ['--configure', '--mtu=65520', ...loopback, '--ready-fd=3', '--exit-fd=4', String(this.pid), 'eth0'],
      {
        stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
        detached: true
      }
    )
    this.#network = child
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-2000)))
    const ready = child.stdio[3]
    if (ready === null || ready === undefined) throw new Error('slirp4netns has no pipe to say that it is ready')
    await Promise.race([
      once(ready, 'data'),
      once(child, 'error').then(([error]) => Promise.reject(error as Error)),
      once(child, 'exit').then(() => Promise.reject(new Error(`its network could not be made: ${errors.trim()}`)))
    ])
  }

  /** The words that run a command inside. Its environment is the caller's: a proxy's password is nothing for a list of processes. */
  #inside(command: readonly string[], cwd: string): string[] {
    return [
      ...['sh', ENTER, ...(this.#groups?.later ?? []), '--'],
      ...['nsenter', `--target=${this.pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'],
      ...['env', '-C', cwd, ...command]
    ]
  }

  writeDoor(cwd: string): string {
    const door = join(this.#place, 'enter')
    const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`
    const lines = [
      '#!/bin/sh',
      'for name in $(env | cut -d= -f1); do unset "$name" 2>/dev/null; done',
      ...Object.entries(environmentIn(this.#settings)).map(([name, value]) => `export ${name}=${quoted(value)}`)
    ]
    writeFileSync(door, [...lines, `exec ${this.#inside(['bash', '-i'], cwd).map(quoted).join(' ')}`, ''].join('\n'), { mode: 0o700 })
    return door
  }

  run(command: readonly string[], options: Parameters<BareSystem['run']>[1]): Promise<Ended> {
    const done = this.#run(command, options)
    this.#commands.add(done)
    void done.finally(() => this.#commands.delete(done)).catch(() => {})
    return done
  }

  async #run(command: readonly string[], { limitMs, cwd = '/root', onLine }: Parameters<BareSystem['run']>[1]): Promise<Ended> {
    const child = spawn('setpriv', ['--pdeathsig=KILL', ...this.#inside(command, cwd)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: environmentIn(this.#settings)
    })
    let output = ''
    let timedOut = false
    const limit = setTimeout(() => {
      timedOut = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, limitMs)
    const read = [child.stdout, child.stderr].map(
      (stream) =>
        new Promise<void>((end) => {
          createInterface({ input: stream })
            .on('line', (line) => {
              output += `${line}\n`
              onLine?.(line)
            })
            .on('close', end)
        })
    )
    const code = await new Promise<number>((end, fail) => {
      child.once('error', fail)
      child.once('exit', (status) => end(status ?? 1))
    }).finally(() => clearTimeout(limit))
    // What it started in the background may hold the pipes; what it wrote itself is there.
    await Promise.race([Promise.all(read), new Promise((enough) => setTimeout(enough, 500))])
    return { code, output, timedOut }
  }

  async stop(): Promise<void> {
    const ended =
      this.#namespaces !== undefined && this.#namespaces.exitCode === null && this.#namespaces.signalCode === null
        ? once(this.#namespaces, 'exit')
        : undefined
    if (ended !== undefined) {
      // With process 1 the kernel ends every process of its namespace, and unshare ends after the last of them.
      if (this.pid !== 0) process.kill(this.pid, 'SIGKILL')
      else this.#namespaces?.kill('SIGKILL')
      await ended
    }
    await Promise.allSettled(this.#commands)
    if (this.#network !== undefined && this.#network.exitCode === null && this.#network.signalCode === null) {
      const gone = once(this.#network, 'exit')
      this.#network.kill('SIGTERM')
      await gone
    }
    await removeGroups(groupFolders(basename(this.#place))).catch((error: Error) => this.#report(error.message))
    rmSync(this.#place, { recursive: true, force: true, maxRetries: 5 })
  }
}
