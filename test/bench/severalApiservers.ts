/** What three API servers cost on one machine; claim: a killed one is replaced within 6 s, a killed leader when its Lease ends. */
import { loadavg } from 'node:os'
import { performance } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { connectNats } from '#ops/nats/connect.ts'
import { runningServer } from '#ops/nats/server.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { startApiBeside, startBeside, type ApiBeside, type Beside } from '#test/support/beside.ts'
import { startPlane } from '#test/support/plane.ts'
import { latencies, machine, threadsOf } from './support.ts'

const CREATES = 2_000
const CLIENTS = 64
const PODS = '/api/v1/namespaces/default/pods'
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager'

type Call = ApiBeside['call']

const plane = await startPlane('apiserver')
const started: Beside[] = []
const keep = <Process extends Beside>(process: Process): Process => (started.push(process), process)

/** What a create costs each process, in microseconds of a core. */
const costs = (before: ReadonlyMap<string, ReturnType<typeof threadsOf>>): string =>
  [...processes()]
    .map(([name, pid]) => {
      const [from, to] = [before.get(name) ?? { main: 0, workers: 0, others: 0 }, threadsOf(pid)]
      const each = (part: 'main' | 'workers' | 'others'): string => (((to[part] - from[part]) * 1_000) / CREATES).toFixed(0)
      return `${name} ${each('main')} + ${each('workers')} + ${each('others')}`
    })
    .join('; ')
const processes = (): ReadonlyMap<string, number> =>
  new Map([
    ['nats-server', runningServer(plane.home)?.pid ?? 0],
    ['the first', plane.pid()],
    ...started.map(({ pid }, at) => [`beside it ${at + 1}`, pid] as const)
  ])

const creates = async (what: string, calls: readonly Call[]): Promise<void> => {
  const before = new Map([...processes()].map(([name, pid]) => [name, threadsOf(pid)]))
  const times: number[] = []
  let next = 0
  const began = performance.now()
  const client = async (number: number): Promise<void> => {
    const call = calls[number % calls.length] as Call
    while (next < CREATES) {
      const name = `${what.replace(/\W/g, '').toLowerCase()}-${next++}`
      const from = performance.now()
      const { status, body } = await call('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, labels: { app: 'bench' } },
        data: { key: 'value'.repeat(40) }
      })
      if (status !== 201) throw new Error(body)
      times.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)))
  console.log(
    `${what}: ${Math.round(CREATES / ((performance.now() - began) / 1000))} creates/s from ${CLIENTS} clients, ${latencies(times)}; load ${loadavg()[0]?.toFixed(1)}\n  microseconds of a core for each, main thread + historian + others: ${costs(before)}`
  )
}

const seconds = async (check: () => Promise<boolean>): Promise<string> => {
  const began = performance.now()
  await plane.until('it goes on', check, 60_000)
  return ((performance.now() - began) / 1000).toFixed(1)
}
const read = async <Body>(path: string): Promise<Body> => JSON.parse((await plane.call('GET', path)).body) as Body
const pod = (name: string, nodeName: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'c', image: 'i' }] }
})

console.log(`machine: ${machine()}`)
try {
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  await plane.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' }
  })
  await creates('warming up', [plane.call])
  await creates('one API server', [plane.call])
  const others = [keep(await startApiBeside(plane)), keep(await startApiBeside(plane))] as const
  await wait(2_000)
  await creates('beside two that only follow', [plane.call])
  await creates('three API servers', [plane.call, ...others.map(({ call }) => call)])

  const keeper = await connectNats(plane.home, plane.config, 'keeper')
  const bindings = new JetStreamLog(keeper, 'BINDINGS', { gapless: false })
  const published = async (name: string, node: string): Promise<boolean> =>
    (await bindings.lastOn(`bind.${node}.default.${name}`)) !== undefined
  const nodes = Array.from({ length: 30 }, (_, n) => `n${n}`)
  await others[0].kill()
  for (const node of nodes) await plane.call('POST', PODS, pod(`after-${node}`, node))
  console.log(
    `an API server is killed: the last of the bindings for ${nodes.length} nodes is published after ${await seconds(async () => (await Promise.all(nodes.map((node) => published(`after-${node}`, node)))).every(Boolean))} s`
  )
  await keeper.close()

  const leader = keep(startBeside(plane.home, ['controller-manager']))
  await plane.until('it leads', async () => ((await read<{ spec?: { holderIdentity?: string } }>(LEASE)).spec?.holderIdentity ?? '') !== '')
  const standby = keep(startBeside(plane.home, ['controller-manager']))
  await plane.until('the other one stands by', async () => /running: controller-manager/.test(standby.log()))
  const set = async (name: string): Promise<string> => {
    await plane.call('POST', '/apis/apps/v1/namespaces/default/replicasets', {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
      }
    })
    return seconds(async () => (await read<{ items: unknown[] }>(`${PODS}?labelSelector=app%3D${name}`)).items.length === 1)
  }
  await leader.kill()
  console.log(`the leading controller manager is killed: the next ReplicaSet has its pod after ${await set('killed')} s (Lease of 15 s)`)
  const third = keep(startBeside(plane.home, ['controller-manager']))
  await plane.until('the third stands by', async () => /running: controller-manager/.test(third.log()))
  await wait(2_000)
  await standby.kill('SIGTERM')
  console.log(`it is stopped in order: the next ReplicaSet has its pod after ${await set('stopped')} s`)
} finally {
  for (const process of started) await process.kill()
  await plane.remove()
}
