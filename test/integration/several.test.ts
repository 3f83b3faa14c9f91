/** Several API servers and controller managers of one cluster, each a process of its own, killed and frozen. */
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { podReportSubject } from '#events/node/messages.ts'
import { encodeToken } from '#events/Subject.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { startApiBeside, startBeside, type ApiBeside, type Beside } from '#test/support/beside.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager'
const PODS = '/api/v1/namespaces/default/pods'
const SETS = '/apis/apps/v1/namespaces/default/replicasets'

let plane: Plane
const started: Beside[] = []
const keep = <Process extends Beside>(process: Process): Process => (started.push(process), process)
const read = async <Body>(path: string, call: Plane['call'] | ApiBeside['call'] = plane.call): Promise<Body> =>
  JSON.parse((await call('GET', path)).body) as Body
const holder = async (): Promise<string> => (await read<{ spec?: { holderIdentity?: string } }>(LEASE)).spec?.holderIdentity ?? ''
const replicaSet = (name: string, replicas: number): object => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  }
})
const podsOf = async (name: string): Promise<number> =>
  (await read<{ items: unknown[] }>(`${PODS}?labelSelector=app%3D${name}`)).items.length
/** How many pods were ever made for a set, from the log. */
const everMade = async (name: string): Promise<number> => {
  const keeper = await connectNats(plane.home, plane.config, 'keeper')
  try {
    const log = new JetStreamLog(keeper, 'EVENTS')
    const made = new Set<string>()
    for await (const entries of log.read({ from: 1, to: await log.lastSequence(), filter: `ev.core.pods.default.>` }))
      for (const { subject } of entries) if (subject.includes(`.${name}-`)) made.add(subject)
    return made.size
  } finally {
    await keeper.close()
  }
}

const several = suite('several of everything')
several.before(async () => {
  plane = await startPlane(
    'apiserver',
    {},
    { config: { settings: { leaderElection: { leaseDuration: '4s', renewDeadline: '3s', retryPeriod: '0.5s' } } } }
  )
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
})
several.after(async () => {
  for (const process of started) await process.kill()
  await plane?.remove()
})

several('a write on one API server is read on another, and all are behind the Service kubernetes', async () => {
  const second = keep(await startApiBeside(plane))
  const third = keep(await startApiBeside(plane))
  const made = await second.call('POST', '/api/v1/namespaces/default/configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'word' },
    data: { a: '1' }
  })
  assert.is(made.status, 201, made.body)
  const { resourceVersion } = (JSON.parse(made.body) as { metadata: { resourceVersion: string } }).metadata
  for (const call of [plane.call, third.call]) {
    const { items } = await read<{ items: { metadata: { name: string } }[] }>(
      `/api/v1/namespaces/default/configmaps?resourceVersion=${resourceVersion}&resourceVersionMatch=NotOlderThan`,
      call
    )
    assert.ok(items.some(({ metadata }) => metadata.name === 'word'))
  }
  // As behind a load balancer: what one has acknowledged, the next one knows.
  for (let n = 0; n < 30; n++) {
    assert.is(
      (
        await second.call('POST', '/api/v1/namespaces/default/configmaps', {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: `n${n}` }
        })
      ).status,
      201
    )
    assert.is((await third.call('GET', `/api/v1/namespaces/default/configmaps/n${n}`)).status, 200)
  }
  const ports = async (): Promise<number[]> =>
    (await read<{ subsets: { ports: { port: number }[] }[] }>('/api/v1/namespaces/default/endpoints/kubernetes')).subsets
      .map(({ ports: [port] }) => port?.port ?? 0)
      .sort()
  const all = [plane.config.apiPort, second.port, third.port].sort()
  await plane.until('all three are listed', async () => JSON.stringify(await ports()) === JSON.stringify(all))
  const slices = await read<{ items: { ports: { port: number }[] }[] }>(
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes'
  )
  assert.equal(slices.items.map(({ ports: [port] }) => port?.port ?? 0).sort(), all)
  // Each has an index of the past of its own: two writers of one file would trip over each other's rows.
  for (const call of [second.call, third.call])
    await plane.until(
      'the past is read',
      async () => (await call('GET', '/at/-0s/api/v1/namespaces/default/configmaps/n29')).status === 200
    )
  assert.not.match(`${second.log()}${third.log()}`, /historian:/)
  await third.kill()
  await plane.until('the one that was killed is taken out', async () => !(await ports()).includes(third.port), 12_000)
  await second.kill('SIGTERM')
  await plane.until(
    'the one that was stopped is taken out at once',
    async () => JSON.stringify(await ports()) === JSON.stringify([plane.config.apiPort]),
    4_000
  )
})

several('schedulers are elected, too, and one that is stopped hands over at once', async () => {
  const of = async (): Promise<string> =>
    (await read<{ spec?: { holderIdentity?: string } }>(LEASE.replace('kube-controller-manager', 'kube-scheduler'))).spec?.holderIdentity ??
    ''
  const first = keep(startBeside(plane.home, ['scheduler']))
  await plane
    .until('the first leads', async () => (await of()) !== '', 20_000)
    .catch((error: Error) => assert.unreachable(`${error.message}\n${first.log()}`))
  const before = await of()
  const second = keep(startBeside(plane.home, ['scheduler']))
  await plane.until('the second stands by', async () => /running: scheduler/.test(second.log()))
  await first.kill('SIGTERM')
  const stopped = Date.now()
  await plane.until('the second leads', async () => ![before, ''].includes(await of()), 10_000)
  assert.ok(Date.now() - stopped < 3_000, `${Date.now() - stopped} ms`)
  await second.kill()
})
several('the leading controller manager is killed: another goes on', async () => {
  const [first, second] = [keep(startBeside(plane.home, ['controller-manager'])), keep(startBeside(plane.home, ['controller-manager']))]
  await plane
    .until('one leads', async () => (await holder()) !== '')
    .catch((error: Error) => assert.unreachable(`${error.message}\n${first.log()}${second.log()}`))
  const made = await plane.call('POST', SETS, replicaSet('one', 3))
  assert.is(made.status, 201, made.body)
  await plane.until('its pods are made', async () => (await podsOf('one')) === 3)
  const before = await holder()
  const events = async (): Promise<string[]> =>
    (await read<{ items: { reason: string; message: string }[] }>('/api/v1/namespaces/kube-system/events')).items
      .filter(({ reason }) => reason === 'LeaderElection')
      .map(({ message }) => message)
  assert.ok((await events()).includes(`${before} became leader`))
  // Which of the two it is, only their ends tell: the first that is killed and makes no difference was the standby.
  await first.kill()
  const began = Date.now()
  await plane.call('POST', SETS, replicaSet('two', 3))
  await plane.until('pods are made again', async () => (await podsOf('two')) === 3, 15_000)
  if ((await holder()) === before) {
    keep(startBeside(plane.home, ['controller-manager']))
    await wait(2_000)
    await second.kill()
    await plane.call('POST', SETS, replicaSet('three', 3))
    await plane.until('pods are made again', async () => (await podsOf('three')) === 3, 15_000)
  }
  assert.is.not(await holder(), before)
  assert.ok(Date.now() - began < 20_000)
})

several('a leader that was frozen in the middle of a scale-up makes no pod too many when it goes on', async () => {
  for (const process of started) await process.kill()
  const first = keep(startBeside(plane.home, ['controller-manager']))
  let before = await holder()
  await plane.until('the first leads', async () => (await holder()) !== before && (await holder()) !== '', 15_000)
  before = await holder()
  const second = keep(startBeside(plane.home, ['controller-manager']))
  await plane.until('the second stands by', async () => /running: controller-manager/.test(second.log()))
  await plane.call('POST', SETS, replicaSet('big', 300))
  await plane.until('some of its pods are made', async () => (await podsOf('big')) > 5)
  first.signal('SIGSTOP')
  const frozen = await podsOf('big')
  await plane.until('the second leads', async () => (await holder()) !== before, 15_000)
  await plane.until('it makes the rest', async () => (await podsOf('big')) === 300, 30_000)
  first.signal('SIGCONT')
  await wait(4_000)
  assert.is(await podsOf('big'), 300)
  assert.is(await everMade('big'), 300, `none was made too many, ${frozen} were there when it was frozen`)
  await first.kill()
  await second.kill()
})

several('one of three API servers is killed while reports come in: all are decided, and its nodes are taken over', async () => {
  const others = [keep(await startApiBeside(plane)), keep(await startApiBeside(plane))] as const
  await wait(2_000)
  const nodeName = plane.config.nodeName
  const node: NatsConnection = await connectNats(plane.home, plane.config, `node-${encodeToken(nodeName)}`)
  try {
    await plane.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default' }
    })
    const uids = new Map<string, string>()
    for (let n = 0; n < 10; n++) {
      const made = await plane.call('POST', PODS, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `p${n}` },
        spec: { nodeName, containers: [{ name: 'c', image: 'i' }] }
      })
      assert.is(made.status, 201, made.body)
      uids.set(`p${n}`, (JSON.parse(made.body) as { metadata: { uid: string } }).metadata.uid)
    }
    const report = (name: string, message: string): Promise<unknown> =>
      jetstream(node).publish(
        podReportSubject(nodeName, 'default', name),
        JSON.stringify({
          uid: uids.get(name),
          status: { phase: 'Running', message },
          cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'c' }
        })
      )
    for (let round = 0; round < 20; round++) {
      await Promise.all([...uids.keys()].map((name) => report(name, String(round))))
      if (round === 10) await others[0].kill()
    }
    const killed = Date.now()
    for (const name of uids.keys())
      await plane.until(
        `the last report of ${name} is decided`,
        async () => (await read<{ status: { message?: string } }>(`${PODS}/${name}`)).status.message === '19',
        15_000
      )
    assert.ok(Date.now() - killed < 10_000, `${Date.now() - killed} ms`)
    // Bindings of its nodes: one of the others publishes them, whoever's they were.
    const keeper = await connectNats(plane.home, plane.config, 'keeper')
    try {
      const bindings = new JetStreamLog(keeper, 'BINDINGS', { gapless: false })
      for (const other of ['n-a', 'n-b', 'n-c', 'n-d', 'n-e', 'n-f', 'n-g', 'n-h']) {
        await plane.call('POST', PODS, {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: `on-${other}` },
          spec: { nodeName: other, containers: [{ name: 'c', image: 'i' }] }
        })
        await plane.until(
          `the binding on ${other} is published`,
          async () => (await bindings.lastOn(`bind.${other}.default.on-${other}`)) !== undefined,
          10_000
        )
      }
    } finally {
      await keeper.close()
    }
  } finally {
    await node.close()
  }
})
several.run()
