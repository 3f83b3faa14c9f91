/**
 * The historian's loop: it goes on where its index stands, begins anew where that does not fit, and tells of a log that does not fit
 * itself.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import type { Append, Damage, LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Historian } from '#services/historian/Historian.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Place } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import type { Reached, Taken } from '#services/platform/past/PastIndex.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const IDENTITY = 'this-log'
const REF = { group: '', resource: 'configmaps' }
const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))

/** What an index was given, in order. */
class Recorded extends MemoryPast {
  readonly given: number[] = []
  /** Throws once, as a disk may. */
  fails: Error | undefined
  failsToRaise: Error | undefined
  /** As if the file said so: where to go on. */
  pretends: Place | undefined
  override begin(identity: string): Reached {
    const reached = super.begin(identity)
    return this.pretends === undefined || reached.sequence === 0 ? reached : { sequence: reached.sequence, chain: this.pretends }
  }
  override take(taken: readonly Taken[], reached: Reached): void {
    const { fails } = this
    this.fails = undefined
    if (fails !== undefined) throw fails
    this.given.push(...taken.map(({ entry }) => entry.sequence))
    super.take(taken, reached)
  }
  override raise(floor: number, time: number): void {
    const { failsToRaise } = this
    this.failsToRaise = undefined
    if (failsToRaise !== undefined) throw failsToRaise
    super.raise(floor, time)
  }
  override clear(): void {
    this.pretends = undefined
    this.given.length = 0
    super.clear()
  }
}

const cluster = () => {
  const clock = new VirtualClock(1)
  const log = new MemoryLog('EVENTS', clock, { identity: IDENTITY })
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const view = new Integrity({ seal, ledger, whole: true, expires: false })
  const store = new Recorded('EVENTS', clock)
  const damages: Damage[] = []
  const errors: unknown[] = []
  const heads = new Map<string, number>()
  let folded = 0
  /** As the API server does: sealed on the chain, and folded. */
  const write = async (name: string, deleted = false): Promise<number> => {
    const made = {
      stream: 'EVENTS' as const,
      key: { ...REF, namespace: 'default', name },
      id: `${name}-${clock.uuid()}`,
      type: 'reckon.configmap.updated.v1',
      source: 'test',
      time: new Date(clock.now()).toISOString(),
      user: 'u',
      correlationId: 'c',
      verb: 'update',
      deleted,
      expected: heads.get(name) ?? 0,
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }
    }
    const result = await log.append([view.seal({ subject: subjectOf('EVENTS', made.key), ...encodeEvent(made), expected: made.expected })])
    assert.ok(result.ok)
    heads.set(name, result.last)
    view.take((await log.get(result.last)) as LogEntry)
    view.settle()
    folded = result.last
    return result.last
  }
  let running: Historian | undefined
  const start = (): void => {
    running?.stop()
    const integrity = (from: Place | undefined): Integrity =>
      new Integrity({ seal, ledger: watching(ledger), whole: true, expires: false, ...(from === undefined ? {} : { from }) })
    running = new Historian({
      log,
      store,
      clock,
      integrity,
      expires: false,
      onDamaged: (damage) => damages.push(damage),
      onError: (error) => errors.push(error)
    })
    running.start()
  }
  return {
    clock,
    log,
    ledger,
    view,
    store,
    damages,
    errors,
    write,
    start,
    stop: () => running?.stop(),
    begin: async () => void view.begin(await log.state()),
    last: () => folded
  }
}
const COMPACTION = { group: 'reckon.io', resource: 'compactions', namespace: '', name: 'events' }
const wordOfCompaction = (now: number): Append => {
  const facts = {
    stream: 'EVENTS' as const,
    key: COMPACTION,
    id: 'x',
    type: 'reckon.history.compacted.v1',
    source: 't',
    time: new Date(now).toISOString(),
    user: 'u',
    correlationId: 'x',
    verb: 'compact',
    deleted: false,
    expected: 0
  }
  return {
    subject: subjectOf('EVENTS', COMPACTION),
    ...encodeEvent({ ...facts, object: { apiVersion: 'v1', kind: 'C', metadata: { name: 'events' } } })
  }
}
const settle = (clock: VirtualClock, ms = 50): Promise<unknown> => clock.run(ms)

const historian = suite('the historian')

historian('follows, and goes on where it stopped: what was indexed is not read again', async () => {
  const { clock, store, write, start, stop, begin, errors, damages } = cluster()
  await begin()
  start()
  const first = await write('a')
  await write('b')
  await settle(clock)
  assert.equal([store.lastSequence, store.given], [2, [1, 2]])
  stop()
  await write('a')
  await write('b', true)
  await settle(clock)
  assert.is(store.lastSequence, 2, 'nothing is taken after the end')
  start()
  await settle(clock)
  assert.equal([store.given, errors, damages], [[1, 2, 3, 4], [], []])
  assert.equal(
    [store.versionAt(REF, 'default/a', first), store.versionAt(REF, 'default/a', 4), store.versionAt(REF, 'default/b', 4)],
    [1, 3, undefined]
  )
  stop()
})
historian('drops an index whose hash does not fit the chain, and one of more than there is', async () => {
  const { clock, store, log, write, start, stop, begin, damages } = cluster()
  await begin()
  for (const name of ['a', 'b', 'c', 'd']) await write(name)
  start()
  await settle(clock)
  stop()
  store.pretends = { sequence: 4, hash: new Uint8Array(32).fill(1) }
  await write('e')
  start()
  await clock.run(3_000)
  assert.equal([store.given, damages], [[1, 2, 3, 4, 5], []])
  stop()
  store.take([], { sequence: 99 })
  start()
  await settle(clock)
  assert.equal([store.lastSequence, damages], [(await log.state()).last, []])
  stop()
})
historian('tells of a log that is not what was written, and indexes nothing of it', async () => {
  const { clock, store, log, write, start, stop, begin, damages } = cluster()
  await begin()
  for (const name of ['a', 'b', 'c']) await write(name)
  log.damage({ cut: 2 })
  start()
  await clock.run(3_000)
  assert.is(damages[0]?.kind, 'shorter')
  assert.is(store.lastSequence, 0)
  stop()
})
historian('tries again what a disk did not take', async () => {
  const { clock, store, write, start, stop, begin, errors } = cluster()
  await begin()
  store.fails = new Error('database or disk is full')
  start()
  await write('a')
  await write('b')
  await clock.run(3_000)
  assert.equal([errors.map(String), store.given], [['Error: database or disk is full'], [1, 2]])
  stop()
})
historian('hears of a compaction, and begins anew when it was away for one', async () => {
  const { clock, store, log, write, begin, errors, damages } = cluster()
  const unchecked = (): Historian =>
    new Historian({
      log,
      store,
      clock,
      expires: false,
      onDamaged: (damage) => damages.push(damage),
      onError: (error) => errors.push(error)
    })
  await begin()
  for (const name of ['a', 'b', 'a', 'c']) await write(name)
  await write('b', true)
  let running = unchecked()
  running.start()
  await settle(clock)
  log.raiseFloor(3)
  await log.append([wordOfCompaction(clock.now())])
  await settle(clock)
  assert.equal([store.floor, store.versionAt(REF, 'default/a', 3), store.versionAt(REF, 'default/b', 4)], [3, 3, 2])
  running.stop()
  await write('a')
  await write('d')
  log.raiseFloor(8)
  log.compact()
  running = unchecked()
  running.start()
  await clock.run(3_000)
  assert.equal([store.floor, store.lastSequence, errors, damages], [8, 8, [], []])
  assert.equal(
    (await store.liveAt(REF, 8)).map(({ id, sequence }) => `${id}@${sequence}`),
    ['default/a@7', 'default/c@4', 'default/d@8']
  )
  running.stop()
})
historian('that was away while history was compacted past it knows nothing of what was deleted there', async () => {
  const { clock, store, log, write, begin, errors } = cluster()
  const unchecked = (): Historian =>
    new Historian({ log, store, clock, expires: false, onDamaged: () => {}, onError: (error) => errors.push(error) })
  await begin()
  for (const name of ['a', 'b', 'c']) await write(name)
  let running = unchecked()
  running.start()
  await settle(clock)
  running.stop()
  await write('b', true)
  for (const name of ['c', 'd', 'd']) await write(name)
  log.raiseFloor(6)
  log.compact()
  running = unchecked()
  running.start()
  await clock.run(3_000)
  assert.equal([store.floor, store.lastSequence, errors], [6, 7, []])
  assert.equal(
    (await store.liveAt(REF, 7)).map(({ id, sequence }) => `${id}@${sequence}`),
    ['default/a@1', 'default/c@5', 'default/d@7']
  )
  running.stop()
})
historian('tells of a disk that does not take a compaction, and follows on', async () => {
  const { clock, store, log, write, begin, errors } = cluster()
  const following = new Historian({ log, store, clock, expires: false, onDamaged: () => {}, onError: (error) => errors.push(error) })
  await begin()
  for (const name of ['a', 'b', 'a']) await write(name)
  following.start()
  await settle(clock)
  log.raiseFloor(2)
  store.failsToRaise = new Error('database or disk is full')
  await log.append([wordOfCompaction(clock.now())])
  await settle(clock)
  await log.append([{ ...wordOfCompaction(clock.now()), subject: subjectOf('EVENTS', { ...COMPACTION, name: 'other' }) }])
  await settle(clock)
  assert.equal([errors.map(String), store.lastSequence, store.floor], [['Error: database or disk is full'], 5, 2])
  following.stop()
})
historian('takes what comes after a pause at once, and what follows on it together', async () => {
  const { clock, store, log, write, begin, errors } = cluster()
  const steps: number[] = []
  const onReached = ({ sequence }: { readonly sequence: number }): void => void steps.push(sequence)
  const options = { log, store, clock, expires: false, onReached, onDamaged: () => {}, onError: (error: unknown) => errors.push(error) }
  const following = new Historian({ ...options, gatherMs: 25 })
  await begin()
  await write('a')
  following.start()
  await clock.run(100)
  steps.length = 0
  await write('a')
  await clock.run(1)
  assert.equal(steps, [2])
  for (const name of ['b', 'c', 'b']) {
    await write(name)
    await clock.run(1)
  }
  assert.equal([steps, store.lastSequence], [[2], 2])
  await clock.run(25)
  assert.equal([steps, store.lastSequence], [[2, 5], 5])
  // What waits when it ends is read again.
  await write('d')
  await write('d')
  following.stop()
  await clock.run(100)
  assert.equal([steps.at(-1), errors], [store.lastSequence, []])
  const next = new Historian(options)
  next.start()
  await clock.run(100)
  assert.is(store.lastSequence, 7)
  next.stop()
})
historian.run()
