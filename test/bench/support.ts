/** What the benchmarks share: the machine in a line, percentiles, and a control plane of their own as a separate process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { cpus, tmpdir, totalmem, release } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { loadOrCreateConfig, writeSecret, type ClusterConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { stopNatsServer } from '#ops/nats/server.ts'
import { ensurePki, pkiFile } from '#ops/pki/pki.ts'
import { freePort } from '#test/support/ports.ts'

export const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`

export const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN

/** `p50 1.23 ms, p99 4.56 ms` */
export const latencies = (milliseconds: number[]): string => {
  const sorted = milliseconds.toSorted((a, b) => a - b)
  return `p50 ${percentile(sorted, 0.5).toFixed(2)} ms, p99 ${percentile(sorted, 0.99).toFixed(2)} ms`
}

export interface Api {
  readonly home: string
  readonly config: ClusterConfig
  readonly process: ChildProcess
  call(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: string }>
  /** The lines of a watch, until the signal aborts. */
  watch(path: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

/** Starts nats-server and the named components (default: the API server alone) in a folder that goes away, or in one that is `kept`. */
export const startApi = async (components: readonly string[] = ['apiserver'], kept?: string): Promise<Api> => {
  const home = kept ?? mkdtempSync(join(tmpdir(), 'reckon-bench-'))
  const made = await loadOrCreateConfig(home, () => {})
  const config: ClusterConfig = { ...made, natsPort: await freePort(), apiPort: await freePort() }
  writeSecret(join(home, 'config.json'), JSON.stringify(config))
  await ensurePki(home, config)
  await ensureNatsServer(() => {})
  const server = spawn(
    process.execPath,
    [join(import.meta.dirname, '../../ops/server.ts'), '--home', home, '--components', components.join(',')],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, RECKON_HOME: home }
    }
  )
  const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name)))
  const agent = new Agent({ keepAlive: true, maxSockets: 512, ca: ca as Buffer, cert: cert as Buffer, key: key as Buffer })
  const call: Api['call'] = (method, path, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const made = request(
        {
          host: '127.0.0.1',
          port: config.apiPort,
          agent,
          method,
          path,
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
      made.on('error', reject)
      made.end(text)
    })
  const watch: Api['watch'] = (path, onLine, signal) =>
    new Promise((resolve, reject) => {
      const made = request(
        {
          host: '127.0.0.1',
          port: config.apiPort,
          agent: new Agent({ ca: ca as Buffer, cert: cert as Buffer, key: key as Buffer }),
          path,
          signal
        },
        (response) => {
          let rest = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            const lines = (rest + chunk).split('\n')
            rest = lines.pop() as string
            for (const line of lines) onLine(line)
          })
          response.on('end', resolve)
          response.on('error', () => resolve())
          resolve()
        }
      )
      made.on('error', (error) => (signal.aborted ? resolve() : reject(error)))
      made.end()
    })
  const deadline = Date.now() + 120_000
  for (;;) {
    const ready = await call('GET', '/readyz').then(
      ({ status }) => status === 200,
      () => false
    )
    if (ready) break
    if (Date.now() > deadline || server.exitCode !== null) throw new Error('the control plane did not start')
    await wait(50)
  }
  return {
    home,
    config,
    process: server,
    call,
    watch,
    stop: async () => {
      agent.destroy()
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGTERM')
      await ended
      await stopNatsServer(home)
      if (kept === undefined) rmSync(home, { recursive: true, force: true })
    }
  }
}

/** User and system CPU time of a process so far, in milliseconds, and its resident memory in MiB. */
export const usageOf = (pid: number): { readonly cpuMs: number; readonly rssMiB: number } => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, rssMiB: Number(rss) / 1024 }
}

/** Of a process' time so far, in milliseconds: what its main thread, its workers and all others (the collector, I/O) took. */
export const threadsOf = (pid: number): { readonly main: number; readonly workers: number; readonly others: number } => {
  const spent = { main: 0, workers: 0, others: 0 }
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const [head = '', rest = ''] = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')
    const fields = rest.split(' ')
    const kind = thread === String(pid) ? 'main' : /\(WorkerThr/.test(head) ? 'workers' : 'others'
    spent[kind] += (Number(fields[11]) + Number(fields[12])) * 10
  }
  return spent
}
