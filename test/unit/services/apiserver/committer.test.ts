/** What the committer makes of a log that is away, gives no answer, or says no: bounded waits, and the truth looked up. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent, type NewEvent } from '#events/Event.ts'
import type { Guard } from '#events/guard.ts'
import { AppendUncertain, LogAway, LogRefused, type Append, type AppendResult } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Committer, Unresolved, type Outcome } from '#services/apiserver/Committer.ts'
import { sleep } from '#services/platform/Clock.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const event = (name: string): NewEvent =>
  ({
    id: `id-${name}`,
    type: 'reckon.configmap.created.v1',
    source: 'test',
    user: 'me',
    time: '2026-01-01T00:00:00Z',
    correlationId: 'c',
    verb: 'create',
    stream: 'EVENTS',
    key: { group: '', resource: 'configmaps', namespace: 'default', name },
    object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } },
    deleted: false,
    expected: 0
  }) as unknown as NewEvent

/** A log that is away, or stores and says nothing, as told. */
class MoodyLog extends MemoryLog {
  mood: 'well' | 'away' | 'silent' | 'deaf' | 'full' = 'well'
  appends = 0
  lookUps = 0
  readonly #moodyClock: VirtualClock
  constructor(clock: VirtualClock) {
    super('EVENTS', clock)
    this.#moodyClock = clock
  }
  override async append(appends: readonly Append[], waitMs = 5_000): Promise<AppendResult> {
    this.appends += 1
    for (const until = this.#moodyClock.now() + waitMs; this.mood === 'away'; await sleep(this.#moodyClock, 10))
      if (this.#moodyClock.now() >= until) throw new LogAway('away')
    if (this.mood === 'full') throw new LogRefused('no room', 'full')
    if (this.mood === 'well') return super.append(appends)
    if (this.mood === 'silent') await super.append(appends)
    await sleep(this.#moodyClock, 5_000)
    throw new AppendUncertain('no answer')
  }
  override async lastOn(subject: string): ReturnType<MemoryLog['lastOn']> {
    this.lookUps += 1
    if (this.mood === 'away') {
      await sleep(this.#moodyClock, 1_000)
      throw new LogAway('away')
    }
    return super.lastOn(subject)
  }
}

const scene = (): { readonly clock: VirtualClock; readonly log: MoodyLog; readonly committer: Committer } => {
  const clock = new VirtualClock(1)
  const log = new MoodyLog(clock)
  return { clock, log, committer: new Committer(log, clock) }
}
/** How each ended, and when, in milliseconds from the start. */
const outcomes = (clock: VirtualClock, all: readonly Promise<Outcome>[]): { readonly how: string; readonly at: number }[] => {
  const ended: { how: string; at: number }[] = []
  for (const one of all)
    one.then(
      ({ ok }) => ended.push({ how: ok ? 'stored' : 'conflict', at: clock.elapsed }),
      (error: Error) => ended.push({ how: error.name, at: clock.elapsed })
    )
  return ended
}

const committer = suite('committer')

committer('many writes while the log is away: each is told within its patience, none is stored', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'away'
  const ended = outcomes(
    clock,
    Array.from({ length: 300 }, (_, n) => mine.commit([event(`a${n}`)]))
  )
  await clock.run(120_000, () => ended.length === 300)
  assert.is(ended.length, 300)
  assert.ok(
    ended.every(({ how, at }) => how === 'LogAway' && at >= 29_000 && at <= 31_000),
    JSON.stringify(ended.slice(0, 5))
  )
  assert.is(await log.lastSequence(), 0)
})

committer('one that waited for its turn has only the rest of its patience', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'away'
  await clock.run(30_000)
  const ended = outcomes(clock, [mine.commit([event('late')], clock.now() - 35_000)])
  await clock.run(1_000, () => ended.length === 1)
  assert.is(ended[0]?.how, 'LogAway')
})

committer('what waits is stored when the log is back, once', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'away'
  const ended = outcomes(
    clock,
    Array.from({ length: 50 }, (_, n) => mine.commit([event(`a${n}`)]))
  )
  await clock.run(8_000)
  assert.is(ended.length, 0)
  log.mood = 'well'
  await clock.run(1_000, () => ended.length === 50)
  assert.ok(ended.every(({ how }) => how === 'stored'))
  assert.is(await log.lastSequence(), 50)
})

committer('an acknowledgement that was lost is looked up, at once, and nothing is stored a second time', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'silent'
  const ended = outcomes(clock, [mine.commit([event('x')])])
  await clock.run(6_000, () => ended.length === 1)
  assert.equal(
    ended.map(({ how }) => how),
    ['stored']
  )
  assert.is(log.appends, 1)
  assert.is(log.lookUps, 1)
})

committer('no answer and not there: tried again, then given up as unknown', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'deaf'
  const ended = outcomes(clock, [mine.commit([event('x')])])
  await clock.run(60_000, () => ended.length === 1)
  assert.is(ended[0]?.how, Unresolved.name)
  assert.ok((ended[0]?.at ?? 0) >= 30_000 && (ended[0]?.at ?? 0) <= 36_000, String(ended[0]?.at))
})

committer('a log that says no is not asked again', async () => {
  const { clock, log, committer: mine } = scene()
  log.mood = 'full'
  const ended = outcomes(clock, [mine.commit([event('x')])])
  await clock.run(1_000, () => ended.length === 1)
  assert.is(ended[0]?.how, 'LogRefused')
  assert.is(log.appends, 1)
})

committer('of an intent that another server has decided, too, the event that is there is not taken for our own', async () => {
  const { clock, log, committer: mine } = scene()
  const theirs = encodeEvent({ ...event('a'), object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', uid: 'theirs' } } })
  log.mood = 'deaf'
  const ended = mine.commit([event('a')])
  await clock.run(1_000)
  log.mood = 'well'
  await log.append([{ subject: subjectOf('EVENTS', event('a').key), ...theirs, expected: 0 }])
  await clock.run(10_000)
  assert.equal(await ended, { ok: false, lastSequence: 1 })
})

/** Writes on what another server has changed: `stale` of them, by place. */
const half = async (count: number, stale: readonly number[]): Promise<{ readonly log: MoodyLog; readonly ended: readonly Outcome[] }> => {
  const { log, committer: mine } = scene()
  for (const n of stale)
    await log.append([
      { subject: subjectOf('EVENTS', event(`a${n}`).key), ...encodeEvent({ ...event(`a${n}`), id: 'theirs' }), expected: 0 }
    ])
  log.appends = 0
  return { log, ended: await Promise.all(Array.from({ length: count }, (_, n) => mine.commit([event(`a${n}`)]))) }
}

committer('of a batch with one stale write that one alone is refused, in few batches', async () => {
  for (const at of [0, 31, 32, 63]) {
    const { log, ended } = await half(64, [at])
    assert.equal(
      ended.flatMap(({ ok }, n) => (ok ? [] : [n])),
      [at]
    )
    assert.is(await log.lastSequence(), 64, 'each of the others is stored once')
    assert.ok(log.appends < 20, `${log.appends} appends`)
  }
})

committer('each is told the place of its own event, whatever its neighbours came to', async () => {
  const { log, ended } = await half(40, [3, 20, 21])
  for (const [n, outcome] of ended.entries()) {
    assert.is(outcome.ok, ![3, 20, 21].includes(n))
    if (outcome.ok) assert.is((await log.get(outcome.last))?.subject, subjectOf('EVENTS', event(`a${n}`).key))
  }
})

committer('a decision that is a large batch of its own goes alone, and others do not wait for it without end', async () => {
  const { clock, log, committer: mine } = scene()
  const large = Array.from({ length: 700 }, (_, n) => event(`large${n}`))
  const ended = outcomes(clock, [mine.commit(large), ...Array.from({ length: 20 }, (_, n) => mine.commit([event(`b${n}`)]))])
  await clock.run(1_000, () => ended.length === 21 || log.appends > 50)
  assert.equal(
    [ended.length, ended.filter(({ how }) => how === 'stored').length, await log.lastSequence()],
    [21, 21, 720],
    `after ${log.appends} appends`
  )
})

committer('of two terms of one Lease that wait together, only what is asked under the newer one is stored', async () => {
  // Whichever comes first, and so at the head of a batch.
  for (const older of [0, 1, 2]) {
    const { log, committer: mine } = scene()
    const marker = subjectOf('EVENTS', event('marker').key)
    for (const expected of [0, 1]) await log.append([{ subject: marker, ...encodeEvent({ ...event('marker'), expected }), expected }])
    const fence = (term: number): Guard => ({ key: event('marker').key, expected: term })
    const terms = Array.from({ length: 24 }, (_, n) => (n % 3 === older ? 1 : 2))
    const ended = await Promise.all(terms.map((term, n) => mine.commit([event(`a${n}`)], undefined, [fence(term)])))
    assert.equal(
      ended.map(({ ok }) => ok),
      terms.map((term) => term === 2)
    )
    for (const [n, term] of terms.entries())
      assert.is((await log.lastOn(subjectOf('EVENTS', event(`a${n}`).key))) !== undefined, term === 2)
  }
})

committer('a decision of more entries than the log takes at once is refused, and none is sent', async () => {
  const { log, committer: mine } = scene()
  const error = await mine.commit(Array.from({ length: 1_001 }, (_, n) => event(`x${n}`))).then(
    () => undefined,
    (thrown: unknown) => thrown
  )
  assert.instance(error, LogRefused)
  assert.is((error as LogRefused).why, 'too-large')
  assert.is(log.appends, 0)
})

/** One that is there, at a place. */
const there = async (log: MoodyLog, name: string): Promise<number> => {
  await log.append([{ subject: subjectOf('EVENTS', event(name).key), ...encodeEvent(event(name)), expected: 0 }])
  log.appends = 0
  return log.lastSequence()
}

committer('guards stand in front of the changes: what is answered is the change, also when its acknowledgement was lost', async () => {
  for (const mood of ['well', 'silent'] as const) {
    const { clock, log, committer: mine } = scene()
    const expected = await there(log, 'switch')
    log.mood = mood
    let outcome: Outcome | undefined
    void mine.commit([event('x'), event('y')], undefined, [{ key: event('switch').key, expected }]).then((one) => (outcome = one))
    await clock.run(6_000, () => outcome !== undefined)
    assert.ok(outcome?.ok === true, mood)
    assert.is((await log.get(outcome.last))?.subject, subjectOf('EVENTS', event('y').key), mood)
    assert.is(outcome.bodies.at(-1), (await log.get(outcome.last))?.text, mood)
    assert.is(await log.lastSequence(), 4, 'the guard, and both changes behind it')
  }
})

committer('of several on one guard each is answered its own change', async () => {
  const { log, committer: mine } = scene()
  const expected = await there(log, 'marker')
  const fence: Guard = { key: event('marker').key, expected }
  for (const count of [1, 3]) {
    const ended = await Promise.all(Array.from({ length: count }, (_, n) => mine.commit([event(`${count}-${n}`)], undefined, [fence])))
    for (const [n, outcome] of ended.entries()) {
      assert.ok(outcome.ok)
      assert.is(outcome.ok && (await log.get(outcome.last))?.subject, subjectOf('EVENTS', event(`${count}-${n}`).key))
    }
  }
})

committer('a decision may stand on an object that it writes as well', async () => {
  const { log, committer: mine } = scene()
  const expected = await there(log, 'switch')
  const outcome = await mine.commit([{ ...event('switch'), id: 'next', expected }], undefined, [{ key: event('switch').key, expected }])
  assert.equal([outcome.ok, log.appends], [true, 1])
})

committer('of decisions that travel together, one that stands on an object goes before who changes it, and not behind', async () => {
  for (const standsFirst of [true, false]) {
    const { log, committer: mine } = scene()
    const expected = await there(log, 'switch')
    const stands = () => mine.commit([event('x')], undefined, [{ key: event('switch').key, expected }])
    const changes = () => mine.commit([{ ...event('switch'), id: 'next', expected }])
    const [first, second] = await Promise.all(standsFirst ? [stands(), changes()] : [changes(), stands()])
    assert.equal([first?.ok, second?.ok], [true, standsFirst])
    if (standsFirst) assert.is(log.appends, 1, 'both in one batch')
    assert.is((await log.lastOn(subjectOf('EVENTS', event('x').key))) !== undefined, standsFirst)
  }
})
committer('guards count as well: no batch is larger than the log takes, whatever each of its decisions stands on', async () => {
  const { log, committer: mine } = scene()
  const guards = (n: number): readonly Guard[] => [1, 2].map((k) => ({ key: event(`g${n}-${k}`).key, expected: 0 }))
  const sizes: number[] = []
  const append = log.append.bind(log)
  log.append = (appends, waitMs) => {
    sizes.push(appends.length)
    return append(appends, waitMs)
  }
  const ended = await Promise.all(Array.from({ length: 600 }, (_, n) => mine.commit([event(`a${n}`)], undefined, guards(n))))
  assert.ok(ended.every(({ ok }) => ok))
  assert.ok(Math.max(...sizes) <= 500, `${Math.max(...sizes)} entries at once`)
  assert.ok(sizes.length < 10, `${sizes.length} batches`)
})

committer('a lone write whose guards nothing can have touched is one entry, and stands where it was decided', async () => {
  const { log, committer: mine } = scene()
  const expected = await there(log, 'switch')
  const outcome = await mine.commit([event('x')], undefined, [{ key: event('switch').key, expected }], expected)
  assert.equal([outcome.ok, outcome.ok && outcome.last, await log.lastSequence(), log.appends], [true, expected + 1, expected + 1, 1])
})

committer('a decision of several events is stored whole, though nothing was written since it was decided', async () => {
  const { log, committer: mine } = scene()
  const expected = await there(log, 'switch')
  const outcome = await mine.commit([event('x'), event('y')], undefined, [{ key: event('switch').key, expected }], expected)
  assert.ok(outcome.ok)
  for (const name of ['x', 'y']) assert.ok(await log.lastOn(subjectOf('EVENTS', event(name).key)), name)
})

committer('a lone write is held to its guards by name when anything was written since it was decided', async () => {
  for (const touched of [true, false]) {
    const { log, committer: mine } = scene()
    const expected = await there(log, 'switch')
    const next = touched ? { ...event('switch'), id: 'next', expected } : event('other')
    await log.append([{ subject: subjectOf('EVENTS', next.key), ...encodeEvent(next), expected: next.expected }])
    const outcome = await mine.commit([event('x')], undefined, [{ key: event('switch').key, expected }], expected)
    assert.is(outcome.ok, !touched)
    assert.is((await log.lastOn(subjectOf('EVENTS', event('x').key))) !== undefined, !touched)
  }
})

committer('what it stored itself since counts as written: the whole log is not asked in vain', async () => {
  const { log, committer: mine } = scene()
  const expected = await there(log, 'switch')
  await mine.commit([event('own')])
  log.appends = 0
  const outcome = await mine.commit([event('x')], undefined, [{ key: event('switch').key, expected }], expected)
  assert.equal([outcome.ok, log.appends], [true, 1])
})
committer.run()
