/** Several API servers publish bindings: what a subject says never goes back, and each node is done by somebody. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Append, AppendResult, Log } from '#events/Log.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { KubernetesEndpoints, wantedOf } from '#services/apiserver/kubernetesEndpoints.ts'
import { BindingPublisher, type Share } from '#services/apiserver/nodes/BindingPublisher.ts'
import { ownerOf } from '#services/apiserver/nodes/partition.ts'
import { identityOf, Peers } from '#services/apiserver/nodes/Peers.ts'
import { updateOf } from '#services/platform/bindings.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'

const seal = allNodes(new Map([['k1', Buffer.alloc(32, 7)]]))

/** The bindings as one API server reaches them: what it appends on a subject can be held back. */
class Gate {
  readonly log: Log
  #held: (() => void)[] = []
  closed: (subject: string) => boolean = () => false
  appends: Append[] = []
  constructor(log: MemoryLog) {
    const append = async (appends: readonly Append[]): Promise<AppendResult> => {
      this.appends.push(...appends)
      if (this.closed((appends[0] as Append).subject)) await new Promise<void>((resolve) => this.#held.push(resolve))
      return log.append(appends)
    }
    this.log = Object.assign(Object.create(log) as Log, {
      append,
      stream: log.stream,
      follow: log.follow.bind(log),
      lastOn: log.lastOn.bind(log)
    })
  }
  open(): void {
    this.closed = () => false
    for (const go of this.#held.splice(0)) go()
  }
}

/** A share that changes when the test says so. */
class TestShare implements Share {
  #has: (node: string) => boolean
  #listeners: (() => void)[] = []
  constructor(...nodes: string[]) {
    this.#has = (node) => nodes.includes(node)
  }
  readonly current = (): ((node: string) => boolean) => this.#has
  onChange(listener: () => void): { close(): void } {
    this.#listeners.push(listener)
    return { close: () => {} }
  }
  become(...nodes: string[]): void {
    this.#has = (node) => nodes.includes(node)
    for (const listener of this.#listeners) listener()
  }
}

const lab = async () => {
  const clock = new VirtualClock(3)
  const stored = new MemoryLog('BINDINGS', clock, { keepLastOnly: true })
  const first = await startTestApi(clock)
  const second = await startTestApi(clock, {}, undefined, first)
  const errors: string[] = []
  let issued = 0
  const publisher = (api: TestApi, log: Log, share?: Share): BindingPublisher =>
    new BindingPublisher({
      views: api.views,
      bindings: log,
      tokens: { issue: async () => ({ token: `token-${++issued}`, expiresAt: '2026-01-01T01:00:00Z' }) },
      clusterCA: 'ca',
      seal,
      clock,
      ...(share === undefined ? {} : { share }),
      onError: (error) => errors.push((error as Error).message)
    })
  const last = async (name: string, node = 'n1') => {
    const entry = await stored.lastOn(`bind.${node}.default.${name}`)
    return entry === undefined ? undefined : updateOf(entry, seal).binding
  }
  const settle = (ms = 5_000): Promise<boolean> => clock.run(ms)
  return { clock, stored, first, second, errors, publisher, last, settle, gates: [new Gate(stored), new Gate(stored)] as const }
}
const create = async (api: TestApi, name: string, node = 'n1', more: object = {}): Promise<string> =>
  accepted(
    await api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { nodeName: node, containers: [{ name: 'c', image: 'i', ...more }] }
    } as unknown as KubeObject)
  ).metadata.uid as string
const remove = (api: TestApi, name: string) =>
  api.submit({ verb: 'delete', ref: { group: '', resource: 'pods' }, namespace: 'default', name, deleteOptions: { gracePeriodSeconds: 0 } })

const publishers = suite('several publishers of bindings')
publishers('what a status write changes of the metadata reaches the node, and the status itself does not', async () => {
  const it = await lab()
  await it.publisher(it.first, it.stored).start()
  await create(it.first, 'a')
  await it.settle()
  const say = (body: object) =>
    it.first.submit({
      verb: 'patch',
      ref: { group: '', resource: 'pods' },
      namespace: 'default',
      name: 'a',
      subresource: 'status',
      patch: { type: 'application/merge-patch+json', body }
    })
  accepted(await say({ status: { phase: 'Running' } }))
  await it.settle()
  assert.is(await it.stored.lastSequence(), 1)
  for (const metadata of [{ labels: { app: 'web' } }, { annotations: { 'example.com/a': 'b' } }]) {
    accepted(await say({ metadata }))
    await it.settle()
    const { labels, annotations } = (await it.last('a'))?.pod.metadata ?? {}
    assert.equal({ ...('labels' in metadata ? { labels } : { annotations }) }, metadata)
  }
})
publishers('who all believe that a node is theirs write each binding once', async () => {
  const it = await lab()
  const both = [it.publisher(it.first, it.stored), it.publisher(it.second, it.stored)]
  for (const one of both) await one.start()
  const uid = await create(it.first, 'a')
  await it.settle()
  assert.is((await it.last('a'))?.pod.metadata?.uid, uid)
  assert.is(await it.stored.lastSequence(), 1)
  await remove(it.second, 'a')
  await it.settle()
  assert.is(await it.last('a'), null)
  assert.is(await it.stored.lastSequence(), 2)
  assert.equal(it.errors, [])
  for (const one of both) one.stop()
})
publishers('a late word that a pod is gone does not bury the one that has its name now', async () => {
  const it = await lab()
  const [gate] = it.gates
  const slow = it.publisher(it.first, gate.log)
  const other = it.publisher(it.second, it.stored)
  for (const one of [slow, other]) await one.start()
  await create(it.first, 'a')
  await it.settle()
  gate.closed = () => true
  await remove(it.first, 'a')
  const uid = await create(it.first, 'a')
  await it.settle()
  assert.is(gate.appends.at(-1)?.text, '', 'the slow one was about to say that it is gone')
  assert.is((await it.last('a'))?.pod.metadata?.uid, uid, 'the other has published the new one')
  const written = await it.stored.lastSequence()
  gate.open()
  await it.settle()
  assert.is((await it.last('a'))?.pod.metadata?.uid, uid)
  assert.is(await it.stored.lastSequence(), written, 'not even for a moment')
  assert.equal(it.errors, [])
  for (const one of [slow, other]) one.stop()
})
publishers('a late binding does not replace a newer one', async () => {
  const it = await lab()
  const [gate] = it.gates
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'word', namespace: 'default' } }
  accepted(await it.first.create({ ...map, data: { word: 'old' } } as unknown as KubeObject))
  const slow = it.publisher(it.first, gate.log)
  const other = it.publisher(it.second, it.stored)
  for (const one of [slow, other]) await one.start()
  gate.closed = () => true
  await create(it.first, 'a', 'n1', { envFrom: [{ configMapRef: { name: 'word' } }] })
  await it.settle(200)
  accepted(
    await it.first.submit({
      verb: 'patch',
      ref: { group: '', resource: 'configmaps' },
      namespace: 'default',
      name: 'word',
      patch: { type: 'application/merge-patch+json', body: { data: { word: 'new' } } }
    })
  )
  await it.settle(200)
  assert.is((await it.last('a'))?.configMaps['word']?.data?.['word'], 'new')
  const written = await it.stored.lastSequence()
  gate.open()
  await it.settle()
  assert.is((await it.last('a'))?.configMaps['word']?.data?.['word'], 'new')
  assert.is(await it.stored.lastSequence(), written, 'not even for a moment')
  assert.equal(it.errors, [])
  for (const one of [slow, other]) one.stop()
})
publishers('who knows less than who wrote before waits until it knows as much', async () => {
  const it = await lab()
  const writer = it.publisher(it.first, it.stored)
  await writer.start()
  const uid = await create(it.first, 'a')
  await it.settle()
  writer.stop()
  const [entry] = [await it.stored.lastOn('bind.n1.default.a')]
  assert.ok(
    Number(entry?.headers['Reckon-As-Of']) >=
      (it.first.views.get({ group: '', resource: 'pods', namespace: 'default', name: 'a' })?.sequence ?? Infinity)
  )
  // As if it was written by one that had folded two more events than there are here.
  const ahead = it.first.views.of({ group: '', resource: 'pods' }).objects.sequence + 2
  await it.stored.append([
    { subject: 'bind.n1.default.a', headers: { ...entry?.headers, 'Reckon-As-Of': String(ahead) }, text: entry?.text as string }
  ])
  const share = new TestShare()
  const late = it.publisher(it.second, it.stored, share)
  await late.start()
  late.renew({ namespace: 'default', name: 'a' })
  await it.settle(1_000)
  assert.is(await it.stored.lastSequence(), 2, 'nothing is written on less')
  for (const name of ['x', 'y'])
    accepted(
      await it.first.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } } as unknown as KubeObject)
    )
  await it.settle(1_000)
  assert.is(await it.stored.lastSequence(), 3)
  assert.is((await it.last('a'))?.pod.metadata?.uid, uid)
  late.stop()
})
publishers('who takes a node over on less than who wrote before waits, too', async () => {
  const it = await lab()
  const writer = it.publisher(it.first, it.stored)
  await writer.start()
  await create(it.first, 'a')
  await it.settle()
  writer.stop()
  const entry = await it.stored.lastOn('bind.n1.default.a')
  const ahead = it.first.views.of({ group: '', resource: 'pods' }).objects.sequence + 2
  await it.stored.append([
    { subject: 'bind.n1.default.a', headers: { ...entry?.headers, 'Reckon-As-Of': String(ahead) }, text: entry?.text as string }
  ])
  const share = new TestShare()
  const late = it.publisher(it.second, it.stored, share)
  await late.start()
  share.become('n1')
  await it.settle(500)
  // It goes, and the one who takes over has not folded all that the binding was written on.
  accepted(await it.first.submit({ verb: 'delete', ref: { group: '', resource: 'pods' }, namespace: 'default', name: 'a' }))
  await it.settle(1_000)
  assert.is(await it.stored.lastSequence(), 2, 'nothing is written on less')
  accepted(
    await it.first.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', namespace: 'default' } } as unknown as KubeObject)
  )
  await it.settle(1_000)
  assert.is(await it.stored.lastSequence(), 3)
  assert.ok((await it.last('a'))?.pod.metadata?.deletionTimestamp !== undefined)
  late.stop()
})
publishers('each does its share, and takes over what the other leaves', async () => {
  const it = await lab()
  const [one, two] = it.gates
  const shares = [new TestShare('n1'), new TestShare('n2')] as const
  const both = [it.publisher(it.first, one.log, shares[0]), it.publisher(it.second, two.log, shares[1])] as const
  for (const publisher of both) await publisher.start()
  await create(it.first, 'a', 'n1')
  await create(it.first, 'b', 'n2')
  await create(it.first, 'c', 'n2')
  await it.settle()
  assert.equal(
    [one.appends.map(({ subject }) => subject), two.appends.map(({ subject }) => subject)],
    [['bind.n1.default.a'], ['bind.n2.default.b', 'bind.n2.default.c']]
  )
  both[1].stop()
  await remove(it.first, 'b')
  const late = await create(it.first, 'd', 'n2')
  await it.settle()
  assert.is((await it.last('b', 'n2'))?.pod.metadata?.name, 'b', 'nobody is there to take it back')
  shares[0].become('n1', 'n2')
  await it.settle()
  assert.is(await it.last('b', 'n2'), null)
  assert.is((await it.last('d', 'n2'))?.pod.metadata?.uid, late)
  assert.equal(one.appends.map(({ subject }) => subject).sort(), ['bind.n1.default.a', 'bind.n2.default.b', 'bind.n2.default.d'])
  assert.equal(it.errors, [])
  both[0].stop()
})
publishers('a pod that comes back elsewhere is taken back by who does its old node', async () => {
  const it = await lab()
  const both = [it.publisher(it.first, it.stored, new TestShare('n1')), it.publisher(it.second, it.stored, new TestShare('n2'))]
  for (const publisher of both) await publisher.start()
  await create(it.first, 'a', 'n1')
  await it.settle()
  await remove(it.first, 'a')
  const uid = await create(it.first, 'a', 'n2')
  await it.settle()
  assert.is(await it.last('a', 'n1'), null)
  assert.is((await it.last('a', 'n2'))?.pod.metadata?.uid, uid)
  for (const publisher of both) publisher.stop()
})
publishers('an append the log is slow about holds up nobody else', async () => {
  const it = await lab()
  const [gate] = it.gates
  gate.closed = (subject) => subject.endsWith('.slow')
  const publisher = it.publisher(it.first, gate.log)
  await publisher.start()
  await create(it.first, 'slow')
  for (let n = 0; n < 200; n++) await create(it.first, `p${n}`)
  await it.settle(100)
  assert.is(await it.stored.lastSequence(), 200)
  gate.open()
  await it.settle(100)
  assert.ok(await it.last('slow'))
  publisher.stop()
})
publishers.run()

const shares = suite('who does which node')
const NODES = Array.from({ length: 3_000 }, (_, n) => `node-${n}`)
shares('is spread evenly, and the same for everybody', () => {
  const members = ['apiserver-a', 'apiserver-b', 'apiserver-c']
  const counts = new Map<string, number>()
  for (const node of NODES) {
    const owner = ownerOf(node, members) as string
    assert.is(owner, ownerOf(node, members.toReversed()))
    counts.set(owner, (counts.get(owner) ?? 0) + 1)
  }
  for (const [member, count] of counts) assert.ok(count > 850 && count < 1_150, `${member}: ${count}`)
  assert.is(ownerOf('n', []), undefined)
})
shares('moves only the nodes of one that goes', () => {
  for (const node of NODES) {
    const before = ownerOf(node, ['a', 'b', 'c'])
    if (before !== 'c') assert.is(ownerOf(node, ['a', 'b']), before)
  }
})
shares.run()

const peers = suite('API servers that know of each other')
const startPeers = async () => {
  const clock = new VirtualClock(5)
  const first = await startTestApi(clock)
  const second = await startTestApi(clock, {}, undefined, first)
  const errors: unknown[] = []
  let silent = false
  const decider = (api: TestApi): Decider => ({
    submit: (intent, user) => (silent && api === second ? Promise.reject(new Error('away')) : api.decider.submit(intent, user))
  })
  const peer = (api: TestApi, port: number): Peers =>
    new Peers({
      views: api.views,
      decider: decider(api),
      clock,
      identity: identityOf('host', `10.0.0.1:${port}`),
      host: 'host',
      address: `10.0.0.1:${port}`,
      onError: (error) => errors.push(error)
    })
  return {
    clock,
    first,
    second,
    errors,
    one: peer(first, 1),
    two: peer(second, 2),
    silence: () => void (silent = true),
    speak: () => void (silent = false)
  }
}
const split = (some: readonly Peers[]): number[] => some.map((one) => NODES.filter(one.current()).length)
peers('share the nodes among them, and each is known by its Lease', async () => {
  const { clock, first, errors, one, two } = await startPeers()
  await one.start()
  assert.equal(split([one]), [NODES.length])
  await two.start()
  await clock.run(1_000)
  const [mine = 0, theirs = 0] = split([one, two])
  assert.is(mine + theirs, NODES.length)
  assert.ok(mine > 1_000 && theirs > 1_000)
  assert.equal(one.live.map(({ address }) => address).sort(), ['10.0.0.1:1', '10.0.0.1:2'])
  const [lease] = first.views.collection({ group: 'coordination.k8s.io', resource: 'leases' }).list('kube-system')
  assert.match(lease?.object.metadata.name ?? '', /^apiserver-[a-z2-7]{26}$/)
  assert.is(lease?.object.metadata.labels?.['apiserver.kubernetes.io/identity'], 'kube-apiserver')
  assert.equal(errors, [])
  await Promise.all([one.stop(), two.stop(), clock.run(1_000)])
})
peers('an orderly end hands over at once', async () => {
  const { clock, one, two } = await startPeers()
  await one.start()
  await two.start()
  await clock.run(1_000)
  assert.ok((split([one])[0] as number) < NODES.length)
  await Promise.all([two.stop(), clock.run(100)])
  assert.equal(split([one]), [NODES.length])
  await Promise.all([one.stop(), clock.run(1_000)])
})
peers('one that falls silent is taken over from after its time, and told of nothing twice', async () => {
  const { clock, errors, one, two, silence } = await startPeers()
  await one.start()
  await two.start()
  await clock.run(1_000)
  const changes: number[] = []
  one.onChange(() => changes.push(clock.elapsed))
  const since = clock.elapsed
  silence()
  await clock.run(20_000)
  assert.equal(split([one]), [NODES.length])
  assert.is(changes.length, 1)
  const took = (changes[0] as number) - since
  assert.ok(took > 3_000 && took < 6_000, `${took} ms`)
  assert.is(errors.length, 1, 'the silent one says once that it can not be heard')
  await Promise.all([one.stop(), two.stop(), clock.run(1_000)])
})
peers('one that could not renew its Lease for a while says that it hears agents only since then', async () => {
  const { clock, second, one, two, silence, speak } = await startPeers()
  await one.start()
  await two.start()
  const lease = () =>
    second.views
      .collection({ group: 'coordination.k8s.io', resource: 'leases' })
      .list('kube-system')
      .find(({ object }) => object.metadata.annotations?.['reckon.io/address'] === '10.0.0.1:2')?.object['spec'] as {
      acquireTime: string
      renewTime: string
    }
  await clock.run(10_000)
  const began = lease().acquireTime
  assert.ok(Date.parse(began) < clock.now() - 9_000)
  silence()
  await clock.run(3_000)
  speak()
  await clock.run(3_000)
  assert.is(lease().acquireTime, began, 'a late renewal is no break')
  silence()
  await clock.run(20_000)
  speak()
  await clock.run(3_000)
  assert.ok(Date.parse(lease().acquireTime) > clock.now() - 3_000)
  await Promise.all([one.stop(), two.stop(), clock.run(1_000)])
})
peers('all that live are behind the Service kubernetes, in a slice for each port', async () => {
  const { clock, first, second, one, two, errors } = await startPeers()
  const make = (api: TestApi, peers: Peers): KubernetesEndpoints =>
    new KubernetesEndpoints({ views: api.views, decider: api.decider, peers, clock, onError: (error) => errors.push(error) })
  const both = [make(first, one), make(second, two)]
  await one.start()
  both[0]?.start()
  await two.start()
  both[1]?.start()
  await clock.run(3_000)
  const endpoints = () =>
    (
      first.views.get({ group: '', resource: 'endpoints', namespace: 'default', name: 'kubernetes' })?.object['subsets'] as {
        addresses: { ip: string }[]
        ports: { port: number }[]
      }[]
    ).map(({ addresses, ports }) => [addresses.map(({ ip }) => ip), ports.map(({ port }) => port)])
  const slices = () =>
    first.views
      .collection({ group: 'discovery.k8s.io', resource: 'endpointslices' })
      .list('default')
      .map(({ object }) => [
        object.metadata.name,
        (object['endpoints'] as { addresses: string[] }[]).flatMap(({ addresses }) => addresses),
        (object['ports'] as { port: number }[])[0]?.port
      ])
  assert.equal(endpoints(), [
    [['10.0.0.1'], [1]],
    [['10.0.0.1'], [2]]
  ])
  assert.equal(slices(), [
    ['kubernetes', ['10.0.0.1'], 1],
    ['kubernetes-2', ['10.0.0.1'], 2]
  ])
  await Promise.all([one.stop(), clock.run(1_000)])
  both[0]?.stop()
  await clock.run(2_000)
  assert.equal([endpoints(), slices()], [[[['10.0.0.1'], [2]]], [['kubernetes', ['10.0.0.1'], 2]]])
  both[1]?.stop()
  await Promise.all([two.stop(), clock.run(1_000)])
  assert.equal(errors, [])
})
peers('addresses of one port share a slice, those of the other family have their own', () => {
  const { endpoints, slices } = wantedOf(['10.0.0.2:6443', '10.0.0.1:6443', '[fd00::1]:6443', '10.0.0.1:6443'])
  assert.equal(endpoints['subsets'], [
    { addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }, { ip: 'fd00::1' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] }
  ])
  assert.equal(
    slices.map(({ metadata, addressType, endpoints: all }) => [metadata.name, addressType, (all as readonly unknown[]).length]),
    [
      ['kubernetes', 'IPv4', 2],
      ['kubernetes-ipv6', 'IPv6', 1]
    ]
  )
})
peers.run()
