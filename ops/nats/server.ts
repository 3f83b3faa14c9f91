/** The cluster's nats-server: configured, started in the background, adopted when it already runs, stopped. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type ClusterConfig, privateFolder, writeSecret } from '../home.ts'
import { pkiFile } from '../pki/pki.ts'
import { argumentsOf, identify, isProcess, type ProcessIdentity, stopProcess } from '../setup/process.ts'
import type { Report } from '../setup/project.ts'
import { renderNatsConf } from './conf.ts'
import { ensureCredentials } from './credentials.ts'
import { markClosed, markOpen } from './store.ts'
import { natsUsers } from './users.ts'

export interface NatsServer {
  readonly pid: number
  /** It ran before and goes on, with what it has in memory. */
  readonly adopted: boolean
  readonly alive: () => boolean
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>
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
}

const START_LIMIT_MS = 30_000
const STOP_LIMIT_MS = 30_000

const confFile = (home: string): string => join(home, 'nats/nats.conf')
const pidFile = (home: string): string => join(home, 'run/nats-server.pid')
export const natsLogFile = (home: string): string => join(home, 'log/nats-server.log')

/**
 * Returns a server that answers: the one already running for this home, or a new one in the background that outlives
 * us. The PKI must be there (ensurePki). Throws with the end of the log when it does not come up.
 */
export const startNatsServer = async ({ home, config, binary, report, nodes = [config.nodeName], synced = true }: NatsServerOptions): Promise<NatsServer> => {
  for (const folder of ['nats/store', 'run', 'log']) privateFolder(join(home, folder))
  const text = renderNatsConf({
    serverName: serverName(config),
    port: config.natsPort,
    storeDir: join(home, 'nats/store'),
    pidFile: pidFile(home),
    logFile: natsLogFile(home),
    certificateFile: pkiFile(home, 'nats.crt'),
    keyFile: pkiFile(home, 'nats.key'),
    synced,
    users: natsUsers(nodes).map((user) => ({ ...user, publicKey: ensureCredentials(home, user.name) }))
  })
  const changed = !existsSync(confFile(home)) || readFileSync(confFile(home), 'utf8') !== text
  if (changed) writeSecret(confFile(home), text)
  const running = runningServer(home)
  if (running !== undefined) {
    // HUP makes it read its users and certificates again; connections stay.
    if (changed) process.kill(running.pid, 'SIGHUP')
    await answers(config, () => isProcess(running), home)
    return handle(running, true)
  }
  report(`starting nats-server on 127.0.0.1:${config.natsPort} (log in ${natsLogFile(home)})`)
  rmSync(pidFile(home), { force: true })
  markOpen(home)
  // The server writes its own log and rotates it; what it says before it has one goes to the same place.
  const output = openSync(natsLogFile(home), 'a', 0o600)
  const child = spawn(binary, ['--config', confFile(home)], { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  let failure: string | undefined
  child.on('error', (error) => (failure = error.message))
  child.on('exit', (code, signal) => (failure ??= `ended with ${code ?? signal}`))
  child.unref()
  await answers(config, () => failure === undefined, home)
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  if (identity === undefined) throw new Error(`nats-server ${failure ?? 'is gone'}; the end of its log:\n  ${logTail(home)}`)
  writeSecret(pidFile(home), `${identity.pid}\n`)
  return handle(identity, false)
}

/** Stops the home's server and returns when it is gone. Its data stays. */
export const stopNatsServer = async (home: string): Promise<void> => {
  const running = runningServer(home)
  if (running !== undefined && (await stopProcess(running, STOP_LIMIT_MS)) === 'ended') markClosed(home)
  rmSync(pidFile(home), { force: true })
}

/** The nats-server of this home, if one runs: the pid file's process, started with our configuration file. */
export const runningServer = (home: string): ProcessIdentity | undefined => {
  if (!existsSync(pidFile(home))) return undefined
  const pid = Number(readFileSync(pidFile(home), 'utf8').trim())
  return argumentsOf(pid).includes(confFile(home)) ? identify(pid) : undefined
}

const handle = (identity: ProcessIdentity, adopted: boolean): NatsServer => ({
  pid: identity.pid,
  adopted,
  alive: () => isProcess(identity),
  exited: goneBy(identity)
})

/** An adopted process is nobody's child here, so its end is seen by looking. */
const goneBy = async (identity: ProcessIdentity): Promise<void> => {
  while (isProcess(identity)) await wait(250, undefined, { ref: false })
}

const answers = async (config: ClusterConfig, alive: () => boolean, home: string): Promise<void> => {
  const deadline = Date.now() + START_LIMIT_MS
  while ((await greeting(config.natsPort)) !== serverName(config)) {
    if (!alive()) throw new Error(`nats-server did not start; the end of its log:\n  ${logTail(home)}`)
    if (Date.now() > deadline) throw new Error(`nats-server does not answer on 127.0.0.1:${config.natsPort}; the end of its log:\n  ${logTail(home)}`)
    await wait(20)
  }
}

/** Tells our server from another one that has the port. */
const serverName = (config: ClusterConfig): string => `reckon-${config.instance}`

/** The server_name of the nats-server that listens on a port; a NATS server speaks first. */
const greeting = (port: number): Promise<string | undefined> =>
  new Promise((done) => {
    const socket = createConnection({ port, host: '127.0.0.1', timeout: 1000 })
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
