/** What the log says of pods that run on a node without a binding, and how bindings are taken back: on its word only. */
import { at } from '#test/support/kinds.ts'
import { asOneOf } from '#events/KubeObject.ts'
import { PODS } from '#events/collections.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import type { Fate, Stray } from '#events/node/messages.ts'
import { fateOf, type NameHistory } from '#services/apiserver/nodes/decide.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { bindingMessage, UnreadableBinding, updateOf } from '#services/platform/bindings.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { MAC_HEADER, Seal } from '#services/platform/ledger/Seal.ts'
import { allNodes, nodeKey, oneNode } from '#services/platform/secrets/NodeKeys.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { BindingUpdate } from '#services/platform/NodeLink.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'

const stray = (name: string, uid: string, since = 0): Stray => ({ namespace: 'default', name, uid, since })

const decide = suite('fates: the decision')
const pod = (uid: string, nodeName = ''): Pod =>
  asOneOf(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { uid },
    spec: nodeName === '' ? {} : { nodeName }
  })
const history = (more: Partial<NameHistory>): NameHistory => ({
  present: undefined,
  deleted: new Set(),
  made: 0,
  whole: true,
  lossAccepted: false,
  ...more
})
for (const [what, more, fate] of [
  ["it is there and this node's", { present: pod('u', 'n1') }, 'alive'],
  ['it is there and not bound yet', { present: pod('u') }, 'alive'],
  ["it is there and another node's", { present: pod('u', 'n2') }, 'gone'],
  ['it was deleted', { deleted: new Set(['u']) }, 'gone'],
  ['it was deleted, and another has its name', { present: pod('v', 'n1'), deleted: new Set(['t', 'u']) }, 'gone'],
  ['the log never heard of its name', {}, 'unknown'],
  ['another has its name, and the log never heard of it', { present: pod('v', 'n1'), deleted: new Set(['t']), made: 2_000 }, 'unknown'],
  ['its events were compacted away, and a later one has its name', { present: pod('v', 'n1'), made: 2_000, whole: false }, 'gone'],
  ['events were compacted away, and no later one is known', { made: 500, whole: false }, 'unknown'],
  ['the log never heard of it, and a loss was accepted', { lossAccepted: true }, 'lost'],
  ['it is there, and a loss was accepted', { present: pod('u', 'n1'), lossAccepted: true }, 'alive'],
  ['it was deleted, and a loss was accepted', { deleted: new Set(['u']), lossAccepted: true }, 'gone']
] as const satisfies readonly (readonly [string, Partial<NameHistory>, Fate])[])
  decide(`${what}: ${fate}`, () => assert.is(fateOf(stray('a', 'u', 1_000), 'n1', history(more)), fate))
decide.run()

const create = async (api: TestApi, name: string, spec: object = {}): Promise<string> =>
  accepted(
    await api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { nodeName: 'n1', containers: [{ name: 'web', image: 'web:1' }], ...spec }
    })
  ).metadata.uid as string
const remove = async (api: TestApi, name: string): Promise<void> =>
  void accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name, deleteOptions: { gracePeriodSeconds: 0 } }))
/** The log says that a person has accepted a loss. */
const loseSomething = (api: TestApi): void => {
  const { state } = api.logs.EVENTS
  api.logs.EVENTS.state = async () => ({ ...(await state.call(api.logs.EVENTS)), epoch: 1 })
}

const fates = suite('fates: in the log')
fates('found through all pods that ever had the name', async () => {
  const api = await startTestApi()
  const uids: string[] = []
  for (let n = 0; n < 4; n++) {
    uids.push(await create(api, 'a'))
    if (n < 3) await remove(api, 'a')
  }
  const other = await create(api, 'b', { nodeName: 'n2' })
  const unbound = accepted(
    await api.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'c' }, spec: { containers: [{ name: 'web', image: 'web:1' }] } })
  ).metadata.uid as string
  const asked = [
    ...uids.map((uid) => stray('a', uid)),
    stray('b', other),
    stray('c', unbound),
    stray('a', 'never'),
    stray('nobody', 'never')
  ]
  assert.equal(await fatesIn(api.views, 'n1', asked), ['gone', 'gone', 'gone', 'alive', 'gone', 'alive', 'unknown', 'unknown'])
  loseSomething(api)
  assert.equal(await fatesIn(api.views, 'n1', asked), ['gone', 'gone', 'gone', 'alive', 'gone', 'alive', 'lost', 'lost'])
})
fates('a log that was cut off answers for what it has', async () => {
  const api = await startTestApi()
  const first = await create(api, 'a')
  await remove(api, 'a')
  await create(api, 'a')
  // Compacted: only the newest entry of the name is left.
  const { get } = api.logs.EVENTS
  const last = await api.logs.EVENTS.lastSequence()
  api.logs.EVENTS.get = async (sequence) => (sequence === last ? get.call(api.logs.EVENTS, sequence) : undefined)
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', first, 0), stray('a', first, Date.now() + 60_000)]), ['gone', 'unknown'])
})
fates('behind an entry that is none of ours nothing is found, and nothing is said to be gone', async () => {
  const api = await startTestApi()
  const first = await create(api, 'a')
  await remove(api, 'a')
  const { get } = api.logs.EVENTS
  const last = await api.logs.EVENTS.lastSequence()
  api.logs.EVENTS.get = async (sequence) =>
    sequence === last
      ? { subject: 'ev.core.pods.default.a', sequence, headers: {}, text: 'not ours', time: 0 }
      : get.call(api.logs.EVENTS, sequence)
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', first)]), ['unknown'])
})
fates('a forged event ends no pod: what is not sealed says nothing', async () => {
  const sealing = new Seal(new Map([['k1', Buffer.alloc(32, 3)]]))
  const api = await startTestApi(
    new VirtualClock(1),
    {},
    new Integrity({ seal: sealing, ledger: new MemoryLedger('EVENTS', 'it'), whole: true, expires: false })
  )
  const uid = await create(api, 'a')
  const { subject, headers, text } = (await api.logs.EVENTS.get(await api.logs.EVENTS.lastSequence())) as LogEntry
  const { [MAC_HEADER]: _, ...unsealed } = headers
  const forge = async (name: string, body: string): Promise<void> => {
    await api.logs.EVENTS.append([
      {
        subject: subject.replace(/a$/, name),
        headers: { ...unsealed, 'ce-subject': `default/${name}`, 'reckon-deleted': 'true' },
        text: body
      }
    ])
    await api.views.of({ group: '', resource: 'pods' }).waitFor(await api.logs.EVENTS.lastSequence())
  }
  await forge('a', text)
  await forge('b', text.replaceAll('"name":"a"', '"name":"b"'))
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', uid), stray('b', uid)]), ['alive', 'unknown'])
  // Nor does it hide what is behind it.
  await remove(api, 'a')
  await forge('a', text.replaceAll(uid, 'another'))
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', uid), stray('a', 'another')]), ['gone', 'unknown'])
})
fates('of what was deleted before the floor of history nothing is known, but that two pods have no name at a time', async () => {
  const api = await startTestApi()
  const first = await create(api, 'a')
  await remove(api, 'a')
  const view = api.views.of({ group: '', resource: 'pods' })
  // Its subject is empty.
  view.headOf = async () => 0
  Object.defineProperty(view, 'floor', { value: 1_000 })
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', first, 0)]), ['unknown'])
  await create(api, 'a')
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', first, 0), stray('a', first, Date.now() + 60_000)]), ['gone', 'unknown'])
})
fates('while the log does not answer nothing is said', async () => {
  const api = await startTestApi()
  api.logs.EVENTS.lastSequence = () => Promise.reject(new Error('away'))
  await fatesIn(api.views, 'n1', [stray('a', 'u')]).then(
    () => assert.unreachable('it was answered'),
    (error: Error) => assert.is(error.message, 'away')
  )
})
fates.run()

const bindings = suite('bindings')
const seal = allNodes(new Map([['k1', Buffer.alloc(32, 7)]]))

const lab = async (api?: TestApi, log?: MemoryLog, clock = new VirtualClock(2)) => {
  const it = api ?? (await startTestApi(clock))
  const stored = log ?? new MemoryLog('BINDINGS', clock, { keepLastOnly: true })
  const errors: string[] = []
  let issued = 0
  const publisher = new BindingPublisher({
    views: it.views,
    bindings: stored,
    tokens: { issue: async () => ({ token: `token-${++issued}`, expiresAt: '2026-01-01T01:00:00Z' }) },
    clusterCA: 'ca',
    seal,
    clock,
    onError: (error) => errors.push((error as Error).message)
  })
  /** Everything that was ever written, and the last word on each pod. */
  const written = async (): Promise<LogEntry[]> => {
    const all: LogEntry[] = []
    for (let sequence = 1; sequence <= (await stored.lastSequence()); sequence++) {
      const entry = await stored.get(sequence)
      if (entry !== undefined) all.push(entry)
    }
    return all
  }
  const last = async (): Promise<Record<string, BindingUpdate>> =>
    Object.fromEntries((await written()).map((entry) => [entry.subject, updateOf(entry, seal)]))
  const settle = (): Promise<boolean> => clock.run(5_000)
  return { clock, api: it, log: stored, publisher, errors, written, last, settle }
}

bindings('say whose they are, and are taken back when the pod is deleted', async () => {
  const it = await lab()
  await it.publisher.start()
  const uid = await create(it.api, 'a')
  await it.settle()
  const origin = await originIn(it.api.views)
  const { 'bind.n1.default.a': bound } = await it.last()
  assert.equal([bound?.binding?.pod.metadata?.uid, bound?.origin], [uid, origin])
  await remove(it.api, 'a')
  await it.settle()
  assert.equal((await it.last())['bind.n1.default.a'], { namespace: 'default', name: 'a', binding: null, origin })
  assert.is((await it.written()).at(-1)?.headers['Nats-TTL'], '1h')
  assert.equal(it.errors, [])
  it.publisher.stop()
})
bindings('whose acknowledgement was lost are taken back all the same when the pod is deleted meanwhile', async () => {
  const clock = new VirtualClock(3)
  let lost = true
  const it = await lab(
    await startTestApi(clock),
    new MemoryLog('BINDINGS', clock, { keepLastOnly: true, faults: { lose: () => lost } }),
    clock
  )
  await it.publisher.start()
  await create(it.api, 'a')
  await clock.run(1_000)
  await remove(it.api, 'a')
  lost = false
  await clock.run(20_000)
  assert.is((await it.last())['bind.n1.default.a']?.binding, null)
  it.publisher.stop()
})
bindings('that are right already are not written again at a start; those of before they were named are', async () => {
  const it = await lab()
  await it.publisher.start()
  await create(it.api, 'a')
  await create(it.api, 'b')
  await it.settle()
  it.publisher.stop()
  const before = await it.log.lastSequence()
  const second = await lab(it.api, it.log)
  await second.publisher.start()
  await second.settle()
  assert.is(await it.log.lastSequence(), before)
  second.publisher.stop()
  const { text } = (await it.log.lastOn('bind.n1.default.a')) as LogEntry
  await it.log.append([{ subject: 'bind.n1.default.a', headers: {}, text }])
  const third = await lab(it.api, it.log)
  await third.publisher.start()
  await third.settle()
  assert.is(await it.log.lastSequence(), before + 2)
  assert.equal((await third.last())['bind.n1.default.a']?.origin, await originIn(it.api.views))
  third.publisher.stop()
})
bindings('of pods the log knows nothing of stay, and it is told once; of pods deleted meanwhile they are taken back', async () => {
  const it = await lab()
  await it.publisher.start()
  for (const name of ['a', 'b', 'c']) await create(it.api, name)
  await it.settle()
  it.publisher.stop()
  // Another log: it knows a, and that b was deleted, and never heard of c.
  const other = await startTestApi(it.clock)
  const before = (await it.last()) as Record<string, BindingUpdate>
  const known = async (name: string): Promise<void> => {
    const uid = await create(other, name)
    const binding = before[`bind.n1.default.${name}`]?.binding
    const subject = `bind.n1.default.${name}`
    const changed = JSON.parse(JSON.stringify(binding).replaceAll(binding?.pod.metadata?.uid as string, uid)) as NonNullable<typeof binding>
    await it.log.append([{ subject, ...bindingMessage(subject, changed, { cluster: '', epoch: 0 }, seal) }])
  }
  await known('a')
  await known('b')
  await remove(other, 'b')
  const second = await lab(other, it.log)
  await second.publisher.start()
  await second.settle()
  const after = await second.last()
  assert.equal(
    Object.entries(after)
      .map(([subject, { binding }]) => `${subject} ${binding === null ? 'gone' : 'bound'}`)
      .sort(),
    ['bind.n1.default.a bound', 'bind.n1.default.b gone', 'bind.n1.default.c bound']
  )
  assert.is(second.errors.length, 1)
  assert.match(second.errors[0] as string, /node n1 is told to run pod default\/c \(.*\), which the log knows nothing of; it is let run/)
  second.publisher.stop()
  // After a loss that a person accepted it is taken back, and gets its time to end.
  loseSomething(other)
  const third = await lab(other, it.log)
  await third.publisher.start()
  await third.settle()
  const { 'bind.n1.default.c': lost } = await third.last()
  assert.equal([lost?.binding, lost?.lost, lost?.origin?.epoch], [null, true, 1])
  third.publisher.stop()
})
bindings('of a pod whose node asks for it are written again', async () => {
  const it = await lab()
  await it.publisher.start()
  await create(it.api, 'a')
  await it.settle()
  const before = await it.log.lastSequence()
  it.publisher.renew(stray('a', 'x'))
  await it.settle()
  assert.is(await it.log.lastSequence(), before + 1)
  it.publisher.renew(stray('nobody', 'x'))
  await it.settle()
  assert.is(await it.log.lastSequence(), before + 1)
  it.publisher.stop()
})
bindings("move with a name that became another node's while no API server was there", async () => {
  const it = await lab()
  await it.publisher.start()
  await create(it.api, 'a')
  await it.settle()
  it.publisher.stop()
  await remove(it.api, 'a')
  await create(it.api, 'a', { nodeName: 'n2' })
  const second = await lab(it.api, it.log)
  await second.publisher.start()
  await second.settle()
  const after = await second.last()
  assert.is(after['bind.n1.default.a']?.binding, null)
  assert.ok(after['bind.n2.default.a']?.binding)
  second.publisher.stop()
})
bindings('follow a changed ConfigMap or Secret of the pods that name it, and look at no other pod', async () => {
  const it = await lab()
  const configMap = (name: string, value: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data: { value }
  })
  await create(it.api, 'a', { volumes: [{ name: 'v', configMap: { name: 'mine' } }] })
  await create(it.api, 'b', { containers: [{ name: 'web', image: 'web:1', envFrom: [{ secretRef: { name: 'key' } }] }] })
  for (let n = 0; n < 50; n++) await create(it.api, `other-${n}`)
  await it.publisher.start()
  await it.settle()
  const looked: string[] = []
  const { get } = it.api.views
  it.api.views.get = function (key) {
    if (key.resource === 'pods') looked.push(key.name)
    return get.call(this, key) as never
  }
  const collection = it.api.views.collection(PODS)
  collection.list = collection.values = (): never => {
    throw new Error('all pods were looked at')
  }
  accepted(await it.api.create(configMap('nobody-names-me', '1')))
  await it.settle()
  assert.equal(looked, [])
  accepted(await it.api.create(configMap('mine', '1')))
  await it.settle()
  accepted(await it.api.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' }, data: { token: 'czNjcmV0' } }))
  await it.settle()
  assert.equal(looked, ['a', 'b'])
  const after = await it.last()
  assert.equal(after['bind.n1.default.a']?.binding?.configMaps, { mine: { data: { value: '1' } } })
  assert.equal(after['bind.n1.default.b']?.binding?.secrets, { key: { type: 'Opaque', data: { token: 'czNjcmV0' } } })
  accepted(await it.api.submit({ verb: 'delete', ref: { group: '', resource: 'configmaps' }, namespace: 'default', name: 'mine' }))
  await it.settle()
  assert.equal((await it.last())['bind.n1.default.a']?.binding?.configMaps, {})
  // A pod that is gone is looked at no more.
  await remove(it.api, 'a')
  await it.settle()
  looked.length = 0
  accepted(await it.api.create(configMap('mine', '2')))
  await it.settle()
  assert.equal(looked, [])
  it.publisher.stop()
})
bindings('are not looked at for what their own agent reports', async () => {
  const it = await lab()
  await create(it.api, 'a')
  let looks = 0
  const { get } = it.api.views
  it.api.views.get = function (key) {
    if (key.resource === 'pods') looks += 1
    return get.call(this, key) as never
  }
  const patch = (phase: string) =>
    ({
      verb: 'patch',
      ref: PODS,
      namespace: 'default',
      name: 'a',
      subresource: 'status',
      patch: { type: 'application/merge-patch+json', body: { status: { phase } } }
    }) as const
  const costs = async (phase: string): Promise<number> => {
    looks = 0
    assert.is(at(accepted(await it.api.submit(patch(phase))), 'status.phase'), phase)
    await it.settle()
    return looks
  }
  const alone = await costs('Running')
  await it.publisher.start()
  await it.settle()
  const before = await it.log.lastSequence()
  assert.is(await costs('Succeeded'), alone)
  // The rest of the pod is another matter.
  accepted(
    await it.api.submit({
      ...patch(''),
      subresource: '',
      patch: { type: 'application/merge-patch+json', body: { metadata: { labels: { a: 'b' } } } }
    })
  )
  await it.settle()
  assert.is(await it.log.lastSequence(), before + 1)
  it.publisher.stop()
})
bindings('of pods with a token get another before its hour is over', async () => {
  const it = await lab()
  await it.publisher.start()
  await create(it.api, 'a', { volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }] })
  await it.settle()
  assert.is((await it.last())['bind.n1.default.a']?.binding?.serviceAccountToken?.token, 'token-1')
  await it.clock.run(44 * 60_000)
  assert.is((await it.last())['bind.n1.default.a']?.binding?.serviceAccountToken?.token, 'token-1')
  await it.clock.run(3 * 60_000)
  assert.is((await it.last())['bind.n1.default.a']?.binding?.serviceAccountToken?.token, 'token-2')
  it.publisher.stop()
})
bindings('are closed to everybody but the API server and their own node', async () => {
  const it = await lab()
  accepted(
    await it.api.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', namespace: 'default' },
      stringData: { word: 'hush-hush' }
    } as unknown as KubeObject)
  )
  await it.publisher.start()
  accepted(
    await it.api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'key' } }] }] }
    } as unknown as KubeObject)
  )
  await it.settle()
  const [entry] = (await it.written()) as [LogEntry]
  for (const form of ['hush-hush', btoa('hush-hush'), 'token-1']) assert.not.match(JSON.stringify(entry), form)
  const masters = new Map([['k1', Buffer.alloc(32, 7)]])
  const keysOf = (node: string) => new Map([...masters].map(([name, master]) => [name, nodeKey(master, node)]))
  assert.match(JSON.stringify(updateOf(entry, oneNode('n1', keysOf('n1')))), btoa('hush-hush'))
  const refused = (what: string, read: () => unknown, why: RegExp): void =>
    assert.throws(read, (error: Error) => error instanceof UnreadableBinding && why.test(error.message), what)
  refused("another node's key", () => updateOf(entry, oneNode('n2', keysOf('n2'))), /is sealed with the key k1, which is not here/)
  refused("another node's key under this one's name", () => updateOf(entry, oneNode('n1', keysOf('n2'))), /is not what was sealed/)
  refused(
    "under another pod's name",
    () => updateOf({ ...entry, subject: entry.subject.replace(/a$/, 'b') }, oneNode('n1', keysOf('n1'))),
    /is not what was sealed/
  )
  refused('not sealed', () => updateOf({ ...entry, text: '{}', headers: {} }, oneNode('n1', keysOf('n1'))), /is not sealed/)
  it.publisher.stop()
})

bindings('that are asked for in the moment in which everything was written are written', async () => {
  const it = await lab()
  await it.publisher.start()
  const uid = await create(it.api, 'a')
  await it.settle()
  let writes = 0
  const append = it.log.append.bind(it.log)
  it.log.append = (appends) => {
    writes += 1
    return append(appends)
  }
  const renew = (): void => it.publisher.renew({ namespace: 'default', name: 'a', uid } as never)
  for (let depth = 0; depth < 40; depth++) {
    renew()
    for (let turn = 0; turn < depth; turn++) await Promise.resolve()
    const before = writes
    renew()
    await it.clock.run(100)
    assert.ok(writes > before, `after ${depth} turns`)
  }
  it.publisher.stop()
})

bindings('that were taken back are not remembered as published when the API server starts', async () => {
  const first = await lab()
  await first.publisher.start()
  await create(first.api, 'a')
  await first.settle()
  await remove(first.api, 'a')
  await first.settle()
  first.publisher.stop()
  const last = await first.log.lastSequence()
  const second = await lab(first.api, first.log)
  await second.publisher.start()
  await second.settle()
  assert.is(await second.log.lastSequence(), last, 'its tombstone is written again')
  second.publisher.stop()
})

bindings('that nobody can read are written anew when the API server starts', async () => {
  const first = await lab()
  await first.publisher.start()
  await create(first.api, 'a')
  await first.settle()
  first.publisher.stop()
  const { subject } = (await first.written())[0] as LogEntry
  const other = allNodes(new Map([['k1', Buffer.alloc(32, 8)]]))
  const foreign = bindingMessage(subject, { pod: {} } as never, { cluster: 'x', epoch: 0 }, other)
  await first.log.append([{ subject, ...foreign }])
  const second = await lab(first.api, first.log)
  await second.publisher.start()
  await Promise.all([second.settle(), first.settle()])
  assert.is((await second.last())[subject]?.binding?.pod.metadata?.name, 'a')
  assert.match(second.errors.join(), 'is not what was sealed')
  second.publisher.stop()
})
bindings.run()
