/** An index whose pages have rotted, which SQLite does not notice: no keyframe is made of it, and it is made anew. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Indexing } from '#services/historian/Indexing.ts'
import { IndexAltered, KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { currentDatabase, SqlitePast } from '#services/historian/SqlitePast.ts'
import { describing } from '#services/historian/traits.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { decodeKeyframe } from '#services/platform/past/Keyframe.ts'
import { MemoryKeyframes } from '#services/platform/past/Keyframes.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { until } from '#test/support/until.ts'

const IDENTITY = 'this-log'
const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))
const subject = (name: string): string => subjectOf('EVENTS', { group: '', resource: 'configmaps', namespace: 'default', name })
const state = { identity: IDENTITY, epoch: 0, quarantined: [], losses: [], first: 1, messages: 0, bytes: 0, floor: 0, sealedFrom: 1 }

const entry = (sequence: number, name: string, deleted = false): LogEntry => ({
  sequence,
  subject: subject(name),
  headers: { 'ce-time': new Date(sequence).toISOString(), ...(deleted ? { 'reckon-deleted': 'true' } : {}) },
  text: '{}',
  time: sequence
})
/** Objects that are changed, deleted and made again, in steps of eleven entries. */
const ENTRIES = Array.from({ length: 220 }, (_, at) => entry(at + 1, `n${at % 7}`, at % 5 === 4))

const rotten = suite('an index that has rotted')
let folder: string
rotten.before.each(() => void (folder = mkdtempSync(join(tmpdir(), 'reckon-rotten-'))))
rotten.after.each(() => rmSync(folder, { recursive: true }))

const opened = (): SqlitePast => new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
const rot = (sql: string): void => {
  const database = new DatabaseSync(currentDatabase(folder, 'EVENTS') as string)
  assert.ok(Number(database.prepare(sql).run().changes) > 0)
  database.close()
}
const keeping = async (store: SqlitePast, sequence: number) => {
  const keyframes = new MemoryKeyframes(() => systemClock.now())
  const made = new KeyframeStore({ stream: 'EVENTS', keyframes, seal, clock: systemClock, onRefused: () => {} })
  const reached = { sequence, chain: { sequence, hash: new Uint8Array(32) } }
  await made.keep({ store, reached, every: 1, state: async () => ({ ...state, last: sequence }) })
  return keyframes
}
const filled = (from: number, store: SqlitePast, to = ENTRIES.length): SqlitePast => {
  for (let at = from; at < to; at += 11) {
    const taken = ENTRIES.slice(at, Math.min(at + 11, to)).map((one) => ({ entry: one, event: true }))
    store.take(taken, { sequence: taken.at(-1)?.entry.sequence as number })
  }
  return store
}
const began = (): SqlitePast => {
  const store = opened()
  store.begin(IDENTITY)
  return store
}

rotten('makes a keyframe as long as it is whole: begun again, compacted, from a keyframe', async () => {
  let store = filled(0, began(), 110)
  store.close()
  store = filled(110, began())
  store.raise(60, 60)
  while (store.trim());
  const kept = await keeping(store, ENTRIES.length)
  const keyframe = await decodeKeyframe((await kept.get('EVENTS', ENTRIES.length)) as Uint8Array, seal)
  assert.ok(keyframe !== undefined && keyframe.standing.length > 3)
  store.clear()
  store.seed(keyframe)
  store.take([{ entry: entry(221, 'n0'), event: true }], { sequence: 221 })
  store.take([{ entry: entry(222, 'n1', true), event: true }], { sequence: 222 })
  assert.equal((await (await keeping(store, 222)).list('EVENTS')).length, 1)
  store.close()
})
for (const [what, sql] of [
  ['an object that stands', 'DELETE FROM living WHERE object = 2'],
  [
    'where an object stands',
    'UPDATE version SET version = version - 2 WHERE version = (SELECT max(version) FROM version WHERE version % 2 = 0)'
  ],
  ['what an object is called', "UPDATE object SET name = 'default/n9' WHERE id = (SELECT object FROM living)"],
  ['what is said of all', 'UPDATE place SET standing = zeroblob(32)']
] as const)
  rotten(`makes none when it has lost ${what}`, async () => {
    const store = filled(0, began())
    rot(sql)
    assert.instance(await keeping(store, ENTRIES.length).catch((error: unknown) => error), IndexAltered)
    store.close()
  })
rotten('makes none either when the object was changed or deleted since', async () => {
  for (const deleted of [false, true]) {
    filled(0, began()).close()
    rot('DELETE FROM version WHERE object = 2 AND version = (SELECT max(version) FROM version WHERE object = 2)')
    const store = began()
    store.take([{ entry: entry(221, 'n1', deleted), event: true }], { sequence: 221 })
    assert.instance(await keeping(store, 221).catch((error: unknown) => error), IndexAltered)
    store.clear()
    store.close()
  }
})
rotten('is told, and made anew from the log', async () => {
  const log = new MemoryLog('EVENTS', systemClock, { identity: IDENTITY })
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const writer = new Integrity({ seal, ledger, whole: true, expires: false })
  writer.begin(await log.state())
  const write = async (name: string): Promise<void> => {
    const last = (await log.lastOn(subject(name)))?.sequence ?? 0
    await log.append([
      writer.seal({ subject: subject(name), headers: { 'ce-time': new Date().toISOString() }, text: '{}', expected: last })
    ])
    writer.take((await log.get(await log.lastSequence())) as LogEntry)
    writer.settle()
  }
  for (let n = 0; n < 30; n++) await write(`n${n}`)
  const [errors, keyframes, store] = [[] as unknown[], new MemoryKeyframes(() => systemClock.now()), opened()]
  const indexing = new Indexing({
    log,
    clock: systemClock,
    whole: store,
    brief: { open: opened, remove: () => {} },
    keyframes: new KeyframeStore({ stream: 'EVENTS', keyframes, seal, clock: systemClock, onRefused: () => {} }),
    every: 40,
    expires: false,
    integrity: (from) =>
      new Integrity({ seal, ledger: watching(ledger), whole: true, expires: false, ...(from === undefined ? {} : { from }) }),
    onReached: () => {},
    onDamaged: (damage) => errors.push(damage),
    onError: (error) => errors.push(error)
  })
  indexing.start()
  await until('it is indexed', () => store.lastSequence === 30)
  rot('DELETE FROM living WHERE object = 5')
  const before = store.making
  for (let n = 30; n < 45; n++) await write(`n${n}`)
  await until('it is made anew', () => store.making !== before && store.lastSequence === 45)
  assert.instance(errors[0], IndexAltered)
  assert.is(((await store.standingAt(45)) as readonly unknown[]).length, 45)
  for (const { sequence } of await keyframes.list('EVENTS'))
    assert.is((await decodeKeyframe((await keyframes.get('EVENTS', sequence)) as Uint8Array, seal))?.standing.length, sequence)
  indexing.stop()
  store.close()
})
rotten.run()
