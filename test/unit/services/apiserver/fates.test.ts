/** What the log says of pods that run on a node without a binding, and how bindings are taken back: on its word only. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogEntry } from '#events/Log.ts'
import type { Fate, Stray } from '#events/node/messages.ts'
import { fateOf, type NameHistory } from '#services/apiserver/nodes/decide.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { updateOf } from '#services/platform/bindings.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { BindingUpdate } from '#services/platform/NodeLink.ts'
import { VirtualClock } from '../../../simulation/VirtualClock.ts'
import { accepted, startTestApi, type TestApi } from '../../../support/api.ts'

const PODS = { group: '', resource: 'pods' }
const stray = (name: string, uid: string, since = 0): Stray => ({ namespace: 'default', name, uid, since })

const decide = suite('fates: the decision')
const pod = (uid: string, nodeName = ''): KubeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { uid }, spec: nodeName === '' ? {} : { nodeName } })
const history = (more: Partial<NameHistory>): NameHistory => ({ present: undefined, deleted: new Set(), made: 0, whole: true, lossAccepted: false, ...more })
for (const [what, more, fate] of [
  ['it is there and this node\'s', { present: pod('u', 'n1') }, 'alive'],
  ['it is there and not bound yet', { present: pod('u') }, 'alive'],
  ['it is there and another node\'s', { present: pod('u', 'n2') }, 'gone'],
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
  accepted(await api.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { nodeName: 'n1', containers: [{ name: 'web', image: 'web:1' }], ...spec } })).metadata.uid as string
const remove = async (api: TestApi, name: string): Promise<void> => void accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name, deleteOptions: { gracePeriodSeconds: 0 } }))
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
  const unbound = accepted(await api.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'c' }, spec: { containers: [{ name: 'web', image: 'web:1' }] } })).metadata.uid as string
  const asked = [...uids.map((uid) => stray('a', uid)), stray('b', other), stray('c', unbound), stray('a', 'never'), stray('nobody', 'never')]
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
  api.logs.EVENTS.get = async (sequence) => (sequence === last ? { subject: 'ev.core.pods.default.a', sequence, headers: {}, text: 'not ours', time: 0 } : get.call(api.logs.EVENTS, sequence))
  assert.equal(await fatesIn(api.views, 'n1', [stray('a', first)]), ['unknown'])
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

const lab = async (api?: TestApi, log?: MemoryLog) => {
  const clock = new VirtualClock(2)
  const it = api ?? (await startTestApi(clock))
  const stored = log ?? new MemoryLog('BINDINGS', clock, { keepLastOnly: true })
  const errors: string[] = []
  let issued = 0
  const publisher = new BindingPublisher({ views: it.views, bindings: stored, tokens: { issue: async () => ({ token: `token-${++issued}`, expiresAt: '2026-01-01T01:00:00Z' }) }, clusterCA: 'ca', clock, onError: (error) => errors.push((error as Error).message) })
  /** Everything that was ever written, and the last word on each pod. */
  const written = async (): Promise<LogEntry[]> => {
    const all: LogEntry[] = []
    for (let sequence = 1; sequence <= (await stored.lastSequence()); sequence++) {
      const entry = await stored.get(sequence)
      if (entry !== undefined) all.push(entry)
    }
    return all
  }
  const last = async (): Promise<Record<string, BindingUpdate>> => Object.fromEntries((await written()).map((entry) => [entry.subject, updateOf(entry)]))
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
    const { text, subject } = (await it.log.lastOn(`bind.n1.default.${name}`)) as LogEntry
    await it.log.append([{ subject, headers: {}, text: text.replaceAll(binding?.pod.metadata?.uid as string, uid) }])
  }
  await known('a')
  await known('b')
  await remove(other, 'b')
  const second = await lab(other, it.log)
  await second.publisher.start()
  await second.settle()
  const after = await second.last()
  assert.equal(Object.entries(after).map(([subject, { binding }]) => `${subject} ${binding === null ? 'gone' : 'bound'}`).sort(), ['bind.n1.default.a bound', 'bind.n1.default.b gone', 'bind.n1.default.c bound'])
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
bindings('move with a name that became another node\'s while no API server was there', async () => {
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
  const configMap = (name: string, value: string): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } })
  await create(it.api, 'a', { volumes: [{ name: 'v', configMap: { name: 'mine' } }] })
  await create(it.api, 'b', { containers: [{ name: 'web', image: 'web:1', envFrom: [{ secretRef: { name: 'key' } }] }] })
  for (let n = 0; n < 50; n++) await create(it.api, `other-${n}`)
  await it.publisher.start()
  await it.settle()
  const looked: string[] = []
  const { get } = it.api.views
  it.api.views.get = function (key) {
    if (key.resource === 'pods') looked.push(key.name)
    return get.call(this, key)
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
    return get.call(this, key)
  }
  const patch = (phase: string) => ({ verb: 'patch', ref: PODS, namespace: 'default', name: 'a', subresource: 'status', patch: { type: 'application/merge-patch+json', body: { status: { phase } } } }) as const
  const costs = async (phase: string): Promise<number> => {
    looks = 0
    assert.is(accepted(await it.api.submit(patch(phase)))['status'].phase, phase)
    await it.settle()
    return looks
  }
  const alone = await costs('Running')
  await it.publisher.start()
  await it.settle()
  const before = await it.log.lastSequence()
  assert.is(await costs('Succeeded'), alone)
  // The rest of the pod is another matter.
  accepted(await it.api.submit({ ...patch(''), subresource: '', patch: { type: 'application/merge-patch+json', body: { metadata: { labels: { a: 'b' } } } } }))
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
bindings.run()
