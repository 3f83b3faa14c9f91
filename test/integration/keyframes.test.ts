/** Keyframes in a home: a disk whose index is gone, kills at any moment, keyframes that were changed, a log that is another one. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectNats } from '#ops/nats/connect.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { ledgerFolder } from '#ops/nats/streams.ts'
import { Indexing } from '#services/historian/Indexing.ts'
import { KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { SqlitePast } from '#services/historian/SqlitePast.ts'
import { describing } from '#services/historian/traits.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { ObjectStoreKeyframes } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { FileLedger } from '#services/platform/ledger/FileLedger.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { decodeKeyframe, encodeKeyframe, type Keyframe } from '#services/platform/past/Keyframe.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { SlowLog } from '#test/support/slowLog.ts'
import { until } from '#test/support/until.ts'

const keyframes = suite('keyframes in a home')
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const EVERY = 100

interface Written {
  readonly metadata: { readonly resourceVersion: string }
  readonly data: { readonly value: string }
}

interface Refused {
  readonly sequence: number
  readonly why: string
}

let plane: Plane
const ready = (): Promise<void> => plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
/** The data of each version, as the answers to the writes said it. */
const told = new Map<number, { readonly name: string; readonly value: string }>()
let made = 0
const write = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) {
    const name = `m${made}`
    const value = `v${made++}`
    const { status, body } = await plane.call('POST', CONFIGMAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: { value }
    })
    assert.is(status, 201, body)
    told.set(Number((JSON.parse(body) as Written).metadata.resourceVersion), { name, value })
    if (n % 3 === 0) assert.is((await plane.call('DELETE', `${CONFIGMAPS}/${name}`)).status, 200)
  }
}
/** With the store, as the API server has it. */
const within = async <Value>(work: (kept: ObjectStoreKeyframes) => Promise<Value>): Promise<Value> => {
  const connection = await connectNats(plane.home, plane.config, 'apiserver', { waitOnFirstConnect: false, reconnect: false })
  try {
    return await work(new ObjectStoreKeyframes(connection))
  } finally {
    await connection.close()
  }
}
const sequences = (): Promise<readonly number[]> => within(async (kept) => (await kept.list('EVENTS')).map(({ sequence }) => sequence))
const read = (sequence: number): Promise<Keyframe> =>
  within(async (kept) => (await decodeKeyframe((await kept.get('EVENTS', sequence)) as Uint8Array, loadSeal(plane.home))) as Keyframe)
/** Every version that was acknowledged is there at its moment, as soon as it can be read. */
const check = async (): Promise<void> => {
  for (const [sequence, { name, value }] of told) {
    const path = `/at/${sequence}${CONFIGMAPS}/${name}`
    await plane.until(`${path} is answered`, async () => (await plane.call('GET', path)).status !== 503)
    const { status, body } = await plane.call('GET', path)
    assert.is(status, 200, body)
    assert.is((JSON.parse(body) as Written).data.value, value)
  }
}
/** An index that is made beside the cluster's own, in a folder of its own; the log's beginning takes until it is let go. */
const onBareDisk = async (
  work: (made: { readonly serving: () => SqlitePast; readonly refused: readonly Refused[]; readonly log: SlowLog }) => Promise<void>
): Promise<void> => {
  const connection = await connectNats(plane.home, plane.config, 'apiserver', { waitOnFirstConnect: false, reconnect: false })
  const folder = mkdtempSync(join(tmpdir(), 'reckon-past-'))
  const ledger = new FileLedger(ledgerFolder(plane.home), 'EVENTS')
  const [seal, clock, refused, log] = [
    loadSeal(plane.home),
    systemClock,
    [] as Refused[],
    new SlowLog(new JetStreamLog(connection, 'EVENTS'))
  ]
  const past = (name: string): SqlitePast => new SqlitePast(join(folder, name), 'EVENTS', clock, describing(builtIns))
  const errors: unknown[] = []
  let serving = past('whole')
  const onRefused = (sequence: number, why: string): void => void refused.push({ sequence, why })
  const indexing = new Indexing({
    log,
    clock,
    whole: serving,
    brief: { open: () => past('brief'), remove: () => rmSync(join(folder, 'brief'), { recursive: true, force: true }) },
    keyframes: new KeyframeStore({ stream: 'EVENTS', keyframes: new ObjectStoreKeyframes(connection), seal, clock, onRefused }),
    near: EVERY,
    expires: false,
    integrity: (from) =>
      new Integrity({ seal, ledger: watching(ledger), whole: true, expires: false, ...(from === undefined ? {} : { from }) }),
    onReached: (store) => void (serving = store),
    onDamaged: (damage) => errors.push(damage),
    onError: (error) => errors.push(error)
  })
  try {
    indexing.start()
    await work({ serving: () => serving, refused, log })
    assert.equal(errors, [])
  } finally {
    indexing.stop()
    ledger.close()
    await connection.close()
    rmSync(folder, { recursive: true })
  }
}

keyframes.before(async () => {
  plane = await startPlane('apiserver', {}, { config: { settings: { keyframes: { every: EVERY } } } })
  await plane.start()
  await ready()
})
keyframes.after(() => plane.remove())

keyframes('are made while the cluster works, one each so many events, of what was there', async () => {
  await write(600)
  await plane.until('there are some', async () => (await sequences()).length >= 2)
  const found = await sequences()
  for (const [at, sequence] of found.entries()) if (at > 0) assert.ok(sequence - (found[at - 1] as number) >= EVERY, found.join())
  const { standing, sequence, stream } = await read(found.at(-1) as number)
  const { body } = await plane.call('GET', `/at/${sequence}${CONFIGMAPS}`)
  const live = (JSON.parse(body) as { items: { metadata: { name: string; resourceVersion: string } }[] }).items.map(
    ({ metadata }) => `default/${metadata.name}@${metadata.resourceVersion}`
  )
  assert.is(stream, 'EVENTS')
  assert.equal(
    standing
      .filter(({ collection }) => collection === '/configmaps')
      .filter(({ id }) => id.startsWith('default/'))
      .map(({ id, version }) => `${id}@${version}`)
      .sort(),
    live.sort()
  )
})
keyframes('let a disk without an index answer, after kill -9 in the middle of it as well', async () => {
  for (let round = 0; round < 3; round++) {
    await plane.kill()
    rmSync(join(plane.home, 'history'), { recursive: true })
    await plane.start()
    if (round < 2) await plane.until('it has begun', async () => readdirSync(join(plane.home, 'history')).length > 0)
    else await ready()
  }
  await write(5)
  await check()
  await plane.until(
    'what it began with is gone',
    async () => !readdirSync(join(plane.home, 'history')).some((name) => name.startsWith('since-'))
  )
  assert.not.match(plane.log(), /keyframe of \d+ is not used/)
})
keyframes('that lie are told and not used, while the whole is read: another hash, another log, another place, another seal', async () => {
  const kept = await sequences()
  const [before, newest] = kept.slice(-2) as [number, number]
  const whole = await read(newest)
  const seal = loadSeal(plane.home)
  const lies: readonly (readonly [RegExp, Keyframe, Seal])[] = [
    [/its hash is not the chain's/, { ...whole, hash: new Uint8Array(32).fill(1) }, seal],
    [/it is of another log/, { ...whole, identity: 'the one before' }, seal],
    [/it is another one under this name/, { ...whole, sequence: newest - 1 }, seal],
    [/does not have this cluster's seal/, whole, new Seal(new Map([['k1', Buffer.alloc(32, 9)]]))]
  ]
  for (const [why, lie, by] of lies) {
    await within(async (store) => store.put('EVENTS', newest, await encodeKeyframe({ ...lie, standing: [] }, by)))
    await onBareDisk(async ({ serving, refused, log }) => {
      await until('it has begun', () => serving().begins > 0)
      assert.is(serving().begins, before)
      assert.equal(
        refused.map((one) => one.sequence),
        [newest]
      )
      assert.match(refused[0]?.why ?? '', why)
      const [last, asked] = [serving().lastSequence, [...told].filter(([sequence]) => sequence >= before)]
      for (const [sequence, { name }] of asked)
        assert.is(serving().versionAt({ group: '', resource: 'configmaps' }, `default/${name}`, sequence), sequence)
      log.release()
      await until('the whole one is read', () => serving().begins === 0 && serving().lastSequence >= last)
    })
    assert.not.ok((await sequences()).includes(newest))
  }
})
keyframes.run()
