/** An API server and its nats-server as processes of a test's own, to be killed, starved and lied to. No containers. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { loadOrCreateConfig, readConfig, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { runningServer, stopNatsServer } from '#ops/nats/server.ts'
import { ensurePki, pkiFile } from '#ops/pki/pki.ts'
import { freePort } from './ports.ts'
import { until as becomes } from './until.ts'

const SERVER = join(import.meta.dirname, '../../ops/server.ts')

export interface Answered {
  readonly status: number
  readonly body: string
}

export interface Plane {
  readonly home: string
  readonly config: ClusterConfig
  /** The process that was started last; 0 when none runs. */
  pid(): number
  /** What the process wrote, all starts together. */
  log(): string
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>
  /** Starts the process; resolves when it answers, ready or not. */
  start(): Promise<void>
  /** To the process: SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void
  /** The process, at once. */
  kill(): Promise<void>
  killNats(): Promise<void>
  /** Both, in order: nats-server closes its files. */
  stop(): Promise<void>
  /** Asks until the answer is right; the test fails after `ms`. */
  until(what: string, check: () => Promise<boolean>, ms?: number): Promise<void>
  remove(): Promise<void>
}

export interface PlaneOptions {
  /** Where the home is made; the folder for temporary files by default. */
  readonly folder?: string
  readonly config?: Partial<ClusterConfig>
  /** One that is there already, which goes away with the plane all the same. */
  readonly home?: string
}

const newHome = async ({ folder = tmpdir(), config = {} }: PlaneOptions): Promise<string> => {
  const home = mkdtempSync(join(folder, 'reckon-plane-'))
  writeSecret(
    join(home, 'config.json'),
    JSON.stringify({ ...(await loadOrCreateConfig(home, () => {})), natsPort: await freePort(), apiPort: await freePort(), ...config })
  )
  return home
}

export const startPlane = async (
  components = 'apiserver',
  env: Readonly<Record<string, string>> = {},
  options: PlaneOptions = {}
): Promise<Plane> => {
  const home = options.home ?? (await newHome(options))
  const config = readConfig(home) as ClusterConfig
  await ensurePki(home, config)
  const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name))) as [Buffer, Buffer, Buffer]
  const agent = new Agent({ keepAlive: true, maxSockets: 64, ca, cert, key })
  let process_: ChildProcess | undefined
  let output = ''
  const call: Plane['call'] = (method, path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
      const made = request(
        {
          host: '127.0.0.1',
          port: config.apiPort,
          agent,
          method,
          path,
          timeout: 45_000,
          headers: {
            ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
            ...headers
          }
        },
        (response) => {
          let answer = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => (answer += chunk))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: answer }))
          response.on('error', reject)
        }
      )
      made.on('timeout', () => made.destroy(new Error('timed out')))
      made.on('error', reject)
      made.end(text)
    })
  const until: Plane['until'] = (what, check, ms = 30_000) =>
    becomes(what, check, { ms, everyMs: 50 }).catch((error: Error) => {
      throw new Error(`${error.message}\n${output.split('\n').slice(-30).join('\n')}`)
    })
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    const dying = process_
    process_ = undefined
    if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return
    const gone = once(dying, 'exit')
    dying.kill(signal)
    await gone
  }
  const plane: Plane = {
    home,
    config,
    pid: () => process_?.pid ?? 0,
    log: () => output,
    call,
    until,
    start: async () => {
      process_ = spawn(process.execPath, [SERVER, '--home', home, '--components', components], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, RECKON_HOME: home, ...env }
      })
      for (const stream of [process_.stdout, process_.stderr]) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()))
      await until('the API server answers', async () => (await call('GET', '/readyz')).status > 0, 60_000)
    },
    signal: (name) => void process_?.kill(name),
    kill: () => kill(),
    killNats: async () => {
      const running = runningServer(home)
      if (running !== undefined) process.kill(running.pid, 'SIGKILL')
      while (runningServer(home) !== undefined) await wait(10)
    },
    stop: async () => {
      await kill('SIGTERM')
      await stopNatsServer(home)
    },
    remove: async () => {
      await kill()
      agent.destroy()
      await stopNatsServer(home)
      rmSync(home, { recursive: true, force: true })
    }
  }
  return plane
}
