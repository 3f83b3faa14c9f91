/** `reckon up`, `down` and `status`: the whole cluster on this machine, started in the background, and stopped again. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { privateFolder, readConfig, resolveHome, loadOrCreateConfig, writeSecret, type ClusterConfig } from './home.ts'
import { ensurePki, pkiFile, writeKubeconfig } from './pki/pki.ts'
import { runningServer, stopNatsServer } from './nats/server.ts'
import { heldBy, keepingLock } from './setup/lock.ts'
import { argumentsOf, identify, stopProcess, type ProcessIdentity } from './setup/process.ts'
import { PROJECT, type Report } from './setup/project.ts'

const READY_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 30_000
const SERVER = join(import.meta.dirname, 'server.ts')

export const logFile = (home: string): string => join(home, 'log/reckon.log')
const pidFile = (home: string): string => join(home, 'run/reckon.pid')

export interface ClusterStatus {
  readonly running: boolean
  readonly home: string
  readonly server?: string
  readonly version?: string
  readonly pid?: number
  readonly natsPid?: number
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly pods: number }[]
  readonly streams: readonly { readonly name: string; readonly messages: number; readonly bytes: number; readonly lastSequence: number }[]
  readonly pods: { readonly running: number; readonly total: number }
}

/** The control plane's process of this home, if it runs: the pid file's process, started for this home. */
export const runningCluster = (home: string): ProcessIdentity | undefined => {
  if (!existsSync(pidFile(home))) return undefined
  const pid = Number(readFileSync(pidFile(home), 'utf8').trim())
  const given = argumentsOf(pid)
  return given.includes(SERVER) && given.includes(home) ? identify(pid) : undefined
}

/** Asks the API server as the administrator; the body as text. */
export const ask = (home: string, config: ClusterConfig, path: string, accept = 'application/json'): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name)))
    const call = httpsRequest(
      { host: '127.0.0.1', port: config.apiPort, path, ca, cert, key, headers: { accept, 'user-agent': 'reckon' }, timeout: 5_000, agent: false },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        response.on('error', reject)
      }
    )
    call.on('timeout', () => call.destroy(new Error('the API server does not answer')))
    call.on('error', reject)
    call.end()
  })

const isReady = async (home: string, config: ClusterConfig): Promise<boolean> =>
  ask(home, config, '/readyz').then(
    ({ status, body }) => {
      if (status !== 200 && body.startsWith('[-]log failed')) throw new LogIsDamaged(body.trimEnd())
      return status === 200
    },
    () => false
  )

/** The cluster answers, and all it says is what is wrong with its log. */
export class LogIsDamaged extends Error {
  override readonly name = 'LogIsDamaged'
}

export interface UpOptions {
  readonly home: string
  readonly demo: boolean
  /** A person's word that the log goes on without what is lost. */
  readonly acceptLoss?: boolean
  readonly report: Report
}

export const up = async ({ home, demo, acceptLoss = false, report }: UpOptions): Promise<void> => {
  const known = readConfig(home)
  if (acceptLoss && known !== undefined) await acceptLosses(home, known, report)
  if (known !== undefined && runningCluster(home) !== undefined && (await isReady(home, known))) {
    report(`the cluster in ${home} is running already`)
    if (demo) await deployDemo(home, known, report)
    await describe(home, known, demo, report)
    return
  }
  const { ensureMachine } = await import('./setup/setup.ts')
  await ensureMachine(report, home)
  const { ensureNatsServer } = await import('./nats/binary.ts')
  const { version } = await ensureNatsServer(report)
  const config = await loadOrCreateConfig(home, report)
  await ensurePki(home, config)
  await writeKubeconfig(home, config)
  const { ensureImages } = await import('./images/images.ts')
  const { default: Docker } = await import('dockerode')
  await ensureImages(new Docker({ socketPath: '/var/run/docker.sock' }), report)
  report(`nats-server ${version} holds the log`)
  await start(home, config, report)
  if (demo) await deployDemo(home, config, report)
  await describe(home, config, demo, report)
}

const acceptLosses = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  const cluster = runningCluster(home)
  if (cluster !== undefined) await stopProcess(cluster, STOP_LIMIT_MS)
  await stopNatsServer(home)
  const { acceptLoss } = await import('./log/accept.ts')
  const accepted = await acceptLoss(home, config, report)
  if (accepted.length === 0) report('nothing of the log is missing')
}

/** Starts the process in the background and returns when it serves. */
const start = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  for (const folder of ['run', 'log']) privateFolder(join(home, folder))
  const held = heldBy(keepingLock(home))
  if (held?.startsWith('reckon log compact') === true) throw new Error(`${held}; wait for it, then start the cluster`)
  const stale = runningCluster(home)
  // A process that runs but does not answer is in nobody's way any more: it is replaced; containers go on meanwhile.
  if (stale !== undefined) await stopProcess(stale, STOP_LIMIT_MS)
  report(`starting the cluster (log in ${logFile(home)})`)
  const output = openSync(logFile(home), 'a', 0o600)
  const child = spawn(process.execPath, [SERVER, '--home', home], { detached: true, stdio: ['ignore', output, output], cwd: PROJECT, env: { ...process.env, RECKON_HOME: home } })
  closeSync(output)
  let failure: string | undefined
  child.on('error', (error) => (failure = error.message))
  child.on('exit', (code, signal) => (failure ??= `it ended with ${code ?? signal}`))
  child.unref()
  writeSecret(pidFile(home), `${child.pid}\n`)
  const deadline = Date.now() + READY_LIMIT_MS
  while (!(await isReady(home, config))) {
    if (failure !== undefined || Date.now() > deadline) throw new Error(`the cluster did not start: ${failure ?? 'it does not answer'}; the end of its log:\n${tail(logFile(home))}`)
    await wait(100)
  }
  report(`the API server answers on https://127.0.0.1:${config.apiPort}`)
}

const tail = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-15).map((line) => `  ${line}`).join('\n') : '  (empty)')

const deployDemo = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  const { runDemo } = await import('./demo/demo.ts')
  await runDemo(home, config, report)
}

const describe = async (home: string, config: ClusterConfig, demo: boolean, report: Report): Promise<void> => {
  const kubeconfig = join(home, 'kubeconfig')
  const web = demo ? await service(home, config) : undefined
  report('')
  report(`kubeconfig   ${kubeconfig}`)
  report(`API server   https://127.0.0.1:${config.apiPort}`)
  if (web !== undefined) {
    report(`web          http://${web.clusterIP} (ClusterIP), http://127.0.0.1:${web.nodePort} (NodePort)`)
  }
  report('')
  report('What to try next:')
  report(`  export KUBECONFIG=${kubeconfig}`)
  report('  kubectl get pods -A')
  if (demo) report('  npx reckon why deployment/web')
  report(`  kubectl --server https://127.0.0.1:${config.apiPort}/at/-1m get pods -A`)
  report('  npx reckon follow')
  report('  npm stop')
}

/** The demo's addresses, as the Service has them. */
const service = async (home: string, config: ClusterConfig): Promise<{ clusterIP: string; nodePort: number } | undefined> => {
  const { status, body } = await ask(home, config, '/api/v1/namespaces/default/services/web')
  if (status !== 200) return undefined
  const { spec } = JSON.parse(body) as { spec: { clusterIP: string; ports: { nodePort: number }[] } }
  return { clusterIP: spec.clusterIP, nodePort: spec.ports[0]?.nodePort ?? 0 }
}

/** Stops everything and leaves nothing behind but the history. */
export const down = async ({ home, report }: { readonly home: string; readonly report: Report }): Promise<void> => {
  const config = readConfig(home)
  if (config === undefined) return report(`there is no cluster in ${home}`)
  const cluster = runningCluster(home)
  const nats = runningServer(home)
  if (cluster !== undefined) {
    report('stopping the control plane and the agent')
    await stopProcess(cluster, STOP_LIMIT_MS)
  }
  rmSync(pidFile(home), { force: true })
  const { removeNode } = await import('./components/remove.ts')
  await removeNode(home, config, report)
  if (nats !== undefined) report('stopping nats-server')
  await stopNatsServer(home)
  const { releaseDocker } = await import('./setup/docker-engine.ts')
  await releaseDocker(home, report)
  report(cluster === undefined && nats === undefined ? 'nothing was running' : `stopped; the history stays in ${home}`)
}

export const status = async ({ home }: { readonly home: string }): Promise<ClusterStatus> => {
  const config = readConfig(home)
  const cluster = runningCluster(home)
  const nats = runningServer(home)
  const base = { running: false, home, nodes: [], streams: [], pods: { running: 0, total: 0 } }
  if (config === undefined) return base
  const pids = { ...(cluster === undefined ? {} : { pid: cluster.pid }), ...(nats === undefined ? {} : { natsPid: nats.pid }) }
  if (!(await isReady(home, config))) return { ...base, ...pids }
  const read = async <Body>(path: string): Promise<Body> => JSON.parse((await ask(home, config, path)).body) as Body
  const { gitVersion } = await read<{ gitVersion: string }>('/version')
  const { items: pods } = await read<{ items: { spec: { nodeName?: string }; status: { phase?: string } }[] }>('/api/v1/pods')
  const { items: nodes } = await read<{ items: { metadata: { name: string }; status: { conditions?: { type: string; status: string }[] } }[] }>('/api/v1/nodes')
  return {
    running: true,
    home,
    server: `https://127.0.0.1:${config.apiPort}`,
    version: gitVersion,
    ...pids,
    nodes: nodes.map(({ metadata, status: { conditions } }) => ({
      name: metadata.name,
      ready: conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true,
      pods: pods.filter(({ spec }) => spec.nodeName === metadata.name).length
    })),
    streams: await streams(home, config),
    pods: { running: pods.filter(({ status: { phase } }) => phase === 'Running').length, total: pods.length }
  }
}

/** The streams the administrator may look at. */
const streams = async (home: string, config: ClusterConfig): Promise<ClusterStatus['streams']> => {
  const { connectNats } = await import('./nats/connect.ts')
  const { askToFollow } = await import('#services/platform/jetstream/consumers.ts')
  const nats = await connectNats(home, config, 'admin')
  try {
    return await Promise.all(
      ['EVENTS', 'NOTICES', 'PULSE', 'AUDIT'].map(async (name) => {
        const { state } = await askToFollow(nats, 'admin', { what: 'state', part: name })
        return { name, messages: state.messages, bytes: state.bytes, lastSequence: state.last }
      })
    )
  } finally {
    await nats.close()
  }
}

const main = async (): Promise<void> => {
  // A reader that has seen enough (`npm start | head`) is no reason to stop half way.
  process.stdout.on('error', () => {})
  const [command, ...rest] = process.argv.slice(2)
  const report = (line: string): void => void process.stdout.write(`${line}\n`)
  const home = resolveHome()
  if (command === 'down') await down({ home, report })
  else await up({ home, demo: rest.includes('--demo'), acceptLoss: rest.includes('--accept-loss'), report })
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  main().catch((error: unknown) => {
    process.stderr.write(`reckon: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
