/** A bare disk: what came since the newest keyframe that can be trusted is told at once, what was before when it is read. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import type { Damage, LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Indexing, NEAR } from '#services/historian/Indexing.ts'
import { KeyframeStore } from '#services/historian/KeyframeStore.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Place } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { decodeKeyframe, encodeKeyframe, type Keyframe } from '#services/platform/past/Keyframe.ts'
import { MemoryKeyframes, type Keyframes } from '#services/platform/past/Keyframes.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import { SlowLog } from '#test/support/slowLog.ts'
import { until } from '#test/support/until.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const IDENTITY = 'this-log'
const REF = { group: '', resource: 'configmaps' }
const EVERY = 20
const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))

const cluster = async () => {
  const clock = new VirtualClock(1)
  const log = new MemoryLog('EVENTS', clock, { identity: IDENTITY })
  const ledger = new MemoryLedger('EVENTS', IDENTITY)
  const view = new Integrity({ seal, ledger, whole: true, expires: false, markEvery: 8 })
  view.begin(await log.state())
  const keyframes = new MemoryKeyframes(() => clock.now())
  const heads = new Map<string, number>()
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
    return result.last
  }
  /** Names come and go; each entry a millisecond behind the one before. */
  const live = async (entries: number): Promise<void> => {
    for (let n = 0; n < entries; n++) {
      await clock.run(1)
      await write(`n${n % 7}`, n % 5 === 4)
    }
  }
  const errors: unknown[] = []
  const damages: Damage[] = []
  const refused: string[] = []
  /** As a process with an empty disk. `slow`: history takes a while to read. */
  const start = (slow: boolean, every = EVERY) => {
    const reading = new SlowLog(log)
    if (!slow) reading.release()
    const told: string[] = []
    /** The keyframes that were read from. */
    const began = new Set<number>()
    const whole = new MemoryPast('EVENTS', clock)
    const opened: MemoryPast[] = []
    let served: MemoryPast = whole
    const store = new KeyframeStore({
      stream: 'EVENTS',
      keyframes,
      seal,
      clock,
      onRefused: (sequence, why) => refused.push(`${sequence}: ${why}`)
    })
    const integrity = (from: Place | undefined): Integrity =>
      new Integrity({ seal, ledger: watching(ledger), whole: true, expires: false, ...(from === undefined ? {} : { from }) })
    const onReached = (serving: MemoryPast, sequence: number, filled?: number): void => {
      served = serving
      if (serving !== whole) began.add(serving.begins)
      told.push(`${serving === whole ? 'whole' : 'brief'} ${sequence}${filled === undefined ? '' : `, ${filled}`}`)
    }
    const open = (): MemoryPast => {
      opened.push(new MemoryPast('EVENTS', clock))
      return opened.at(-1) as MemoryPast
    }
    const indexing = new Indexing({
      log: reading,
      whole,
      brief: { open, remove: () => {} },
      keyframes: store,
      every,
      near: Math.min(NEAR, every),
      clock,
      integrity,
      expires: false,
      onReached,
      onDamaged: (damage) => damages.push(damage),
      onError: (error) => errors.push(error)
    })
    indexing.start()
    return { indexing, reading, told, began, whole, opened, served: () => served }
  }
  const list = async (): Promise<number[]> => (await keyframes.list('EVENTS')).map(({ sequence }) => sequence)
  const read = async (sequence: number): Promise<Keyframe> =>
    (await decodeKeyframe((await keyframes.get('EVENTS', sequence)) as Uint8Array, seal)) as Keyframe
  const put = async (keyframe: Keyframe): Promise<void> => keyframes.put('EVENTS', keyframe.sequence, await encodeKeyframe(keyframe, seal))
  return { clock, log, ledger, keyframes, live, write, start, errors, damages, refused, list, read, put }
}
type Cluster = Awaited<ReturnType<typeof cluster>>

/** What compression takes is real time; the rest is the clock's. */
const settle = async (clock: VirtualClock, ms = 50): Promise<void> => {
  for (let round = 0; round < 10; round++) {
    await new Promise((resolve) => setTimeout(resolve, 3))
    await clock.run(ms / 10)
  }
}
/** What happens meanwhile takes real time where something is compressed, and the clock's elsewhere. */
const becomes = (clock: VirtualClock, what: string, check: () => boolean | Promise<boolean>): Promise<void> =>
  until(what, async () => {
    await clock.run(50)
    return check()
  })
/** With some keyframes, and a few more entries behind the last. */
const lived = async (): Promise<Cluster> => {
  const made = await cluster()
  const { indexing } = made.start(false)
  for (let n = 0; n < 5; n++) {
    await made.live(EVERY)
    // The next one is made when one more entry comes.
    await until('there is another keyframe', async () => {
      await made.live(1)
      return (await made.list()).length > n && (await made.log.state()).last - ((await made.list()).at(-1) as number) < EVERY
    })
    // It takes no more than a part of the time.
    await made.clock.run(60_000)
  }
  indexing.stop()
  await made.live(5)
  return made
}
/** At each moment both say the same. */
const same = (one: MemoryPast, other: MemoryPast, from: number, to: number): void => {
  for (let at = from; at <= to; at++) {
    assert.equal(one.liveAt(REF, at), other.liveAt(REF, at), `at ${at}`)
    assert.is(one.sequenceAt(one.timeOf(at) as number), other.sequenceAt(other.timeOf(at) as number), `time of ${at}`)
    for (let n = 0; n < 7; n++) assert.is(one.deletedSince(REF, `default/n${n}`, at), other.deletedSince(REF, `default/n${n}`, at))
  }
}

const indexing = suite('an index on a bare disk')

indexing('begins at the newest keyframe and reads what came since; then the whole one takes its place', async () => {
  const { clock, log, start, live, list, errors, damages, refused } = await lived()
  const kept = await list()
  assert.ok(kept.length >= 3 && kept.every((sequence, at) => at === 0 || sequence - (kept[at - 1] as number) >= EVERY), kept.join())
  const newest = kept.at(-1) as number
  const { indexing: running, reading, served, whole, told } = start(true, 1_000_000)
  // Where keyframes are far from one another, so few entries are read as soon without one.
  await settle(clock)
  assert.is(served(), whole)
  running.stop()
  const again = start(true)
  await becomes(clock, 'it has begun', () => again.served() !== again.whole)
  const { last } = await log.state()
  assert.equal([again.served().begins, again.served().lastSequence, again.whole.lastSequence], [newest, last, 0])
  assert.ok(again.reading.from.includes(newest + 1), 'only what came since is read')
  await live(10)
  await becomes(clock, 'what comes is told meanwhile', () => again.served() !== again.whole && again.served().lastSequence === last + 10)
  const brief = again.served()
  again.reading.release()
  await becomes(clock, 'the whole one is read', () => again.served() === again.whole)
  assert.equal([again.whole.begins, again.whole.lastSequence], [0, last + 10])
  same(brief, again.whole, newest, last + 10)
  await live(10)
  await settle(clock)
  assert.equal([brief.lastSequence, again.whole.lastSequence], [last + 10, last + 20], 'nothing more goes into the other')
  assert.equal([errors, damages, refused], [[], [], []])
  again.indexing.stop()
  reading.release()
  assert.ok(told.every((one) => one.startsWith('whole')))
})
indexing("does not believe a keyframe whose hash is not the chain's: it is told, taken away, and the one before is used", async () => {
  const { clock, start, list, read, put, refused, damages, errors, log } = await lived()
  const kept = await list()
  const [before, newest] = kept.slice(-2) as [number, number]
  const { hash, ...rest } = await read(newest)
  await put({ ...rest, hash: new Uint8Array(32).fill(9), standing: [] })
  const { indexing: running, served, whole, began } = start(true)
  await becomes(clock, 'it has begun', () => served() !== whole)
  assert.equal([served().begins, served().lastSequence, whole.lastSequence], [before, (await log.state()).last, 0])
  assert.equal(refused, [`${newest}: its hash is not the chain's`])
  assert.equal([...began], [before], 'and nothing of it was told meanwhile')
  assert.not.ok((await list()).includes(newest) && (await read(newest)).standing.length === 0)
  assert.equal([damages, errors], [[], []])
  running.stop()
})
indexing(
  'does not believe one that another cluster sealed, that is of another log, or of before a loss; without any it reads all',
  async () => {
    const { clock, log, start, keyframes, list, read, put, refused, damages, errors } = await lived()
    const kept = await list()
    const [first, second, third] = kept.slice(-3) as [number, number, number]
    await keyframes.put('EVENTS', third, await encodeKeyframe(await read(third), new Seal(new Map([['k1', Buffer.alloc(32, 8)]]))))
    await put({ ...(await read(second)), identity: 'the log before it was restored' })
    await put({ ...(await read(first)), epoch: 3 })
    for (const one of kept.slice(0, -3)) await keyframes.remove('EVENTS', one)
    const { indexing: running, served, whole, reading } = start(true)
    await becomes(clock, 'all are looked at', async () => (await list()).length === 0)
    assert.is(served(), whole)
    assert.equal(
      refused.map((line) => line.replace(/^\d+: /, '')),
      ["it does not have this cluster's seal, or is damaged", 'it is of another log', 'some of the log was lost since']
    )
    assert.equal(await list(), [])
    reading.release()
    await becomes(clock, 'there is a new one', async () => (await list()).length === 1)
    assert.equal([whole.lastSequence, damages, errors], [(await log.state()).last, [], []])
    running.stop()
  }
)
indexing('makes no keyframe of an index that was begun anew meanwhile, nor of what was compacted', async () => {
  const { clock, log } = await lived()
  const store = new MemoryPast('EVENTS', clock)
  store.begin(IDENTITY)
  const taken = [{ entry: (await log.get(1)) as LogEntry, event: true }]
  const puts: number[] = []
  const keyframes: Keyframes = {
    list: async () => [],
    get: async () => undefined,
    put: async (_, sequence) => void puts.push(sequence),
    remove: async () => {}
  }
  const of = (): KeyframeStore => new KeyframeStore({ stream: 'EVENTS', keyframes, seal, clock, onRefused: () => {} })
  const reached = { sequence: 1, chain: { sequence: 1, hash: new Uint8Array(32) } }
  store.take(taken, reached)
  const state = await log.state()
  let asked = 0
  await of().keep({ store, reached, every: 1, state: async () => (asked++ === 0 ? state : { ...state, floor: 2 }) })
  await of().keep({ store, reached: { sequence: 1 }, every: 1, state: async () => state })
  await of().keep({
    store,
    reached,
    every: 1,
    state: async () => {
      if (asked++ === 3) {
        store.clear()
        store.take(taken, reached)
      }
      return state
    }
  })
  assert.equal(puts, [])
  await of().keep({ store, reached, every: 1, state: async () => state })
  assert.equal([puts, asked], [[1], 4])
})
indexing.run()
