/** `reckon up`, `down` and `status`: the whole cluster on this machine, started in the background, and stopped again. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { ask } from './ask.ts'
import { resolveHome } from './environment.ts'
import { privateFolder, readConfig, loadOrCreateConfig, type ClusterConfig } from './home.ts'
import { ensurePki, writeKubeconfig } from './pki/pki.ts'
import { runningServer, stopNatsServer } from './nats/server.ts'
import { endLeftBehind } from './leftBehind.ts'
import { commandOf, logFile, runningCluster } from './running.ts'
import { heldBy, keepingLock } from './setup/lock.ts'
import { ageOf, stopProcess } from './setup/process.ts'
import type { Report } from './setup/project.ts'
import { restartsText, type SupervisorState } from './supervise/decide.ts'
import { startSupervisor, stopSupervisor, supervisorState, wakeSupervisor } from './supervise/supervisor.ts'

const READY_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 30_000

export interface ClusterStatus {
  readonly running: boolean
  readonly home: string
  readonly server?: string
  readonly version?: string
  readonly pid?: number
  readonly natsPid?: number
  /** Who keeps it running; absent when nobody does. */
  readonly supervisor?: SupervisorState
  /** What the API server says is wrong, when it is not ready. */
  readonly faults?: string
  readonly disk?: { readonly room: string; readonly free: number; readonly total: number; readonly reserve: number; readonly words: string }
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly pods: number }[]
  readonly streams: readonly {
    readonly name: string
    readonly messages: number
    readonly bytes: number
    readonly lastSequence: number
    /** History is whole from here on; 0: from its beginning. */ readonly floor: number
  }[]
  readonly pods: { readonly running: number; readonly total: number }
  /** Sentences for a person: who keeps it running, what it is short of. */
  readonly notes: readonly string[]
}

interface Readiness {
  readonly ready: boolean
  /** What it says instead; undefined when it does not answer at all. */
  readonly says?: string
}

/** A disk that is short of room is no reason to wait: what there is is served. */
const readiness = async (home: string, config: ClusterConfig): Promise<Readiness> =>
  ask(home, config, '/readyz?exclude=disk').then(
    ({ status, body }) => {
      if (status !== 200 && body.startsWith('[-]log failed:') && !body.startsWith('[-]log failed: reason withheld'))
        throw new LogIsDamaged(body.trimEnd())
      return { ready: status === 200, says: body.trimEnd() }
    },
    () => ({ ready: false })
  )

/** The cluster answers, and all it says is what is wrong with its log. */
class LogIsDamaged extends Error {
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
  if (known === undefined) await endLeftBehind(home, report)
  if (acceptLoss && known !== undefined) await acceptLosses(home, known, report)
  const running = runningCluster(home)
  if (known !== undefined && running !== undefined && (await readiness(home, known)).ready) {
    report(`the cluster in ${home} is running already`)
    if ((await supervisorState(home, known)) === undefined) {
      report('nobody was there to start it again if it ended; from now on there is')
      await startSupervisor({ home, config: known, command: commandOf(home), log: logFile(home) }, running)
      await untilReady(home, known, report, true)
    }
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
  await stopCluster(home, config)
  await stopNatsServer(home)
  const { acceptLoss } = await import('./log/accept.ts')
  const accepted = await acceptLoss(home, config, report)
  if (accepted.length === 0) report('nothing of the log is missing')
}

/** Ends the process, and whoever would start it again. True when there was one. */
const stopCluster = async (home: string, config: ClusterConfig): Promise<boolean> => {
  const supervised = await stopSupervisor(home, config)
  const left = runningCluster(home)
  if (left !== undefined) await stopProcess(left, STOP_LIMIT_MS)
  return supervised || left !== undefined
}

/** Has the process started in the background, and returns when it serves. */
const start = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  for (const folder of ['run', 'log']) privateFolder(join(home, folder))
  const held = heldBy(keepingLock(home))
  if (held?.startsWith('reckon log compact') === true) throw new Error(`${held}; wait for it, then start the cluster`)
  const known = await supervisorState(home, config)
  const stale = runningCluster(home)
  // A process that has run for long and does not answer is in nobody's way any more: it is replaced; containers go on meanwhile.
  if (stale !== undefined && (known === undefined || ageOf(stale) > READY_LIMIT_MS)) await stopProcess(stale, STOP_LIMIT_MS)
  if (known === undefined) {
    report(`starting the cluster (log in ${logFile(home)})`)
    await startSupervisor({ home, config, command: commandOf(home), log: logFile(home) })
  } else {
    report(`the cluster is being started already, by ${known.name} (log in ${logFile(home)})`)
    if (known.waiting !== undefined) await wakeSupervisor(home, config)
  }
  await untilReady(home, config, report, known !== undefined)
}

/** Ends of the process that are put up with while it is waited for: a port may be free a moment later. */
const ENDS = 2

/** `keep`: who keeps it running stays when it does not become ready, having been there before. */
const untilReady = async (home: string, config: ClusterConfig, report: Report, keep: boolean): Promise<void> => {
  const before = (await supervisorState(home, config))?.restarts ?? 0
  const deadline = Date.now() + READY_LIMIT_MS
  for (;;) {
    const { ready, says } = await readiness(home, config)
    if (ready) break
    const state = await supervisorState(home, config)
    const ended =
      state === undefined
        ? 'whoever keeps it running is gone'
        : state.restarts - before >= ENDS
          ? `it ${state.lastReason ?? 'ended'}, again and again`
          : undefined
    if (ended !== undefined || Date.now() > deadline) {
      if (!keep) await stopCluster(home, config)
      const reason = ended ?? (says === undefined ? 'it does not answer' : `it is not ready:\n  ${says.replaceAll('\n', '\n  ')}\n`)
      throw new Error(
        `the cluster did not start: ${reason}; the end of its log:\n${tail(logFile(home))}${keep ? '\nIt is tried again and again; `reckon down` ends that.' : ''}`
      )
    }
    await wait(100)
  }
  report(`the API server answers on https://127.0.0.1:${config.apiPort}`)
}

const tail = (path: string): string =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .slice(-15)
        .map((line) => `  ${line}`)
        .join('\n')
    : '  (empty)'

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
  if (config === undefined) {
    await endLeftBehind(home, report)
    return report(`there is no cluster in ${home}`)
  }
  const nats = runningServer(home)
  const supervised = (await supervisorState(home, config)) !== undefined || runningCluster(home) !== undefined
  if (supervised) report('stopping the control plane and the agent')
  const cluster = await stopCluster(home, config)
  const { removeNode } = await import('./components/remove.ts')
  await removeNode(home, config, report)
  if (nats !== undefined) report('stopping nats-server')
  await stopNatsServer(home)
  const { removeBeside } = await import('./components/beside.ts')
  await removeBeside(home)
  const { releaseDocker } = await import('./setup/dockerEngine.ts')
  await releaseDocker(home, report)
  report(!cluster && nats === undefined ? 'nothing was running' : `stopped; the history stays in ${home}`)
}

export const status = async ({ home }: { readonly home: string }): Promise<ClusterStatus> => {
  const config = readConfig(home)
  const cluster = runningCluster(home)
  const nats = runningServer(home)
  const base = { running: false, home, nodes: [], streams: [], pods: { running: 0, total: 0 }, notes: [] }
  if (config === undefined) return base
  const supervisor = await supervisorState(home, config)
  const disk = await diskNow(home, config).catch(() => undefined)
  const notes = [
    supervisor === undefined
      ? cluster === undefined
        ? []
        : ['Nobody starts it again if it ends; `reckon up` sees to that.']
      : [restartsText(supervisor)],
    disk === undefined || disk.room === 'plenty' ? [] : [diskText(home, disk)]
  ].flat()
  const pids = {
    notes,
    ...(supervisor === undefined ? {} : { supervisor }),
    ...(disk === undefined ? {} : { disk }),
    ...(cluster === undefined ? {} : { pid: cluster.pid }),
    ...(nats === undefined ? {} : { natsPid: nats.pid })
  }
  const { ready, says } = await readiness(home, config).catch((error: Error) => ({ ready: false, says: error.message }))
  if (!ready) return { ...base, ...pids, ...(says === undefined ? {} : { faults: says }) }
  const read = async <Body>(path: string): Promise<Body> => JSON.parse((await ask(home, config, path)).body) as Body
  const { gitVersion } = await read<{ gitVersion: string }>('/version')
  const { items: pods } = await read<{ items: { spec: { nodeName?: string }; status: { phase?: string } }[] }>('/api/v1/pods')
  const { items: nodes } = await read<{
    items: { metadata: { name: string }; status: { conditions?: { type: string; status: string }[] } }[]
  }>('/api/v1/nodes')
  const kept = await streams(home, config)
  const floor = kept.find(({ name }) => name === 'EVENTS')?.floor ?? 0
  return {
    running: true,
    home,
    server: `https://127.0.0.1:${config.apiPort}`,
    version: gitVersion,
    ...pids,
    notes:
      floor === 0
        ? notes
        : [...notes, `History begins at resourceVersion ${floor}; of what was before, the version each object had then is kept.`],
    nodes: nodes.map(({ metadata, status: { conditions } }) => ({
      name: metadata.name,
      ready: conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true,
      pods: pods.filter(({ spec }) => spec.nodeName === metadata.name).length
    })),
    streams: kept,
    pods: { running: pods.filter(({ status: { phase } }) => phase === 'Running').length, total: pods.length }
  }
}

const diskText = (home: string, { free, total, words }: NonNullable<ClusterStatus['disk']>): string => {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  return `${words[0]?.toUpperCase()}${words.slice(1)} (${mib(free)} of ${mib(total)}; ${home}/nats/store).`
}

/** The log's disk, as the running process would judge it. */
const diskNow = async (home: string, config: ClusterConfig): Promise<ClusterStatus['disk']> => {
  const [{ FileReserve, FolderDisk }, { roomOf, thresholdsOf, wordsOf }, { reserveFile }, { storeFolder }] = await Promise.all([
    import('#services/platform/disk/Disk.ts'),
    import('#services/platform/disk/decide.ts'),
    import('./components/disk.ts'),
    import('./nats/store.ts')
  ])
  const usage = await new FolderDisk(storeFolder(home)).usage()
  const thresholds = thresholdsOf(usage.total, config.settings?.disk)
  const reserve = new FileReserve(reserveFile(home)).held()
  const room = roomOf('plenty', usage, thresholds, reserve)
  return { room, free: usage.free, total: usage.total, reserve, words: wordsOf(room, thresholds) }
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
        return { name, messages: state.messages, bytes: state.bytes, lastSequence: state.last, floor: state.floor }
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
