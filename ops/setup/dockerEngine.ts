/** Docker Engine: installed when missing, started when it does not run, and stopped again when it was ours and nobody needs it. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, openSync, closeSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { privateFolder } from '#ops/home.ts'
import { dockerMounts, restoreMounts } from './dockerMounts.ts'
import { captureNetwork, type NetworkBefore, restoreNetwork } from './dockerNetwork.ts'
import { installMissing } from './programs.ts'
import { findProgram, type Report, run } from './project.ts'
import { isProcess, type ProcessIdentity, identify, stopProcess } from './process.ts'

const SOCKET = '/var/run/docker.sock'
/** Machine-wide and gone after a reboot, as the daemon is: clusters side by side share one Docker Engine. */
const STATE = '/run/reckon'
const STARTED = join(STATE, 'dockerd.json')
const CLAIMS = join(STATE, 'docker-users')
const START_LIMIT_MS = 60_000

interface Started {
  readonly daemon: ProcessIdentity
  readonly network: NetworkBefore
  /** Absent when an earlier version wrote it. */
  readonly mounts?: readonly string[]
}

/** Returns when Docker Engine answers. A daemon started here is written down, and `home` as one that uses it. */
export const ensureDocker = async (home: string, report: Report): Promise<void> => {
  if (!(await dockerAnswers())) await startDocker(home, report)
  if (startedByUs() === undefined) return
  mkdirSync(CLAIMS, { recursive: true, mode: 0o700 })
  writeFileSync(claimOf(home), home)
}

/** Says that `home` needs Docker Engine no longer; stops it when we started it and nothing else uses it. */
export const releaseDocker = async (home: string, report: Report): Promise<void> => {
  rmSync(claimOf(home), { force: true })
  const started = startedByUs()
  if (started === undefined) return
  if (claims().length > 0) return report('Docker Engine stays: another cluster on this machine uses it')
  const running = await runningContainers()
  if (running > 0) return report(`Docker Engine stays: ${running} container${running === 1 ? '' : 's'} of others run on it`)
  report('stopping Docker Engine (it was started for the cluster)')
  await stopProcess(started.daemon, 30_000)
  await restoreNetwork(started.network)
  await restoreMounts(started.mounts ?? dockerMounts())
  rmSync(STARTED, { force: true })
}

/** True when a Docker Engine answers on this machine's socket. */
export const dockerAnswers = async (): Promise<boolean> => (await get('/_ping'))?.status === 200

const runningContainers = async (): Promise<number> => {
  const answer = await get('/containers/json')
  return answer === undefined ? 0 : (JSON.parse(answer.body) as unknown[]).length
}

const get = (path: string): Promise<{ status: number; body: string } | undefined> =>
  new Promise((done) => {
    const call = request({ socketPath: SOCKET, path, timeout: 5000 }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => done({ status: response.statusCode ?? 0, body }))
      response.on('error', () => done(undefined))
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => done(undefined))
    call.end()
  })

const startDocker = async (home: string, report: Report): Promise<void> => {
  if (findProgram('dockerd') === undefined) {
    await installMissing('docker', report)
    // On a machine with an init system the package starts its daemon itself.
    if (await answersWithin(2000)) return
  }
  if (readFileSync('/proc/1/comm', 'utf8').trim() === 'systemd') {
    report('starting Docker Engine (systemctl start docker)')
    await run('systemctl', ['start', 'docker'])
    if (await answersWithin(START_LIMIT_MS)) return
    throw new Error('Docker Engine does not answer on /var/run/docker.sock: see `journalctl -u docker`')
  }
  const dockerd = findProgram('dockerd')
  if (dockerd === undefined) throw new Error('no dockerd on this machine after the installation of docker.io')
  const log = join(privateFolder(join(home, 'log')), 'dockerd.log')
  report(`starting Docker Engine (dockerd, log in ${log})`)
  removeStalePidFiles()
  // After our own daemon was killed its rules are still there: what was before it is what it wrote down.
  const network = readStarted()?.network ?? (await captureNetwork())
  const mounts = readStarted()?.mounts ?? dockerMounts()
  const output = openSync(log, 'a', 0o600)
  const daemon = spawn(dockerd, [], { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  let exited = false
  daemon.on('error', () => (exited = true))
  daemon.on('exit', () => (exited = true))
  daemon.unref()
  const deadline = Date.now() + START_LIMIT_MS
  while (!(await dockerAnswers())) {
    if (exited || Date.now() > deadline) {
      if (daemon.pid !== undefined && !exited) process.kill(daemon.pid, 'SIGTERM')
      throw new Error(`Docker Engine did not start; the end of ${log}:\n  ${tail(log, 6)}`)
    }
    await wait(50)
  }
  const identity = daemon.pid === undefined || exited ? undefined : identify(daemon.pid)
  if (identity === undefined) return // another starter was faster, and its daemon answers
  mkdirSync(STATE, { recursive: true, mode: 0o700 })
  writeFileSync(STARTED, JSON.stringify({ daemon: identity, network, mounts } satisfies Started), { mode: 0o600 })
}

const answersWithin = async (limit: number): Promise<boolean> => {
  for (const deadline = Date.now() + limit; Date.now() < deadline; await wait(100)) if (await dockerAnswers()) return true
  return false
}

/** A daemon killed without warning leaves these; the next one takes them for a running containerd and waits for it in vain. */
const removeStalePidFiles = (): void => {
  for (const [path, program] of [
    ['/var/run/docker.pid', 'dockerd'],
    ['/var/run/docker/containerd/containerd.pid', 'containerd']
  ] as const) {
    if (!existsSync(path)) continue
    const holder = identify(Number(readFileSync(path, 'utf8')))
    if (holder === undefined || basename(holder.program) !== program) rmSync(path, { force: true })
  }
}

const readStarted = (): Started | undefined => (existsSync(STARTED) ? (JSON.parse(readFileSync(STARTED, 'utf8')) as Started) : undefined)

const startedByUs = (): Started | undefined => {
  const started = readStarted()
  return started !== undefined && isProcess(started.daemon) ? started : undefined
}

const claimOf = (home: string): string => join(CLAIMS, createHash('sha256').update(home).digest('hex').slice(0, 16))

/** Homes that use the daemon; one whose folder is gone counts no longer. */
const claims = (): string[] => {
  if (!existsSync(CLAIMS)) return []
  return readdirSync(CLAIMS)
    .map((file) => readFileSync(join(CLAIMS, file), 'utf8'))
    .filter((home) => existsSync(home))
}

const tail = (path: string, lines: number): string => readFileSync(path, 'utf8').trim().split('\n').slice(-lines).join('\n  ')
