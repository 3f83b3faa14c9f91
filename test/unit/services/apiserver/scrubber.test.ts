/** The scrubber: what changes in the log while everybody works is noticed, and what may change is not. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Damage, Log, LogEntry, LogState } from '#events/Log.ts'
import { Base } from '#projections/Base.ts'
import { Chain } from '#projections/Chain.ts'
import { Scrubber } from '#services/apiserver/Scrubber.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { Integrity, MARK_EVERY } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger } from '#services/platform/ledger/Ledger.ts'
import { Seal, sha256 } from '#services/platform/ledger/Seal.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const scrubber = suite('the scrubber')
const seal = new Seal(new Map([['k1', Buffer.alloc(32, 3)]]))

/** A stream of `count` entries that was written and folded; `read` is what the disk gives now. */
const written = (count: number) => {
  const ledger = new MemoryLedger('EVENTS', 'it')
  const integrity = new Integrity({ seal, ledger, whole: true, expires: false })
  const state: LogState = {
    identity: 'it',
    first: 1,
    last: 0,
    messages: 0,
    bytes: 0,
    sealedFrom: 1,
    epoch: 0,
    losses: [],
    quarantined: [],
    floor: 0
  }
  integrity.begin(state)
  const entries: LogEntry[] = []
  for (let sequence = 1; sequence <= count; sequence++) {
    const { subject, headers, text } = integrity.seal({
      subject: `ev.core.configmaps.default.c${sequence}`,
      headers: { 'ce-id': String(sequence) },
      text: 'x'.repeat(100),
      expected: 0
    })
    const entry = { subject, headers, text, sequence, time: 0 }
    entries.push(entry)
    integrity.take(entry)
    integrity.settle()
  }
  const disk = { entries, state: { ...state, last: count, messages: count }, fail: false, reads: 0 }
  const log = {
    stream: 'EVENTS',
    state: async () => disk.state,
    read: async function* ({ from, to }: { from: number; to: number }) {
      disk.reads += 1
      if (disk.fail) throw new Error('timeout')
      yield disk.entries.filter(({ sequence }) => sequence >= from && sequence <= to)
    }
  } as unknown as Log
  return { ledger, log, disk }
}

const scrub = async ({ ledger, log }: ReturnType<typeof written>, ms = 60_000): Promise<{ damage: Damage | undefined; passes: number }> => {
  const clock = new VirtualClock(1)
  let damage: Damage | undefined
  let passes = 0
  const made = new Scrubber({
    log,
    ledger,
    seal,
    clock,
    bytesPerSecond: 10_000_000,
    pauseMs: 10_000,
    onDamage: (found) => (damage = found),
    onPass: () => (passes += 1)
  })
  made.start()
  await clock.run(ms)
  made.stop()
  return { damage, passes }
}

const COUNT = MARK_EVERY * 2 + 100

scrubber('finds nothing wrong with what is right, and begins again', async () => {
  const { damage, passes } = await scrub(written(COUNT))
  assert.is(damage, undefined)
  assert.ok(passes > 2)
})
scrubber('looks at what was kept of compacted history, and does not mistake its moving for its going', async () => {
  const kept = (floor: number, first: number) => {
    const it = written(COUNT)
    const base = new Base()
    for (const { subject, sequence, headers, text } of it.disk.entries.slice(0, floor))
      base.take(subject, sequence, seal.digest('EVENTS', { subject, headers, text }), false)
    const chain = new Chain(sha256)
    for (const entry of it.disk.entries.slice(0, floor)) chain.extend(entry.sequence, seal.digest('EVENTS', entry))
    const [hash, digest] = [chain.head, base.digest(sha256)].map((bytes) => Buffer.from(bytes).toString('base64url')) as [string, string]
    it.disk.state = { ...it.disk.state, floor, first, base: { hash, digest, entries: floor, time: 0 } }
    return it
  }
  const whole = await scrub(kept(100, 101))
  assert.is(whole.damage, undefined)
  assert.ok(whole.passes > 2)
  const gone = kept(100, 101)
  gone.disk.entries.splice(50, 1)
  assert.match(
    (await scrub(gone)).damage?.detail ?? '',
    'of the 100 versions that were kept when history was compacted up to 100, 99 are there'
  )
  // Read first where it is kept, then in the stream, while it goes from here to there.
  const moves = kept(100, 1)
  const there = [...moves.disk.entries]
  moves.disk.entries.splice(50, 10)
  const { read } = moves.log
  moves.log.read = async function* (range) {
    yield* read.call(moves.log, range)
    moves.disk.state = { ...moves.disk.state, first: 101 }
    moves.disk.entries.splice(0, moves.disk.entries.length, ...there)
  }
  const { damage, passes } = await scrub(moves)
  assert.equal([damage, passes > 2], [undefined, true])
})
scrubber('names the event that changed', async () => {
  const it = written(COUNT)
  const changed = it.disk.entries[5_000] as LogEntry
  it.disk.entries[5_000] = { ...changed, text: `${changed.text}y` }
  const { damage } = await scrub(it)
  assert.equal([damage?.kind, damage?.ranges], ['altered', [{ first: 5_001, last: 5_001 }]])
})
scrubber('names what is missing, in the middle and at the end', async () => {
  const middle = written(COUNT)
  middle.disk.entries.splice(5_000, 3)
  assert.equal((await scrub(middle)).damage?.ranges, [{ first: 5_001, last: 5_003 }])
  const end = written(COUNT)
  end.disk.entries.splice(COUNT - 2)
  assert.equal((await scrub(end)).damage?.ranges, [{ first: COUNT - 1, last: COUNT }])
})
scrubber('says what can not be read, after it has tried for a while', async () => {
  const it = written(100)
  it.disk.fail = true
  assert.is((await scrub(it, 20_000)).damage, undefined)
  const { damage } = await scrub(it, 120_000)
  assert.equal([damage?.kind, damage?.ranges], ['unreadable', [{ first: 1, last: 100 }]])
})
scrubber('takes what expired or was accepted as lost for what it is', async () => {
  const expired = written(COUNT)
  expired.disk.state = { ...expired.disk.state, first: 6_000 }
  expired.disk.entries = expired.disk.entries.filter(({ sequence }) => sequence >= 6_000)
  assert.is((await scrub(expired)).damage, undefined)
})
scrubber('keeps to its rate', async () => {
  const it = written(COUNT)
  const clock = new VirtualClock(1)
  let passed = 0
  const slow = new Scrubber({
    log: it.log,
    ledger: it.ledger,
    seal,
    clock,
    bytesPerSecond: COUNT,
    pauseMs: 10,
    onDamage: () => {},
    onPass: () => (passed = clock.elapsed)
  })
  slow.start()
  await clock.run(200_000)
  slow.stop()
  // A hundred bytes an entry, one entry's worth a hundredth of a second.
  assert.ok(passed > 90_000 && passed < 110_000, String(passed))
})
scrubber('waits for nothing any more when it is told to stop', async () => {
  const time = new VirtualClock(1)
  const armed = new Set<object>()
  const clock: Clock = {
    now: () => time.now(),
    random: time.random,
    uuid: () => time.uuid(),
    after: (ms, task) => {
      const mark = {}
      armed.add(mark)
      const timer = time.after(ms, () => (armed.delete(mark), task()))
      return { cancel: () => (armed.delete(mark), timer.cancel()) }
    }
  }
  const { log, ledger, disk } = written(COUNT)
  // Once in the pause between two passes, once in the middle of one, once before another try.
  for (const [bytesPerSecond, pauseMs, fail] of [
    [10_000_000, 86_400_000, false],
    [1, 10_000, false],
    [10_000_000, 10_000, true]
  ] as const) {
    disk.fail = fail
    const made = new Scrubber({
      log,
      ledger,
      seal,
      clock,
      bytesPerSecond,
      pauseMs,
      onDamage: () => assert.unreachable('damage'),
      onPass: () => {}
    })
    made.start()
    await time.run(10_000)
    assert.is(armed.size, 1)
    made.stop()
    assert.is(armed.size, 0)
    const { reads } = disk
    await time.run(86_400_000)
    assert.is(disk.reads, reads)
  }
})
scrubber.run()
