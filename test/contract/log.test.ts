/** The log's contract, held by both twins: memory and JetStream on a real nats-server. */
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AppendUncertain, LogAway, type Append, type Log, type LogEntry } from '#events/Log.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

const append = (name: string, text: string, expected?: number): Append => ({
  subject: `ev.core.configmaps.default.${name}`,
  headers: { 'ce-id': `${name}-${text}` },
  text,
  ...(expected === undefined ? {} : { expected })
})

/** Collects what a follower gets until `count` entries came. */
const collect = (log: Log, from: number, count: number): Promise<LogEntry[]> =>
  new Promise((resolve, reject) => {
    const found: LogEntry[] = []
    const subscription = log.follow({
      from,
      onEntries: (entries) => {
        found.push(...entries)
        if (found.length < count) return
        subscription.close()
        resolve(found)
      },
      onFailed: reject
    })
  })

const contract = (name: string, open: () => Promise<Log>, close: () => Promise<void>): void => {
  const log = suite(`the log's contract: ${name}`)
  let it: Log
  log.before(async () => {
    it = await open()
  })
  log.after(close)

  log('gives one total order of sequences, from 1', async () => {
    assert.equal(await it.append([append('a', '1', 0)]), { ok: true, first: 1, last: 1 })
    assert.equal(await it.append([append('b', '1', 0)]), { ok: true, first: 2, last: 2 })
    assert.is(await it.lastSequence(), 2)
    const { first, last, messages } = await it.state()
    assert.equal({ first, last, messages }, { first: 1, last: 2, messages: 2 })
  })
  log('refuses a stale expectation and tells the sequence there is', async () => {
    assert.equal(await it.append([append('a', '2', 0)]), { ok: false, conflict: true, lastSequence: 1 })
    assert.is(await it.lastSequence(), 2)
  })
  log('stores a batch as a whole', async () => {
    assert.equal(await it.append([append('a', '2', 1), append('b', '2', 2), append('c', '1', 0)]), { ok: true, first: 3, last: 5 })
    assert.is((await it.get(4))?.text, '2')
  })
  log('stores nothing of a batch with one stale expectation, wherever it stands', async () => {
    for (const stale of [0, 1, 2]) {
      const appends = ['a', 'b', 'c'].map((subject, at) => append(subject, '9', at === stale ? 777 : { a: 3, b: 4, c: 5 }[subject]))
      const result = await it.append(appends)
      assert.is(result.ok, false)
    }
    assert.is(await it.lastSequence(), 5)
  })
  log('reads one entry, the last on a subject, and the last up to a sequence', async () => {
    const entry = (await it.get(1)) as LogEntry
    assert.is(entry.subject, 'ev.core.configmaps.default.a')
    assert.is(entry.headers['ce-id'], 'a-1')
    assert.ok(Math.abs(entry.time - Date.now()) < 60_000)
    assert.is((await it.lastOn('ev.core.configmaps.default.a'))?.sequence, 3)
    assert.is((await it.lastOn('ev.core.configmaps.default.a', 2))?.sequence, 1)
    assert.is(await it.lastOn('ev.core.configmaps.default.nobody'), undefined)
    assert.is(await it.get(999), undefined)
  })
  log('delivers everything from a sequence, in order, then what comes', async () => {
    const live = collect(it, 2, 6)
    await it.append([append('d', 'ünïcode ✓', 0)])
    await it.append([append('d', '2', 6)])
    const entries = await live
    assert.equal(
      entries.map(({ sequence }) => sequence),
      [2, 3, 4, 5, 6, 7]
    )
    assert.is(entries[4]?.text, 'ünïcode ✓')
  })
  log('says when what was there at the start is delivered, also when that is nothing', async () => {
    const reached = await new Promise<number>((resolve, reject) => {
      let seen = 0
      const subscription = it.follow({
        from: 1,
        onEntries: (entries) => void (seen += entries.length),
        onCaughtUp: (last) => {
          subscription.close()
          assert.is(seen, last)
          resolve(last)
        },
        onFailed: reject
      })
    })
    assert.is(reached, await it.lastSequence())
    await new Promise<void>((resolve, reject) => {
      const subscription = it.follow({
        from: reached + 1,
        onEntries: () => {},
        onCaughtUp: () => (subscription.close(), resolve()),
        onFailed: reject
      })
    })
  })
  log('lets exactly one of several racing writers win', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, (_, n) => it.append([append('race', String(n), 0)])))
    assert.is(results.filter(({ ok }) => ok).length, 1)
  })
  log('reads a range in order, both ends included, by subject where asked', async () => {
    const last = await it.lastSequence()
    const read = async (range: Parameters<Log['read']>[0]): Promise<LogEntry[]> => (await Array.fromAsync(it.read(range))).flat()
    assert.equal(
      (await read({ from: 0, to: last + 10 })).map(({ sequence }) => sequence),
      Array.from({ length: last }, (_, n) => n + 1)
    )
    assert.equal(
      (await read({ from: 2, to: 4 })).map(({ sequence, text }) => [sequence, text]),
      [
        [2, '1'],
        [3, '2'],
        [4, '2']
      ]
    )
    assert.equal(
      (await read({ from: 1, to: 7, filter: 'ev.core.configmaps.*.a' })).map(({ sequence }) => sequence),
      [1, 3]
    )
    assert.equal(
      (await read({ from: 1, to: 7, filter: 'ev.core.configmaps.default.>' })).map(({ sequence }) => sequence),
      [1, 2, 3, 4, 5, 6, 7]
    )
    assert.equal(await read({ from: 1, to: 7, filter: 'ev.core.secrets.>' }), [])
    assert.equal(await read({ from: last + 1, to: last + 9 }), [])
    assert.equal((await read({ from: 1, to: 1 }))[0], await it.get(1))
  })
  log('reads in batches: entries larger than a batch, and more of them than one holds', async () => {
    const from = (await it.lastSequence()) + 1
    const large = 'x'.repeat(700_000)
    for (let n = 0; n < 3; n++) await it.append([{ ...append(`large-${n}`, '', 0), text: large }])
    await it.append(Array.from({ length: 300 }, (_, n) => append(`small-${n}`, 'y', 0)))
    const sizes: number[] = []
    const sequences: number[] = []
    for await (const batch of it.read({ from, to: from + 302 })) {
      sizes.push(batch.reduce((sum, { text }) => sum + text.length, 0))
      sequences.push(...batch.map(({ sequence }) => sequence))
    }
    assert.equal(
      sequences,
      Array.from({ length: 303 }, (_, n) => from + n)
    )
    assert.ok(sizes.length >= 2, 'a batch of its own for a reader that is not done with the last one')
  })
  log('holds a batch to what another subject has', async () => {
    const { last: old = 0 } = (await it.append([append('marker', 'one', 0)])) as { last?: number }
    const { last: now = 0 } = (await it.append([append('marker', 'two', old)])) as { last?: number }
    const guard = (expected: number): Append => ({ ...append('guard', ''), expected, on: append('marker', '').subject })
    assert.is((await it.append([append('guarded', '1', 0), guard(old)])).ok, false, 'it has a newer one')
    assert.is((await it.append([append('guarded', '1', 7), guard(now)])).ok, false, 'its own expectation counts as well')
    assert.is(await it.lastSequence(), now)
    // All at once, as a leader's writes are.
    const results = await Promise.all(Array.from({ length: 20 }, (_, n) => it.append([append(`guarded-${n}`, '1', 0), guard(now)])))
    assert.ok(results.every(({ ok }) => ok))
    assert.is(await it.lastSequence(), now + 40)
  })
  log.run()
}

contract(
  'memory',
  async () => new MemoryLog('EVENTS', systemClock),
  async () => {}
)

const reading = suite('JetStream: reading a range')
reading('holds about one batch at a time and leaves no consumer behind', async () => {
  const own = await startNats()
  try {
    const connection = await own.as('apiserver')
    const log = new JetStreamLog(connection, 'EVENTS')
    const large = 'x'.repeat(200_000)
    for (let n = 0; n < 40; n++) await log.append([{ ...append(`large-${n}`, '', 0), text: large }])
    const before = connection.stats().inBytes
    const batches = log.read({ from: 1, to: 40 })
    const first = await batches.next()
    assert.is(first.value?.[0]?.sequence, 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.ok(connection.stats().inBytes - before < 1_000_000, `${connection.stats().inBytes - before} bytes came for one batch`)
    await batches.return(undefined)
    const { streams } = await jetstreamManager(connection, { checkAPI: false })
    assert.is((await streams.info('EVENTS')).state.consumer_count, 0)
  } finally {
    await own.stop()
  }
})
reading.run()

let nats: TestNats
contract(
  'JetStream',
  async () => {
    nats = await startNats()
    return new JetStreamLog(await nats.as('apiserver'), 'EVENTS')
  },
  () => nats.stop()
)

const time = suite('JetStream: finding a place by its time')
time('finds the first entry there is from a moment on, as the administrator may', async () => {
  const own = await startNats()
  try {
    const writer = new JetStreamLog(await own.as('apiserver'), 'AUDIT')
    const log = new JetStreamLog(await own.as('admin'), 'AUDIT')
    assert.is(await log.firstSince(0), undefined, 'there is none')
    const audit = (n: number): Append => ({ subject: `audit.get.core.secrets${n}`, headers: {}, text: String(n) })
    for (let n = 1; n <= 4; n++) await writer.append([audit(n)])
    const times: number[] = []
    for await (const entries of log.read({ from: 1, to: 4 })) times.push(...entries.map((entry) => entry.time))
    assert.is(await log.firstSince(0), 1)
    for (const [at, stored] of times.entries())
      assert.is(times[((await log.firstSince(stored)) ?? 0) - 1], stored, `entry ${at + 1} or one of the same millisecond`)
    assert.is(await log.firstSince((times[3] as number) + 1_000), undefined, 'nothing is as young')
    await (await jetstreamManager(await own.as('keeper'), { checkAPI: false })).streams.purge('AUDIT', { seq: 4 })
    assert.is(await log.firstSince(0), 4, 'what has expired is passed over')
  } finally {
    await own.stop()
  }
})
time.run()

const crash = suite('JetStream: the server is killed')
crash('a follower goes on without a gap, and what was acknowledged is there', async () => {
  const own = await startNats()
  try {
    const log = new JetStreamLog(await own.as('apiserver'), 'EVENTS')
    const seen: number[] = []
    let failed: Error | undefined
    const all = new Promise<void>((resolve) => {
      log.follow({
        from: 1,
        onEntries: (entries) => {
          for (const { sequence } of entries) seen.push(sequence)
          if (seen.length >= 60) resolve()
        },
        onFailed: (error) => (failed = error)
      })
    })
    for (let n = 0; n < 30; n++) await log.append([append(`k${n}`, 'x', 0)])
    process.kill(own.server().pid, 'SIGKILL')
    await own.server().exited
    // Sent before the loss was heard of, nobody knows; after it, nothing was sent.
    await log.append([append('lost', 'x', 0)], 100).then(
      () => assert.unreachable('nothing can be acknowledged by a dead server'),
      (error: unknown) => assert.ok(error instanceof AppendUncertain || error instanceof LogAway)
    )
    const began = performance.now()
    await log.append([append('lost', 'x', 0)], 100).then(
      () => assert.unreachable('nothing can be stored in a dead server'),
      (error: unknown) => assert.instance(error, LogAway)
    )
    assert.ok(performance.now() - began < 4_000, 'it waited longer than it was told to')
    const waiting = log.append([append('patient', 'x', 0)], 20_000)
    await own.restart()
    assert.ok((await waiting).ok, 'what waits for the server is stored when it is back')
    const last = (await log.lastOn('ev.core.configmaps.default.k29'))?.sequence
    assert.is(last, 30)
    for (let n = 30; n < 60; n++) {
      const result = await log.append([append(`k${n}`, 'x', 0)])
      assert.ok(result.ok)
    }
    await all
    assert.equal(
      seen.slice(0, 60),
      Array.from({ length: 60 }, (_, n) => n + 1)
    )
    assert.is(failed, undefined)
  } finally {
    await own.stop()
  }
})
crash.run()
