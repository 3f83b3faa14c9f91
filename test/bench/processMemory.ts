/** What a whole API server process holds in memory with 150,000 pods: the view, the index' thread, the connections. `[PODS]` */
import { spawn, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import type { NewEvent } from '#events/Event.ts'
import { stopNatsServer } from '#ops/nats/server.ts'
import { fill } from './filling.ts'
import { machine, startApi, usageOf } from './support.ts'

const PODS = Number(process.argv[2] ?? 150_000)

const pod = (n: number): NewEvent => ({
  stream: 'EVENTS',
  key: { group: '', resource: 'pods', namespace: `team-${n % 100}`, name: `pod-${n}` },
  id: `id-${n}`,
  type: 'reckon.pod.updated.v1',
  source: 'bench',
  time: new Date().toISOString(),
  user: 'bench',
  correlationId: 'bench',
  verb: 'update',
  deleted: false,
  expected: 0,
  object: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${n}`,
      namespace: `team-${n % 100}`,
      uid: `uid-${n}`,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: `app-${n % 100}`, 'pod-template-hash': `hash-${n % 2_000}` },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `rs-${n % 2_000}`, uid: `rs-uid-${n % 2_000}`, controller: true }
      ]
    },
    spec: {
      nodeName: `node-${n % 500}`,
      containers: [
        {
          name: 'web',
          image: 'reckon/demo:1',
          resources: { requests: { cpu: '10m', memory: '8Mi' } },
          ports: [{ containerPort: 8080, protocol: 'TCP' }]
        }
      ]
    },
    status: { phase: 'Running', podIP: '10.244.0.7', conditions: [{ type: 'Ready', status: 'True' }] }
  }
})

const api = await startApi()
const { home } = api
let server: ChildProcess = api.process
const end = async (): Promise<void> => {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  await ended
}
const resident = (): string => `${usageOf(server.pid as number).rssMiB.toFixed(0)} MiB`
const until = async (path: string): Promise<void> => {
  while ((await api.call('GET', path).catch(() => ({ status: 0 }))).status !== 200) await wait(50)
}
try {
  console.log(`machine: ${machine()}; load ${loadavg()[0]?.toFixed(1)}`)
  console.log(`empty: ${resident()}`)
  await end()
  const last = await fill(api, PODS, pod)
  for (const what of ['on a bare disk', 'with its index']) {
    const began = performance.now()
    server = spawn(process.execPath, [join(import.meta.dirname, '../../ops/server.ts'), '--home', home, '--components', 'apiserver'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, RECKON_HOME: home }
    })
    await until('/readyz')
    console.log(`${PODS} pods, ${what}: ready after ${((performance.now() - began) / 1_000).toFixed(1)} s, ${resident()}`)
    await until(`/at/${last}/api/v1/namespaces/default`)
    console.log(`  indexed: ${resident()}`)
    await wait(15_000)
    console.log(`  after 15 s at rest: ${resident()}`)
    await api.call('GET', '/api/v1/pods')
    console.log(`  after a list of all: ${resident()}`)
    await end()
  }
} finally {
  await end()
  await stopNatsServer(home)
  rmSync(home, { recursive: true, force: true })
}
process.exit(0)
