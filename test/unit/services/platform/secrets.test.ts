/** Confidential objects: sealed under their own key in the log, whole to those who may read them, gone when the key is. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent, type NewEvent } from '#events/Event.ts'
import { halvesOf, joinedBody, openBody, sealedBody, sealedIn, SEALED_HEADER } from '#events/confidential.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Follow, Log } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Committer, type Outcome } from '#services/apiserver/Committer.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { openBytes, sealText } from '#services/platform/secrets/Cipher.ts'
import { ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'
import { Vault } from '#services/platform/secrets/Vault.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { Retention } from '#services/apiserver/secrets/Retention.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { builtIns } from '#test/support/builtIns.ts'

const MASTER = new Map([['k1', Buffer.alloc(32, 1)]])
const secret = (uid: string, value: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: 'key',
    namespace: 'default',
    uid,
    labels: { app: 'web' },
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"data":{"p":"${value}"}}` },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'o' }]
  },
  type: 'Opaque',
  data: { p: value }
})
const KEY = { group: '', resource: 'secrets', namespace: 'default', name: 'key' }
const event = (object: KubeObject, expected = 0, deleted = false): NewEvent => ({
  stream: 'EVENTS',
  key: KEY,
  id: `i-${expected}-${Math.random()}`,
  type: 't',
  source: 's',
  time: '2026-01-01T00:00:00.000Z',
  user: 'u',
  correlationId: 'c',
  verb: 'create',
  deleted,
  object,
  expected
})

/** A log whose follower is the test's to end. */
const held = () => {
  let follow: Follow | undefined
  const log = {
    stream: 'KEYS',
    state: async () => ({}),
    follow: (made: Follow) => ((follow = made), { close: () => {} })
  } as unknown as Log
  return { log, handlers: () => follow as Follow }
}

const world = async (
  logs = { events: new MemoryLog('EVENTS', systemClock), keys: new MemoryLog('KEYS', systemClock, { keepLastOnly: true }) }
) => {
  const shredded: number[] = []
  const keys = new ObjectKeys({
    log: logs.keys,
    masters: MASTER,
    clock: systemClock,
    shred: async (sequence) => void shredded.push(sequence)
  })
  const settled = await logs.events.lastSequence()
  await keys.start()
  const vault = new Vault(keys, settled)
  const view = new View('EVENTS', logs.events, systemClock, { api: builtIns, vault })
  await view.start()
  const committer = new Committer(logs.events, systemClock, { vault })
  const store = async (object: KubeObject, expected = 0, deleted = false): Promise<Extract<Outcome, { ok: true }>> => {
    const outcome = await committer.commit([event(object, expected, deleted)])
    if (!outcome.ok) throw new Error('refused')
    await view.waitFor(outcome.last)
    return outcome
  }
  return { logs, keys, vault, view, store, shredded }
}

const confidential = suite('confidential objects')

confidential('come back whole from their halves, and the open half says nothing', () => {
  const object = secret('u1', 'hunter2')
  const { open, secret: rest } = halvesOf(object)
  const body = sealedBody(open, 'SEALED')
  assert.not.match(body, 'hunter2')
  assert.match(body, '"app":"web"')
  assert.is(sealedIn(body), 'SEALED')
  assert.equal(JSON.parse(joinedBody(body, rest)), object)
  const left = JSON.parse(openBody(body, 'erased')) as KubeObject
  assert.equal(
    [left['data'], left.metadata.annotations, left.metadata.ownerReferences?.length],
    [undefined, { 'reckon.io/erased': 'true' }, 1]
  )
})

confidential('a sealed text opens with its key, in its place, unchanged', () => {
  const key = Buffer.alloc(32, 5)
  const sealed = sealText(key, 'here', 'text')
  assert.is(openBytes(key, 'here', sealed).toString(), 'text')
  assert.is.not(sealText(key, 'here', 'text'), sealed)
  assert.throws(() => openBytes(Buffer.alloc(32, 6), 'here', sealed))
  assert.throws(() => openBytes(key, 'there', sealed))
  const bytes = Buffer.from(sealed, 'base64url')
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
  assert.throws(() => openBytes(key, 'here', bytes.toString('base64url')))
})

confidential('nothing of them is in the log in clear, and readers see them whole', async () => {
  const { logs, view, store, keys } = await world()
  const { last, bodies } = await store(secret('u1', 'hunter2'))
  assert.match(bodies[0] as string, 'hunter2')
  const stored = await logs.events.get(last)
  assert.not.match(JSON.stringify(stored), 'hunter2')
  assert.is(stored?.headers[SEALED_HEADER], 'u1')
  assert.not.match(JSON.stringify(await logs.keys.get(1)), 'hunter2')
  assert.equal(view.objects.get(KEY)?.object['data'], { p: 'hunter2' })
  assert.is(keys.state('u1'), 'here')
})

confidential('other kinds are stored as they are', async () => {
  const { logs, vault } = await world()
  const made: NewEvent = { ...event(secret('u1', 'x')), key: { ...KEY, resource: 'configmaps' } }
  const record = encodeEvent(made)
  assert.is(vault.protect(made, record), record)
  assert.is(vault.prepare([made]), undefined)
  assert.is(await logs.keys.lastSequence(), 0)
})

confidential('a replay reads every version; with the key destroyed, none', async () => {
  const first = await world()
  await first.store(secret('u1', 'one'))
  await first.store(secret('u1', 'two'), 1)
  const second = await world(first.logs)
  assert.equal(second.view.objects.get(KEY)?.object['data'], { p: 'two' })
  const version = async (sequence: number) => second.view.versionOf((await first.logs.events.get(sequence))!)?.object
  assert.equal((await version(1))?.['data'], { p: 'one' })
  await second.keys.destroy('u1')
  assert.is(second.shredded.length, 1)
  for (const sequence of [1, 2]) {
    const left = await version(sequence)
    assert.equal([left?.['data'], left?.metadata.name, left?.metadata.annotations], [undefined, 'key', { 'reckon.io/erased': 'true' }])
  }
  const third = await world(first.logs)
  assert.is(third.keys.state('u1'), 'destroyed')
  assert.is(third.view.objects.get(KEY)?.object['data'], undefined)
})

confidential('a key that is on its way is waited for, and everything behind the object with it', async () => {
  const writer = await world()
  // Another API server, whose followers of the two streams run apart: this one hears of keys late.
  const late = { events: writer.logs.events, keys: new MemoryLog('KEYS', systemClock) }
  const reader = await world(late)
  await writer.store(secret('u1', 'hunter2'))
  await writer.store({ ...secret('u1', 'x'), kind: 'Secret', data: { p: 'three' } }, 1)
  assert.is(reader.view.objects.get(KEY), undefined)
  const key = await writer.logs.keys.get(1)
  await late.keys.append([{ subject: key!.subject, headers: {}, text: key!.text }])
  await reader.view.waitFor(2)
  assert.equal(reader.view.objects.get(KEY)?.object['data'], { p: 'three' })
})

confidential('a view that starts while a key is on its way has the object when it is ready, and what was written behind it', async () => {
  const writer = await world()
  const late = new MemoryLog('KEYS', systemClock)
  const keys = new ObjectKeys({ log: late, masters: MASTER, clock: systemClock, shred: () => Promise.resolve() })
  await keys.start()
  await writer.store(secret('u1', 'hunter2'))
  const other = { ...secret('u2', 'x'), kind: 'Secret', data: { p: 'three' }, metadata: { ...secret('u2', 'x').metadata, name: 'other' } }
  await writer.logs.events.append(
    [encodeEvent({ ...event(other), key: { ...KEY, resource: 'configmaps', name: 'other' } })].map((record) => ({
      subject: subjectOf('EVENTS', { ...KEY, resource: 'configmaps', name: 'other' }),
      ...record
    }))
  )
  let caughtUp: (() => void) | undefined
  const isCaughtUp = new Promise<void>((resolve) => (caughtUp = resolve))
  const log = Object.create(writer.logs.events, {
    state: { value: () => writer.logs.events.state() },
    follow: {
      value: (follow: Follow) =>
        writer.logs.events.follow({
          ...follow,
          onCaughtUp: (last) => {
            follow.onCaughtUp?.(last)
            caughtUp?.()
          }
        })
    }
  }) as Log
  const view = new View('EVENTS', log, systemClock, { api: builtIns, vault: new Vault(keys, 0) })
  const starting = view.start()
  const key = await writer.logs.keys.get(1)
  await isCaughtUp
  await late.append([{ subject: key!.subject, headers: {}, text: key!.text }])
  await starting
  assert.ok(view.objects.get(KEY) !== undefined, 'it was passed over')
  assert.equal(view.objects.get(KEY)?.object['data'], secret('u1', 'hunter2')['data'])
  assert.ok(view.objects.get({ ...KEY, resource: 'configmaps', name: 'other' }) !== undefined)
  assert.is(view.objects.sequence, 2)
  view.close()
})
confidential('a deletion is noted with the key, which stays until it is destroyed', async () => {
  const { keys, store } = await world()
  await store(secret('u1', 'x'))
  assert.equal(
    [...keys.deleted()].map(({ since }) => since),
    [undefined]
  )
  await keys.markDeleted('u1')
  const [gone] = [...keys.deleted()]
  assert.ok(gone?.since !== undefined && Math.abs(gone.since - Date.now()) < 10_000)
  assert.is(gone.of, 'default/key')
  assert.is(keys.state('u1'), 'here')
  await keys.destroy('u1')
  assert.equal([...keys.deleted()], [])
  // What is written of it afterwards carries no contents.
  await store(secret('u1', 'y'), 1, true)
})

confidential('what can not be sealed any more is refused, not stored without its contents', async () => {
  const { keys, store, view } = await world()
  await store(secret('u1', 'x'))
  await keys.destroy('u1')
  const refused = (object: KubeObject): Promise<void> =>
    store(object, 1).then(
      () => assert.unreachable('it was stored'),
      (error: Error) => assert.match(error.message, /secrets "key": its key was destroyed.*delete it, and create it anew/)
    )
  const {
    data: _,
    metadata: { annotations: __, ...metadata },
    ...rest
  } = secret('u1', 'x')
  await refused(secret('u1', 'y'))
  await refused({ ...rest, metadata, data: { p: 'y' } })
  await refused({ ...rest, metadata: { ...metadata, annotations: { note: 'y' } } })
  // Labels and finalizers are none of its contents: it can still go.
  await store({ ...rest, metadata: { ...metadata, finalizers: [], annotations: { 'reckon.io/erased': 'true' } } } as KubeObject, 1)
  assert.equal(view.objects.get(KEY)?.object.metadata.annotations, { 'reckon.io/erased': 'true' })
})

confidential('nothing is looked at any more when it is told to stop, also in the middle of a look', async () => {
  const clock = new VirtualClock(1)
  let looks = 0
  const marked: string[] = []
  let go = (): void => {}
  const keys = {
    deleted: () => ((looks += 1), ['u1', 'u2'].map((uid) => ({ uid }))),
    markDeleted: (uid: string) => (marked.push(uid), new Promise<void>((resolve) => (go = resolve)))
  }
  const retention = new Retention({
    views: { of: () => ({ subscribe: () => ({ close: () => {} }) }), collection: () => new Map() } as never,
    keys: keys as never,
    clock,
    keep: 1_000,
    onError: (error) => assert.unreachable(String(error))
  })
  retention.start()
  await clock.run(10)
  retention.stop()
  go()
  await clock.run(600_000)
  assert.equal([looks, marked], [1, ['u1']])
})

confidential('the key goes some time after the object, also when nobody saw the object go', async () => {
  const clock = new VirtualClock(1)
  const logs = { events: new MemoryLog('EVENTS', clock), keys: new MemoryLog('KEYS', clock, { keepLastOnly: true }) }
  const keys = new ObjectKeys({ log: logs.keys, masters: MASTER, clock, shred: async () => {} })
  const view = new View('EVENTS', logs.events, clock, { api: builtIns, vault: new Vault(keys) })
  const run = (ms: number): Promise<unknown> => clock.run(ms)
  void keys.start()
  void view.start()
  await run(10)
  const committer = new Committer(logs.events, clock, { vault: view.vault })
  const store = async (object: KubeObject, expected: number, deleted: boolean): Promise<void> => {
    void committer.commit([event(object, expected, deleted)])
    await run(10)
  }
  await store(secret('u1', 'one'), 0, false)
  await store(secret('u1', 'one'), 1, true)
  await store(secret('u2', 'two'), 2, false)
  const retention = new Retention({
    views: new Views([view], builtIns, () => 'EVENTS'),
    keys,
    clock,
    keep: 3_600_000,
    onError: (error) => assert.unreachable(String(error))
  })
  retention.start()
  await run(1_000)
  assert.equal(
    [...keys.deleted()].map(({ uid, since }) => [uid, since !== undefined]),
    [
      ['u1', true],
      ['u2', false]
    ]
  )
  await run(3_500_000)
  assert.is(keys.state('u1'), 'here')
  await run(200_000)
  assert.equal([keys.state('u1'), keys.state('u2')], ['destroyed', 'here'])
  await store(secret('u2', 'two'), 3, true)
  await run(3_800_000)
  assert.is(keys.state('u2'), 'destroyed')
  retention.stop()
})

confidential('the key of an object that is there after all, as after a restore up to a moment before its deletion, stays', async () => {
  const clock = new VirtualClock(1)
  const logs = { events: new MemoryLog('EVENTS', clock), keys: new MemoryLog('KEYS', clock, { keepLastOnly: true }) }
  const keys = new ObjectKeys({ log: logs.keys, masters: MASTER, clock, shred: async () => {} })
  const view = new View('EVENTS', logs.events, clock, { api: builtIns, vault: new Vault(keys) })
  void keys.start()
  void view.start()
  await clock.run(10)
  void new Committer(logs.events, clock, { vault: view.vault }).commit([event(secret('u1', 'one'))])
  await clock.run(10)
  void keys.markDeleted('u1')
  await clock.run(10)
  const retention = new Retention({
    views: new Views([view], builtIns, () => 'EVENTS'),
    keys,
    clock,
    keep: 3_600_000,
    onError: (error) => assert.unreachable(String(error))
  })
  retention.start()
  await clock.run(4_000_000)
  assert.is(keys.state('u1'), 'here')
  // Its deletion counts from when it is deleted, not from when it once was.
  assert.equal(
    [...keys.deleted()].map(({ since }) => since),
    [undefined]
  )
  retention.stop()
})

confidential('keys that are damaged at work are told of, once their stream was read', async () => {
  const { log, handlers } = held()
  const told: string[] = []
  const keys = new ObjectKeys({
    log,
    masters: MASTER,
    clock: systemClock,
    shred: async () => {},
    onFailed: ({ message }) => told.push(message)
  })
  const starting = keys.start()
  await Promise.resolve()
  handlers().onCaughtUp?.(0)
  await starting
  handlers().onFailed(new Error('it is shorter'))
  assert.equal(told, ['it is shorter'])
})
confidential.run()
