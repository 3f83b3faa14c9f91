/**
 * Claim: over a million events of 20,000 objects any moment is read in under 200 ms (p99): gets, pages of 500, whole lists of
 * some thousand, with selectors and without; the index is made faster than anybody writes, and after a kill, or on a disk without
 * it where there is a keyframe, the past is there again within seconds.
 *
 *     node test/bench/pastReads.ts [--events 1000000] [--keep FOLDER]
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { NewEvent } from '#events/Event.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { stopNatsServer } from '#ops/nats/server.ts'
import { fill } from './filling.ts'
import { latencies, machine, startApi, usageOf } from './support.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    lists: { type: 'string', default: '100' },
    /** A folder that is filled once and kept: later runs only ask. */
    keep: { type: 'string' }
  }
})
const EVENTS = Number(values.events)
const OBJECTS = 20_000
/** Half of the objects change all the time; the others now and then, so that what there was at a moment lies all over the log. */
const BUSY = OBJECTS / 2
const QUIET_EVERY = 20
const NAMESPACES = 10
const LISTS = Number(values.lists)
const GETS = 10 * LISTS
const WHOLE = Math.ceil(LISTS / 5)
const PAGE = 500
const twentyApps = Array.from({ length: 20 }, (_, n) => `app-${n * 5}`).join('%2C')

const seconds = (since: number): string => `${((performance.now() - since) / 1_000).toFixed(1)} s`
const say = (line: string): void => console.log(line)

/** Which object an event is of: at first each in its turn. */
const objectOf = (n: number): number => {
  if (n < OBJECTS) return n
  return n % QUIET_EVERY === 0 ? BUSY + (Math.floor(n / QUIET_EVERY) % (OBJECTS - BUSY)) : (n - Math.floor(n / QUIET_EVERY)) % BUSY
}

const podEvent = (n: number, at: number, expected: number): NewEvent => {
  const name = `pod-${at}`
  const round = Math.floor(n / OBJECTS)
  // One in twenty goes and comes back, so that what was there differs from moment to moment.
  const deleted = n >= OBJECTS && round % 4 === 3 && at % 20 === 7
  return {
    stream: 'EVENTS',
    key: { group: '', resource: 'pods', namespace: `ns-${at % NAMESPACES}`, name },
    id: `id-${n}`,
    type: 'reckon.pod.updated.v1',
    source: 'bench',
    time: new Date(Date.now()).toISOString(),
    user: 'bench',
    correlationId: 'bench',
    verb: 'update',
    deleted,
    expected,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace: `ns-${at % NAMESPACES}`,
        uid: `uid-${at}`,
        creationTimestamp: '2026-01-01T00:00:00Z',
        labels: { app: `app-${at % 100}`, 'pod-template-hash': `hash-${at % 2_000}` }
      },
      spec: {
        nodeName: `node-${at % 500}`,
        containers: [
          {
            name: 'web',
            image: 'reckon/demo:1',
            resources: { requests: { cpu: '10m', memory: '8Mi' } },
            ports: [{ containerPort: 8080, protocol: 'TCP' }]
          }
        ]
      },
      status: {
        phase: 'Running',
        podIP: '10.244.0.7',
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
        containerStatuses: [
          {
            name: 'web',
            ready: true,
            restartCount: n % 7,
            image: 'reckon/demo:1',
            state: { running: { startedAt: '2026-01-01T00:00:00Z' } }
          }
        ]
      }
    }
  }
}

const folderSize = (folder: string): number => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

/** Where an earlier run left off. */
const noted = values.keep === undefined ? undefined : join(values.keep, 'filled')
const filled = noted !== undefined && existsSync(noted) ? Number(readFileSync(noted, 'utf8')) : undefined
if (values.keep !== undefined) mkdirSync(values.keep, { recursive: true })
const api = await startApi(['apiserver'], values.keep)
const { home, config } = api
let server: ChildProcess = api.process
const agent = new Agent({
  keepAlive: true,
  maxSockets: 8,
  ca: readFileSync(pkiFile(home, 'ca.crt')),
  cert: readFileSync(pkiFile(home, 'admin.crt')),
  key: readFileSync(pkiFile(home, 'admin.key'))
})
const get = (path: string): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const made = request({ host: '127.0.0.1', port: config.apiPort, agent, path }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    made.on('error', reject)
    made.end()
  })
const kill = async (): Promise<void> => {
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGKILL')
  await ended
}
const start = (): void =>
  void (server = spawn(process.execPath, [join(import.meta.dirname, '../../ops/server.ts'), '--home', home, '--components', 'apiserver'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, RECKON_HOME: home }
  }))
/** Milliseconds until a path answers 200. */
const until = async (path: string): Promise<void> => {
  while (
    (await get(path).then(
      ({ status }) => status,
      () => 0
    )) !== 200
  )
    await wait(20)
}
const timed = async (count: number, path: () => string): Promise<string> => {
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const began = performance.now()
    const { status, body } = await get(path())
    if (status !== 200 && status !== 404) throw new Error(`${status}: ${body.slice(0, 300)}`)
    times.push(performance.now() - began)
  }
  return latencies(times)
}

const filling = async (): Promise<number> => {
  await kill()
  const began = performance.now()
  const last = await fill(api, EVENTS, (n, lastOf) => podEvent(n, objectOf(n), lastOf(`pod-${objectOf(n)}`)))
  if (noted !== undefined) writeFileSync(noted, String(last))
  say(`${EVENTS} events of ${OBJECTS} objects written in ${seconds(began)}`)
  return last
}
/** How long a start takes until the past is there. */
const starts = async (last: number): Promise<void> => {
  let began = performance.now()
  rmSync(join(home, 'history'), { recursive: true, force: true })
  for (const what of ['on a bare disk', 'after kill -9']) {
    began = performance.now()
    start()
    await until('/readyz')
    const ready = seconds(began)
    await until(`/at/${last}/api/v1/namespaces/default`)
    say(`${what}: ready after ${ready}, the past after ${seconds(began)}; ${Math.round(usageOf(server.pid as number).rssMiB)} MiB`)
    if (what !== 'after kill -9') await kill()
  }
  // Once the index was at the end of the log there is a keyframe, some seconds later.
  await wait(5_000)
  await kill()
  rmSync(join(home, 'history'), { recursive: true, force: true })
  began = performance.now()
  start()
  await until('/readyz')
  const ready = seconds(began)
  await until(`/at/${last}/api/v1/namespaces/default`)
  const since = seconds(began)
  await until(`/at/${OBJECTS}/api/v1/namespaces/default`)
  say(`on a bare disk, with a keyframe: ready after ${ready}, the past since it after ${since}, all of it after ${seconds(began)}`)
}

try {
  say(`machine: ${machine()}; load ${loadavg()[0]?.toFixed(1)}`)
  const last = filled ?? (await filling())
  if (filled === undefined) await starts(last)
  else await until(`/at/${OBJECTS}/api/v1/namespaces/default`)
  const size = folderSize(join(home, 'history'))
  say(`on disk: ${(size / 2 ** 20).toFixed(0)} MiB, ${(size / 2 ** 20 / (EVENTS / 1e6)).toFixed(0)} MiB per million events`)
  // None is warm but for what the shapes before left: each is of a moment of its own.
  const moment = (): number => OBJECTS + Math.floor(Math.random() * (last - OBJECTS))
  const below = (count: number): number => Math.floor(Math.random() * count)
  const pod = (at = below(OBJECTS)): string => `/api/v1/namespaces/ns-${at % NAMESPACES}/pods/pod-${at}`
  const namespace = (): string => `/api/v1/namespaces/ns-${below(NAMESPACES)}/pods`
  const all = '/api/v1/pods'
  const shapes: readonly (readonly [what: string, count: number, path: () => string])[] = [
    ['a pod', GETS, pod],
    [`all pods, a page of ${PAGE}`, LISTS, () => `${all}?limit=${PAGE}`],
    [`a namespace (2,000), a page of ${PAGE}`, LISTS, () => `${namespace()}?limit=${PAGE}`],
    ['a namespace (2,000), whole', LISTS, namespace],
    ['a namespace by a label (20)', LISTS, () => `${namespace()}?labelSelector=app%3Dapp-${below(100)}`],
    ['all pods by a label (200)', LISTS, () => `${all}?labelSelector=app%3Dapp-${below(100)}`],
    [`all pods by a label (4,000), a page of ${PAGE}`, LISTS, () => `${all}?limit=${PAGE}&labelSelector=app+in+(${twentyApps})`],
    ['all pods of a node (40)', LISTS, () => `${all}?fieldSelector=spec.nodeName%3Dnode-${below(500)}`],
    ['all pods that are not running (0)', LISTS, () => `${all}?fieldSelector=status.phase!%3DRunning`],
    ['all pods (20,000), whole', WHOLE, () => all]
  ]
  for (const [what, count, path] of shapes) {
    const before = usageOf(server.pid as number).cpuMs
    const figures = await timed(count, () => `/at/${moment()}${path()}`)
    say(`${what}: ${figures} (${((usageOf(server.pid as number).cpuMs - before) / count).toFixed(1)} ms of the API server's own time)`)
  }
  say(`memory afterwards: ${Math.round(usageOf(server.pid as number).rssMiB)} MiB`)
} finally {
  agent.destroy()
  await kill()
  await stopNatsServer(home)
  if (values.keep === undefined) rmSync(home, { recursive: true, force: true })
}
process.exit(0)
