/** The cluster's nats-server: configured, started in the background, adopted when it already runs, stopped. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type ClusterConfig, privateFolder, writeSecret } from '#ops/home.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { argumentsOf, identify, isProcess, killProcess, type ProcessIdentity, progressOf, stopProcess } from '#ops/setup/process.ts'
import type { Report } from '#ops/setup/project.ts'
import { renderNatsConf } from './conf.ts'
import { accountsFolder, ensureAccounts, handIn, writeAccounts } from './accounts.ts'
import { listenHost, reachedAt } from './reach.ts'
import { adoptFolder, ensureMounted, markClosed, markOpen } from './store.ts'

export interface NatsServer {
  readonly pid: number
  /** It ran before and goes on, with what it has in memory. */
  readonly adopted: boolean
  readonly alive: () => boolean
  /** Resolves when the process is gone. */
  readonly exited: Promise<Ended>
}

export interface Ended {
  /** For a person: `it ended with 1`. */
  readonly reason: string
  /** From outside, as far as is known: by kill -9, or for want of memory. */
  readonly killed: boolean
}

export interface NatsServerOptions {
  readonly home: string
  readonly config: ClusterConfig
  /** The program, from ensureNatsServer. */
  readonly binary: string
  readonly report: Report
  /** Nodes that have users; this machine's by default. */
  readonly nodes?: readonly string[]
  /** False: an acknowledged write need not be on disk. */
  readonly synced?: boolean
  /** Called as soon as there is a process, long before it may answer. */
  readonly onProcess?: (identity: ProcessIdentity) => void
}

/** One that does not answer and does nothing either for so long hangs; how long a large store may take is nobody's to know. */
const STALL_MS = 15_000
const TOLD_MS = 30_000
const STOP_LIMIT_MS = 30_000
/** How soon the end of a process is seen that is nobody's child here. */
const LOOK_MS = 50

const confFile = (home: string): string => join(home, 'nats/nats.conf')
const pidFile = (home: string): string => join(home, 'run/nats-server.pid')
export const natsLogFile = (home: string): string => join(home, 'log/nats-server.log')

/**
 * Returns a server that answers: the one already running for this home, or a new one in the background that outlives
 * us. The PKI must be there (ensurePki). Throws with the end of the log when it does not come up; one that hangs is killed.
 */
export const startNatsServer = async ({
  home,
  config,
  binary,
  report,
  nodes = [config.nodeName],
  synced = true,
  onProcess = () => {}
}: NatsServerOptions): Promise<NatsServer> => {
  ensureMounted(home)
  for (const folder of ['nats/store', 'run', 'log']) privateFolder(join(home, folder))
  const accounts = await ensureAccounts(home, nodes)
  const text = renderNatsConf({
    serverName: serverName(config),
    host: listenHost(config),
    port: config.natsPort,
    storeDir: join(home, 'nats/store'),
    pidFile: pidFile(home),
    logFile: natsLogFile(home),
    certificateFile: pkiFile(home, 'nats.crt'),
    keyFile: pkiFile(home, 'nats.key'),
    synced,
    operator: accounts.operator,
    systemAccount: accounts.system,
    accountsDir: accountsFolder(home)
  })
  const changed = !existsSync(confFile(home)) || readFileSync(confFile(home), 'utf8') !== text
  // Where it listens and whom it believes is read once, at its start.
  if (changed) await stopNatsServer(home)
  if (changed) writeSecret(confFile(home), text)
  const running = runningServer(home)
  if (running !== undefined) {
    onProcess(running)
    await answers(config, running, report, home)
    await handIn(home, config, accounts.changed)
    return { pid: running.pid, adopted: true, alive: () => isProcess(running), exited: goneBy(running) }
  }
  adoptFolder(home)
  writeAccounts(home, accounts.changed)
  report(`starting nats-server on ${listenHost(config)}:${config.natsPort} (log in ${natsLogFile(home)})`)
  rmSync(pidFile(home), { force: true })
  markOpen(home)
  // The server writes its own log and rotates it; what it says before it has one goes to the same place.
  const output = openSync(natsLogFile(home), 'a', 0o600)
  const child = spawn(binary, ['--config', confFile(home)], { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  const exited = new Promise<Ended>((resolve) => {
    child.on('error', (error) => resolve({ reason: error.message, killed: false }))
    child.on('exit', (code, signal) => resolve({ reason: `it ended with ${code ?? signal}`, killed: signal === 'SIGKILL' }))
  })
  child.unref()
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  if (identity === undefined)
    throw new Error(`nats-server did not start: ${(await exited).reason}; the end of its log:\n  ${logTail(home)}`)
  onProcess(identity)
  try {
    await answers(config, identity, report, home)
    // It writes the file itself, unless it is a wrapper.
    if (pidIn(home) !== identity.pid) writeSecret(pidFile(home), `${identity.pid}\n`)
  } catch (error) {
    // Whatever it was, two servers on one store would be worse than none.
    await killProcess(identity)
    throw error
  }
  return { pid: identity.pid, adopted: false, alive: () => isProcess(identity), exited }
}

/** Stops the home's server and returns when it is gone. Its data stays. */
export const stopNatsServer = async (home: string): Promise<void> => {
  const running = runningServer(home)
  // What can't be written down (a full disk, for one) is found out at the next start, as after a crash.
  if (running !== undefined && (await stopProcess(running, STOP_LIMIT_MS)) === 'ended') await markClosed(home).catch(() => {})
  rmSync(pidFile(home), { force: true })
}

/** The arguments are those of a home's nats-server. */
export const isNatsServerOf = (home: string, given: readonly string[]): boolean => given.includes(confFile(home))

/** The nats-server of this home, if one runs: the pid file's process, started with our configuration file. */
export const runningServer = (home: string): ProcessIdentity | undefined => {
  const pid = pidIn(home)
  return isNatsServerOf(home, argumentsOf(pid)) ? identify(pid) : undefined
}

const pidIn = (home: string): number => (existsSync(pidFile(home)) ? Number(readFileSync(pidFile(home), 'utf8').trim()) : 0)

/** An adopted process is nobody's child here, so its end is seen by looking. */
const goneBy = async (identity: ProcessIdentity): Promise<Ended> => {
  while (isProcess(identity)) await wait(LOOK_MS, undefined, { ref: false })
  return { reason: 'it is gone', killed: true }
}

/** Resolves when it answers. Throws when it has ended, or hangs, in which case it is killed. */
const answers = async (config: ClusterConfig, identity: ProcessIdentity, report: Report, home: string): Promise<void> => {
  const hangs = stallOf(identity)
  let told = performance.now()
  while ((await greeting(config)) !== serverName(config)) {
    if (!isProcess(identity)) throw new Error(`nats-server did not start; the end of its log:\n  ${logTail(home)}`)
    if (hangs()) {
      await killProcess(identity)
      throw new Error(
        `nats-server did not answer on ${reachedAt(config)}:${config.natsPort} and did nothing for ${STALL_MS / 1000} s, and was killed; the end of its log:\n  ${logTail(home)}`
      )
    }
    if (performance.now() - told > TOLD_MS) {
      told = performance.now()
      report('nats-server does not answer yet; it reads its store')
    }
    await wait(20)
  }
}

/**
 * Says, asked again and again, whether a process has hung for STALL_MS: it neither computes nor reads nor writes, waits for no
 * disk, and nobody has stopped it (SIGSTOP). Counted in looks rather than by the clock, which goes on while the machine sleeps.
 */
export const stallOf = (identity: ProcessIdentity, lookMs = 1_000): (() => boolean) => {
  let done = ''
  let looks = 0
  let last = Number.NEGATIVE_INFINITY
  return () => {
    const now = performance.now()
    if (now - last < lookMs) return false
    last = now
    const progress = progressOf(identity)
    looks =
      progress === undefined || progress.done !== done || progress.state === 'D' || progress.state === 'T' || progress.state === 't'
        ? 0
        : looks + 1
    done = progress?.done ?? ''
    return looks >= STALL_MS / lookMs
  }
}

/** True when the home's server greets who connects to its port. */
export const greets = async (config: ClusterConfig): Promise<boolean> => (await greeting(config)) === serverName(config)

/** Tells our server from another one that has the port. */
const serverName = (config: ClusterConfig): string => `reckon-${config.instance}`

/** The server_name of the nats-server that listens on a port; a NATS server speaks first. */
const greeting = (config: ClusterConfig): Promise<string | undefined> =>
  new Promise((done) => {
    const socket = createConnection({ port: config.natsPort, host: reachedAt(config), timeout: 1000 })
    const finish = (answer?: string): void => {
      socket.destroy()
      done(answer)
    }
    socket.once('data', (data) => finish(/^INFO .*"server_name":"([^"]*)"/.exec(data.toString('latin1'))?.[1]))
    socket.once('error', () => finish())
    socket.once('timeout', () => finish())
    socket.once('close', () => finish())
  })

const logTail = (home: string): string => {
  const path = natsLogFile(home)
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').slice(-6).join('\n  ') : '(empty)'
}
