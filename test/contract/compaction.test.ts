/**
 * What both twins of the log do when history is compacted: what is kept comes first, the stream begins behind it, and nobody reads across.
 */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Log, LogEntry } from '#events/Log.ts'
import { baseSubjectOf } from '#events/Subject.ts'
import { keptAppend } from '#ops/log/compact.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { FLOOR } from '#services/platform/jetstream/metadata.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

interface Compactable {
  readonly log: Log
  /** Stores an event of the object; `deleted`: its last. */
  write(name: string, deleted?: boolean): Promise<number>
  raise(floor: number): Promise<void>
  compact(): Promise<void>
  close(): Promise<void>
}

const subject = (name: string): string => `ev.core.configmaps.default.${name}`
const append = (name: string, deleted: boolean) => ({
  subject: subject(name),
  headers: { 'ce-time': new Date().toISOString(), ...(deleted ? { 'reckon-deleted': 'true' } : {}) },
  text: `of ${name}`
})

const all = (log: Log, from = 1): Promise<readonly LogEntry[]> =>
  new Promise((resolve, reject) => {
    const seen: LogEntry[] = []
    const subscription = log.follow({
      from,
      onEntries: (entries) => void seen.push(...entries),
      onCaughtUp: () => (subscription.close(), resolve(seen)),
      onFailed: reject
    })
  })
const named = (entries: readonly LogEntry[]): string[] => entries.map(({ sequence, subject: of }) => `${sequence} ${of.split('.').at(-1)}`)

const contract = (name: string, open: () => Promise<Compactable>): void => {
  const compacted = suite(`a compacted log: ${name}`)
  let it: Compactable
  compacted.before(async () => {
    it = await open()
    // 1-9: a, b, a, c, d, d's deletion, a, e, b's deletion; then, behind the floor: a, c's deletion.
    for (const [of, deleted] of [['a'], ['b'], ['a'], ['c'], ['d'], ['d', true], ['a'], ['e'], ['b', true], ['a'], ['c', true]] as const)
      await it.write(of, deleted)
  })
  compacted.after(() => it.close())

  compacted('reads as before while only the floor is raised', async () => {
    const before = named(await all(it.log))
    await it.raise(9)
    assert.equal(named(await all(it.log)), before)
    const { floor, first } = await it.log.state()
    assert.equal([floor, first], [9, 1])
  })
  compacted('begins with the version each object had at the floor', async () => {
    await it.compact()
    assert.equal(named(await all(it.log)), ['4 c', '7 a', '8 e', '10 a', '11 c'])
    const { first, last, messages, floor } = await it.log.state()
    assert.equal({ first, last, messages, floor }, { first: 10, last: 11, messages: 2, floor: 9 })
  })
  compacted('gives what is kept, by its place and by its subject, and nothing of what went', async () => {
    for (const [sequence, of] of [
      [4, 'c'],
      [7, 'a'],
      [8, 'e'],
      [10, 'a']
    ] as const) {
      assert.is((await it.log.get(sequence))?.subject, subject(of), `${sequence}`)
      assert.is((await it.log.get(sequence, subject(of)))?.sequence, sequence)
    }
    for (const gone of [1, 2, 3, 5, 6, 9]) assert.is(await it.log.get(gone), undefined, `${gone}`)
    assert.is(await it.log.get(3, subject('a')), undefined)
    assert.is((await it.log.lastOn(subject('e')))?.sequence, 8)
    assert.is((await it.log.lastOn(subject('a')))?.sequence, 10)
    assert.is((await it.log.lastOn(subject('a'), 9))?.sequence, 7)
    assert.is(await it.log.lastOn(subject('b')), undefined)
    const read = async (from: number, to: number, filter?: string): Promise<string[]> => {
      const found: string[] = []
      for await (const batch of it.log.read({ from, to, ...(filter === undefined ? {} : { filter }) })) found.push(...named(batch))
      return found
    }
    assert.equal(await read(1, 99), ['4 c', '7 a', '8 e', '10 a', '11 c'])
    assert.equal(await read(5, 10), ['7 a', '8 e', '10 a'])
    assert.equal(await read(1, 99, subject('a')), ['7 a', '10 a'])
    assert.equal(await read(10, 99), ['10 a', '11 c'])
  })
  compacted('takes a change of what did not change since as one of an empty subject', async () => {
    assert.equal(await it.log.append([{ ...append('e', false), expected: 8 }]), { ok: false, conflict: true, lastSequence: 0 })
    assert.ok((await it.log.append([{ ...append('e', false), expected: 0 }])).ok)
    assert.equal(await it.log.append([{ ...append('e', false), expected: 0 }]), { ok: false, conflict: true, lastSequence: 12 })
    assert.ok((await it.log.append([{ ...append('b', false), expected: 0 }])).ok)
    assert.equal(named(await all(it.log)), ['4 c', '7 a', '8 e', '10 a', '11 c', '12 e', '13 b'])
  })
  compacted('delivers from behind the floor as ever', async () => {
    assert.equal(named(await all(it.log, 10)), ['10 a', '11 c', '12 e', '13 b'])
    assert.equal(named(await all(it.log, 12)), ['12 e', '13 b'])
  })
  compacted('is compacted further: what was kept gives way to what is kept now', async () => {
    await it.raise(13)
    await it.compact()
    assert.equal(named(await all(it.log)), ['10 a', '12 e', '13 b'])
    await it.write('f')
    assert.equal(named(await all(it.log)), ['10 a', '12 e', '13 b', '14 f'])
  })
  compacted.run()
}

contract('memory', async () => {
  const log = new MemoryLog('EVENTS', systemClock)
  return {
    log,
    write: async (of, deleted = false) => {
      const result = await log.append([append(of, deleted)])
      return result.ok ? result.last : 0
    },
    raise: async (floor) => log.raiseFloor(floor),
    compact: async () => log.compact(),
    close: async () => {}
  }
})

contract('JetStream', async () => {
  const nats: TestNats = await startNats()
  const connection = await nats.as('keeper')
  const log = new JetStreamLog(connection, 'EVENTS')
  const jsm = await jetstreamManager(connection, { checkAPI: false })
  let at = 0
  return {
    log,
    write: async (of, deleted = false) => {
      const result = await log.append([append(of, deleted)])
      return result.ok ? result.last : 0
    },
    raise: async (floor) => {
      at = floor
      const { config } = await jsm.streams.info('EVENTS')
      await jsm.streams.update('EVENTS', { ...config, metadata: { ...config.metadata, [FLOOR]: String(floor) } })
    },
    compact: async () => {
      const kept = new Map<string, LogEntry>()
      for await (const batch of log.read({ from: 1, to: at }))
        for (const entry of batch) {
          kept.delete(entry.subject)
          if (entry.headers['reckon-deleted'] !== 'true') kept.set(entry.subject, entry)
        }
      const base = new JetStreamLog(connection, 'BASE')
      const { first } = await log.state()
      for (const entry of kept.values()) if (entry.sequence >= first) await base.append([keptAppend(entry)])
      for (const name of ['a', 'b', 'c', 'd', 'e'])
        if (!kept.has(subject(name))) await jsm.streams.purge('BASE', { filter: baseSubjectOf(subject(name)) })
      await jsm.streams.purge('EVENTS', { seq: at + 1 })
    },
    close: () => nats.stop()
  }
})
