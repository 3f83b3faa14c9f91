/** Streams beside EVENTS are bounded by bytes: a storm of notices takes what it may and no more, also on a small disk. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { streamsFolder } from '#ops/nats/store.ts'
import { ensureStreams, ledgerFolder, STREAMS, streamsOn } from '#ops/nats/streams.ts'
import { startNats } from '#test/support/nats.ts'

const MIB = 1024 * 1024
const streams = suite('bounded streams')

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).reduce(
    (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
    0
  )

streams('on a small disk a part of it, on a large one what they need', () => {
  const bounds = (disk?: number): Record<string, number> =>
    Object.fromEntries(
      streamsOn(disk)
        .filter(({ max_bytes }) => max_bytes !== undefined)
        .map(({ name, max_bytes }) => [name, Math.round((max_bytes as number) / MIB)])
    )
  assert.equal(Object.keys(bounds()), ['NOTICES', 'PULSE', 'REPORTS', 'AUDIT', 'OBJ_keyframes'])
  assert.equal(bounds(10_240 * MIB), { NOTICES: 307, PULSE: 102, REPORTS: 204, AUDIT: 409, OBJ_keyframes: 204 })
  assert.equal(bounds(64 * MIB), { NOTICES: 2, PULSE: 2, REPORTS: 2, AUDIT: 2, OBJ_keyframes: 2 })
  assert.equal(bounds(4_000_000 * MIB), bounds())
  for (const name of ['EVENTS', 'BINDINGS'])
    assert.is(
      STREAMS.find((definition) => definition.name === name)?.max_bytes,
      undefined,
      `${name} holds state, and loses none of it to a bound`
    )
})

streams('a storm of notices stays below its bound, and hurts nobody', async () => {
  const nats = await startNats()
  try {
    const keeper = await nats.as('keeper')
    const jsm = await jetstreamManager(keeper, { checkAPI: false })
    const store = streamsFolder(nats.home)
    assert.ok(sizeOf(store) < MIB, 'a bound takes no room before it is used')
    await ensureStreams(jsm, ledgerFolder(nats.home), () => {}, { disk: 64 * MIB })
    const api = await nats.as('apiserver')
    const body = 'x'.repeat(2_000)
    for (let burst = 0; burst < 40; burst++)
      await Promise.all(
        Array.from({ length: 250 }, (_, n) => api.request(`notice.core.events.default.n${burst}-${n}`, body, { timeout: 10_000 }))
      )
    const { state } = await jsm.streams.info('NOTICES')
    assert.ok(state.last_seq === 10_000 && state.bytes <= 2 * MIB, `${state.bytes} bytes`)
    assert.ok(sizeOf(join(store, 'NOTICES')) < 8 * MIB, `${sizeOf(join(store, 'NOTICES'))} bytes on disk`)
    const answer = (await api.request('ev.core.configmaps.default.a', '{}', { timeout: 5_000 })).json<{ seq?: number }>()
    assert.is(answer.seq, 1)
  } finally {
    await nats.stop()
  }
})
streams.run()
