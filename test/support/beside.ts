/** Single components of a plane's cluster as processes of their own: more API servers, schedulers, controller managers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { pkiFile } from '#ops/pki/pki.ts'
import { freePort } from './ports.ts'
import type { Answered, Plane } from './plane.ts'
import { until } from './until.ts'

const MAIN = join(import.meta.dirname, '../../ops/main.ts')

export interface Beside {
  readonly pid: number
  log(): string
  signal(name: NodeJS.Signals): void
  /** At once by default. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

export const startBeside = (home: string, words: readonly string[]): Beside => {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, RECKON_HOME: home } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return {
    pid: child.pid as number,
    log: () => output,
    signal: (name) => void child.kill(name),
    kill: async (signal = 'SIGKILL') => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill(signal)
      // One that was stopped hears of nothing before it goes on.
      if (signal !== 'SIGKILL') child.kill('SIGCONT')
      await gone
    }
  }
}

export interface ApiBeside extends Beside {
  readonly port: number
  call(method: string, path: string, body?: unknown): Promise<Answered>
}

/** Another API server of the plane's cluster; it answers when this resolves. */
export const startApiBeside = async ({ home }: Pick<Plane, 'home'>): Promise<ApiBeside> => {
  const port = await freePort()
  const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name))) as [Buffer, Buffer, Buffer]
  const agent = new Agent({ keepAlive: true, maxSockets: 64, ca, cert, key })
  const process_ = startBeside(home, ['apiserver', '--secure-port', String(port)])
  const call: ApiBeside['call'] = (method, path, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const made = request(
        {
          host: '127.0.0.1',
          port,
          agent,
          method,
          path,
          timeout: 20_000,
          headers:
            text === undefined
              ? {}
              : {
                  'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
                  'content-length': Buffer.byteLength(text)
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
  await until('the API server beside is ready', async () => (await call('GET', '/readyz').catch(() => ({ status: 0 }))).status === 200, {
    ms: 60_000,
    everyMs: 50
  }).catch((error: Error) => {
    throw new Error(`${error.message}\n${process_.log()}`)
  })
  return { ...process_, port, call, kill: async (signal) => process_.kill(signal).finally(() => agent.destroy()) }
}
