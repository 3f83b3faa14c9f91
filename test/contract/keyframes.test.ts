/** Both twins of where keyframes are kept; and of NATS', what only it can get wrong. */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ObjectStoreKeyframes } from '#services/platform/jetstream/ObjectStoreKeyframes.ts'
import { MemoryKeyframes, type Keyframes } from '#services/platform/past/Keyframes.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'
import { until } from '#test/support/until.ts'

/** More than one part of the object store, and nothing that repeats. */
const bytesOf = (seed: number, length = 400_000): Uint8Array => {
  let state = seed
  return Uint8Array.from({ length }, () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) >> 16)
}
let nats: TestNats
const sequences = async (keyframes: Keyframes, stream: string): Promise<number[]> =>
  (await keyframes.list(stream)).map(({ sequence }) => sequence)

for (const [name, open] of [
  ['in memory', async () => new MemoryKeyframes(() => Date.now())],
  ['in the object store', async () => new ObjectStoreKeyframes(await nats.as('apiserver'))]
] as const) {
  const keyframes = suite(`keyframes ${name}`)
  if (name === 'in the object store') {
    keyframes.before(async () => void (nats = await startNats()))
    keyframes.after(() => nats.stop())
  }

  keyframes('are listed in order, by stream, read as they were put, and taken away one by one', async () => {
    const kept = await open()
    assert.equal([await sequences(kept, 'EVENTS'), await kept.get('EVENTS', 1)], [[], undefined])
    for (const sequence of [900, 1_000, 99]) await kept.put('EVENTS', sequence, bytesOf(sequence))
    await kept.put('NOTICES', 5, bytesOf(5, 10))
    assert.equal([await sequences(kept, 'EVENTS'), await sequences(kept, 'NOTICES')], [[99, 900, 1_000], [5]])
    for (const { time } of await kept.list('EVENTS')) assert.ok(Math.abs(Date.now() - time) < 60_000)
    for (const sequence of [900, 1_000, 99])
      assert.is(Buffer.compare((await kept.get('EVENTS', sequence)) as Uint8Array, bytesOf(sequence)), 0)
    await kept.remove('EVENTS', 900)
    await kept.remove('EVENTS', 900)
    await kept.remove('EVENTS', 7)
    assert.equal([await sequences(kept, 'EVENTS'), await kept.get('EVENTS', 900)], [[99, 1_000], undefined])
    await kept.put('EVENTS', 900, bytesOf(1))
    assert.is(Buffer.compare((await kept.get('EVENTS', 900)) as Uint8Array, bytesOf(1)), 0)
  })
  keyframes.run()
}

const store = suite('keyframes in NATS')
store.before(async () => void (nats = await startNats()))
store.after(() => nats.stop())

store('that are taken away give their room back, without a right to purge', async () => {
  const connection = await nats.as('apiserver')
  const jsm = await jetstreamManager(connection, { checkAPI: false })
  const kept = new ObjectStoreKeyframes(connection)
  await kept.put('EVENTS', 1, bytesOf(1))
  assert.ok((await jsm.streams.info('OBJ_keyframes')).state.bytes > 400_000)
  await kept.remove('EVENTS', 1)
  assert.ok((await jsm.streams.info('OBJ_keyframes')).state.bytes < 2_000)
  await until('what is left of it is gone', async () => (await jsm.streams.info('OBJ_keyframes')).state.messages === 0, { ms: 20_000 })
  assert.equal(await sequences(kept, 'EVENTS'), [])
})
store('whose parts are other or missing are not read', async () => {
  const connection = await nats.as('apiserver')
  const kept = new ObjectStoreKeyframes(connection)
  const jsm = await jetstreamManager(connection, { checkAPI: false })
  await kept.put('EVENTS', 2, bytesOf(2))
  const parts = Object.keys((await jsm.streams.info('OBJ_keyframes', { subjects_filter: '$O.keyframes.C.>' })).state.subjects ?? {})
  await connection.request(parts[0] as string, 'one more', { timeout: 5_000 })
  await kept.get('EVENTS', 2).then(
    () => assert.unreachable('it was read'),
    (error: Error) => assert.match(error.message, /corrupt/)
  )
  const keeper = await jetstreamManager(await nats.as('keeper'), { checkAPI: false })
  await keeper.streams.purge('OBJ_keyframes', { filter: parts[0] as string })
  await kept.get('EVENTS', 2).then(
    () => assert.unreachable('it was read'),
    (error: Error) => assert.match(error.message, /parts of it are missing/)
  )
})
store.run()
