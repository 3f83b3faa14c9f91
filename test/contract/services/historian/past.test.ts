/** What both twins of the index of the past answer: the same as a replay up to the moment, whatever came between. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { forkOf, forksOf } from '#services/historian/schema.ts'
import { SqlitePast } from '#services/historian/SqlitePast.ts'
import { SqliteReader } from '#services/historian/SqliteReader.ts'
import { describing } from '#services/historian/traits.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import type { PastIndex, PastStore, Taken } from '#services/platform/past/PastIndex.ts'
import { builtIns } from '#test/support/builtIns.ts'

const REFS: readonly ResourceRef[] = [
  { group: '', resource: 'pods' },
  { group: 'apps', resource: 'deployments' }
]
const NAMES = ['a', 'b', 'a-b']
const NAMESPACES = ['default', 'other']

interface Step {
  readonly ref: ResourceRef
  readonly namespace: string
  readonly name: string
  readonly deleted: boolean
  /** Sequences that are lost, before this one. */
  readonly gap: number
  /** Milliseconds since the one before; a clock may step back. */
  readonly later: number
  readonly event: boolean
}
const step: fc.Arbitrary<Step> = fc.record({
  ref: fc.constantFrom(...REFS),
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom(...NAMES),
  deleted: fc.boolean(),
  gap: fc.integer({ min: 1, max: 3 }),
  later: fc.integer({ min: -2, max: 3 }),
  event: fc.integer({ min: 0, max: 9 }).map((n) => n > 0)
})
const script = fc.array(step, { minLength: 1, maxLength: 60 })

const takenOf = (steps: readonly Step[]): readonly Taken[] => {
  let [sequence, time] = [0, 1_000_000]
  return steps.map(({ ref, namespace, name, deleted, gap, later, event }) => {
    sequence += gap
    time += later
    const entry: LogEntry = {
      subject: subjectOf('EVENTS', { ...ref, namespace, name }),
      sequence,
      time: 5,
      headers: { 'ce-time': new Date(time).toISOString(), ...(deleted ? { 'reckon-deleted': 'true' } : {}) },
      text: ''
    }
    return { entry, event }
  })
}

/** What a person would find by reading the entries up to a sequence, one after another. */
class Replay {
  readonly taken: readonly Taken[]
  constructor(taken: readonly Taken[]) {
    this.taken = taken
  }
  live(ref: ResourceRef, sequence: number, namespace?: string): { id: string; sequence: number }[] {
    const found = new Map<string, number>()
    for (const { entry, event } of this.taken) {
      if (!event || entry.sequence > sequence) continue
      for (const ns of NAMESPACES)
        for (const name of NAMES) {
          if (entry.subject !== subjectOf('EVENTS', { ...ref, namespace: ns, name }) || (namespace !== undefined && ns !== namespace))
            continue
          if (entry.headers['reckon-deleted'] === 'true') found.delete(`${ns}/${name}`)
          else found.set(`${ns}/${name}`, entry.sequence)
        }
    }
    return [...found].map(([id, at]) => ({ id, sequence: at })).sort((a, b) => (a.id < b.id ? -1 : 1))
  }
  /** When it was by then: clocks do not go back. */
  timeOf(sequence: number): number | undefined {
    const times = this.taken
      .filter(({ entry }) => entry.sequence <= sequence)
      .map(({ entry }) => Date.parse(entry.headers['ce-time'] as string))
    return times.length === 0 ? undefined : Math.max(...times)
  }
  sequenceAt(time: number): number {
    return this.taken.filter(({ entry }) => (this.timeOf(entry.sequence) as number) <= time).at(-1)?.entry.sequence ?? 0
  }
}

const feed = (store: PastStore, taken: readonly Taken[], batch: number): void => {
  for (let at = 0; at < taken.length; at += batch) {
    const some = taken.slice(at, at + batch)
    store.take(some, {
      sequence: some.at(-1)?.entry.sequence ?? 0,
      chain: { sequence: some.at(-1)?.entry.sequence ?? 0, hash: new Uint8Array(32).fill(at % 256) }
    })
  }
}
const trimmed = (store: PastStore): void => {
  while (store.trim());
}

const agrees = async (index: PastIndex, replay: Replay, from: number, to: number): Promise<void> => {
  for (let sequence = from; sequence <= to; sequence++) {
    for (const ref of REFS) {
      const expected = replay.live(ref, sequence)
      assert.equal(await index.liveAt(ref, sequence), expected, `${ref.resource} at ${sequence}`)
      assert.equal(await index.liveAt(ref, sequence, 'other'), replay.live(ref, sequence, 'other'))
      for (const id of ['default/a', 'other/a-b'])
        assert.is(index.versionAt(ref, id, sequence), expected.find((one) => one.id === id)?.sequence, `${id} at ${sequence}`)
    }
    assert.is(index.timeOf(sequence), replay.timeOf(sequence), `time of ${sequence}`)
  }
}

interface Twin {
  readonly store: PastStore
  /** As after kill -9: opened again from what is there, or the same where nothing outlives a process. */
  again(): PastStore
  close(): void
}

const memory = (): Twin => {
  const store = new MemoryPast('EVENTS', systemClock)
  return { store, again: () => store, close: () => {} }
}
const disk = (): Twin => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-past-'))
  const made = [new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))]
  return {
    store: made[0] as PastStore,
    again: () => {
      const next = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
      made.push(next)
      return next
    },
    close: () => {
      for (const one of made) one.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

const within = async (open: () => Twin, work: (twin: Twin) => Promise<void>): Promise<void> => {
  const twin = open()
  try {
    await work(twin)
  } finally {
    twin.close()
  }
}

for (const [name, open] of [
  ['in memory', memory],
  ['on disk', disk]
] as const) {
  const past = suite(`the index of the past ${name}`)

  past('shows at each moment what a replay up to it shows, however it was fed, and again after its process', () =>
    fc.assert(
      fc.asyncProperty(script, fc.integer({ min: 1, max: 9 }), (steps, batch) =>
        within(open, async (twin) => {
          const taken = takenOf(steps)
          const replay = new Replay(taken)
          const last = taken.at(-1)?.entry.sequence as number
          assert.equal(twin.store.begin('id').sequence, 0)
          feed(twin.store, taken, batch)
          // What comes again changes nothing.
          feed(twin.store, taken.slice(-5), batch)
          for (const store of [twin.store, twin.again()]) {
            assert.is(store.begin('id').sequence, last)
            await agrees(store, replay, 1, last)
            for (let time = 999_980; time < 1_000_200; time += 3) assert.is(store.sequenceAt(time), replay.sequenceAt(time), `at ${time}`)
          }
        })
      ),
      { numRuns: 40 }
    )
  )
  past('that begins at a keyframe shows what the whole one does, from there on, and says where it begins', () =>
    fc.assert(
      fc.asyncProperty(script, fc.nat(100), fc.integer({ min: 1, max: 9 }), (steps, at, batch) =>
        within(open, async ({ store, again }) => {
          const taken = takenOf(steps)
          const replay = new Replay(taken)
          const last = taken.at(-1)?.entry.sequence as number
          const sequence = taken[at % taken.length]?.entry.sequence as number
          const time = replay.timeOf(sequence) as number
          const whole = open()
          whole.store.begin('id')
          feed(whole.store, taken, batch)
          const standing = await whole.store.standingAt(sequence)
          whole.close()
          assert.equal(
            standing.map(({ collection, id, version }) => `${collection} ${id} ${version}`).sort(),
            REFS.flatMap((ref) =>
              replay.live(ref, sequence).map(({ id, sequence: version }) => `${resourceId(ref)} ${id} ${version}`)
            ).sort()
          )
          store.begin('id')
          const hash = new Uint8Array(32).fill(7)
          store.seed({ sequence, hash, time, standing })
          assert.equal(store.begin('id'), { sequence, chain: { sequence, hash } })
          feed(
            store,
            taken.filter(({ entry }) => entry.sequence > sequence),
            batch
          )
          for (const index of [store, again()]) {
            assert.equal([index.begin('id').sequence, index.begins, index.firstTime], [last, sequence, time])
            await agrees(index, replay, sequence, last)
            for (let moment = time; moment < time + 200; moment += 3)
              assert.is(index.sequenceAt(moment), replay.sequenceAt(moment), `at ${moment}`)
          }
          const { making } = store
          store.clear()
          assert.equal([store.begins, store.lastSequence, store.making === making], [0, 0, false])
        })
      ),
      { numRuns: 30 }
    )
  )
  past('of compacted history shows the floor and what is behind it, also half-way through giving back room', () =>
    fc.assert(
      fc.asyncProperty(script, fc.nat(100), fc.boolean(), (steps, at, slices) =>
        within(open, async ({ store, again }) => {
          const taken = takenOf(steps)
          const replay = new Replay(taken)
          const last = taken.at(-1)?.entry.sequence as number
          const floor = 1 + (at % last)
          const time = replay.timeOf(floor)
          if (time === undefined) return
          store.begin('id')
          feed(store, taken, 7)
          store.raise(floor, time)
          if (slices) trimmed(store)
          assert.equal([store.floor, store.firstTime], [floor, time])
          await agrees(store, replay, floor, last)
          const reopened = again()
          reopened.begin('id')
          trimmed(reopened)
          assert.is(reopened.floor, floor)
          await agrees(reopened, replay, floor, last)
          for (let moment = time; moment < 1_000_200; moment += 3)
            assert.is(Math.max(reopened.sequenceAt(moment), floor), Math.max(replay.sequenceAt(moment), floor), `at ${moment}`)
          const more = takenOf([...steps, ...steps]).slice(steps.length)
          feed(reopened, more, 3)
          await agrees(reopened, new Replay([...taken, ...more]), floor, more.at(-1)?.entry.sequence as number)
        })
      ),
      { numRuns: 40 }
    )
  )
  past('of a stream whose entries expire shows what is left', () =>
    within(open, async ({ store }) => {
      const steps = ['a', 'b', 'a', 'a-b', 'b'].map((of, at): Step => ({
        ref: REFS[0] as ResourceRef,
        namespace: 'default',
        name: of,
        deleted: at === 4,
        gap: 1,
        later: 1,
        event: true
      }))
      store.begin('id')
      feed(store, takenOf(steps), 2)
      store.expire(3)
      trimmed(store)
      const at = async (sequence: number): Promise<string[]> =>
        (await store.liveAt(REFS[0] as ResourceRef, sequence)).map(({ id, sequence: version }) => `${id}@${version}`)
      assert.equal(
        [await at(2), await at(3), await at(4), await at(5)],
        [[], ['default/a@3'], ['default/a@3', 'default/a-b@4'], ['default/a@3', 'default/a-b@4']]
      )
      assert.is(store.firstTime, 1_000_003)
      store.expire(5)
      trimmed(store)
      assert.equal(await at(5), [])
    })
  )
  past('knows a deletion since, and none before', () =>
    within(open, async ({ store }) => {
      const of = (deleted: boolean): Step => ({
        ref: REFS[0] as ResourceRef,
        namespace: 'default',
        name: 'a',
        deleted,
        gap: 1,
        later: 1,
        event: true
      })
      store.begin('id')
      feed(store, takenOf([of(false), of(true), of(false), of(false)]), 1)
      assert.equal(
        [0, 1, 2, 3, 4].map((sequence) => store.deletedSince(REFS[0] as ResourceRef, 'default/a', sequence)),
        [true, true, false, false, false]
      )
      assert.is(store.deletedSince(REFS[0] as ResourceRef, 'default/b', 0), false)
    })
  )
  past('of another stream is dropped, and who waits for it is told when it is there', () =>
    within(open, async ({ store, again }) => {
      const taken = takenOf(
        Array.from({ length: 5 }, (): Step => ({
          ref: REFS[0] as ResourceRef,
          namespace: 'default',
          name: 'a',
          deleted: false,
          gap: 1,
          later: 1,
          event: true
        }))
      )
      store.begin('one')
      assert.is(await store.reaches(1, 1), false)
      const waiting = store.reaches(5, 5_000)
      feed(store, taken, 2)
      assert.is(await waiting, true)
      const other = again()
      assert.is(other.begin('two').sequence, 0)
      assert.equal(
        [other.lastSequence, other.versionAt(REFS[0] as ResourceRef, 'default/a', 5), other.firstTime],
        [0, undefined, undefined]
      )
    })
  )
  past.run()
}

const files = suite('the index on disk')
const some = takenOf(
  Array.from({ length: 50 }, (_, at): Step => ({
    ref: REFS[0] as ResourceRef,
    namespace: 'default',
    name: NAMES[at % 3] as string,
    deleted: at % 7 === 6,
    gap: 1,
    later: 1,
    event: true
  }))
)
const folderOf = (): string => mkdtempSync(join(tmpdir(), 'reckon-past-'))

files("is its owner's alone", () => {
  const folder = join(folderOf(), 'history')
  const store = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
  store.begin('id')
  feed(store, some, 10)
  assert.is(statSync(folder).mode & 0o777, 0o700)
  const found = readdirSync(folder)
  assert.ok(found.length > 1)
  for (const file of found) assert.is(statSync(join(folder, file)).mode & 0o777, 0o600, file)
  store.close()
  rmSync(folder, { recursive: true })
})
files('that is damaged is made anew, for its writer and for who reads it meanwhile', async () => {
  for (const damage of ['garbage', 'zeroes in the middle', 'gone'] as const) {
    const folder = folderOf()
    const store = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
    store.begin('id')
    feed(store, some, 10)
    store.close()
    const [file] = readdirSync(folder).filter((name) => name.endsWith('.sqlite'))
    const path = join(folder, file as string)
    if (damage === 'gone') rmSync(path)
    else if (damage === 'garbage') writeFileSync(path, Buffer.alloc(8192, 7))
    else {
      const { size } = statSync(path)
      writeFileSync(path, Buffer.alloc(size - 4096, 9), { flag: 'r+', flush: true })
    }
    let told = 0
    const reader = new SqliteReader('EVENTS', systemClock, () => (told += 1))
    assert.is(reader.lastSequence, 0, 'what nobody vouches for is not looked at')
    reader.reached(50, path)
    assert.equal([reader.lastSequence, reader.versionAt(REFS[0] as ResourceRef, 'default/a', 50)], [0, undefined], damage)
    assert.is(told > 0, damage !== 'gone', damage)
    const next = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
    assert.is(next.begin('id').sequence, 0, damage)
    feed(next, some, 10)
    reader.reached(50, next.file)
    assert.is(reader.lastSequence, 50, 'a reader goes over to what is made anew')
    await agrees(reader, new Replay(some), 1, 50)
    reader.close()
    next.close()
    rmSync(folder, { recursive: true })
  }
})
files('that is begun anew while a long list is read gives the list of the new one, or none', async () => {
  const folder = folderOf()
  const many = takenOf(
    Array.from({ length: 4_500 }, (_, at): Step => ({
      ref: REFS[0] as ResourceRef,
      namespace: 'default',
      name: `n${at}`,
      deleted: false,
      gap: 1,
      later: 1,
      event: true
    }))
  )
  const filled = (): SqlitePast => {
    const store = new SqlitePast(folderOf(), 'EVENTS', systemClock, describing(builtIns))
    store.begin('id')
    feed(store, many, 1_000)
    return store
  }
  const [first, second] = [filled(), filled()]
  const reader = new SqliteReader('EVENTS', systemClock, () => {})
  reader.reached(4_500, first.file)
  const over = reader.liveAt(REFS[0] as ResourceRef, 4_500)
  reader.reached(4_500, second.file)
  assert.is((await over).length, 4_500)
  const none = reader.liveAt(REFS[0] as ResourceRef, 4_500)
  const empty = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
  empty.begin('id')
  reader.reached(0, empty.file)
  assert.equal([await none, reader.lastSequence], [[], 0], 'and who asked sees that it knows nothing')
  for (const store of [reader, first, second, empty]) store.close()
  rmSync(folder, { recursive: true })
})
files('that breaks off within a batch stands where the batch before ended', () => {
  const folder = folderOf()
  const store = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
  store.begin('id')
  feed(store, some.slice(0, 20), 10)
  const bad = { ...(some[25] as Taken), entry: { ...(some[25] as Taken).entry, sequence: Number.NaN } }
  assert.throws(() => store.take([...some.slice(20, 25), bad], { sequence: 26 }))
  const { sequence } = store.begin('id')
  assert.is(sequence, 20)
  assert.is(store.lastSequence, 20)
  feed(store, some.slice(20), 10)
  assert.is(store.lastSequence, 50)
  store.close()
  rmSync(folder, { recursive: true })
})
files('files an interval under one number, which every moment of it looks at, and no other does more than it must', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 48 }),
      fc.integer({ min: 0, max: 2 ** 20 }),
      fc.integer({ min: 0, max: 2 ** 20 }),
      (born, length, offset) => {
        const last = born + length
        const fork = forkOf(born, last)
        assert.ok(fork >= born && fork <= last)
        const moment = Math.min(last, born + offset)
        const forks = forksOf(moment, last + 5)
        assert.ok(forks.includes(fork), `${born}…${last} under ${fork}, ${moment} looks at ${forks.join()}`)
        assert.ok(forks.length <= 50)
      }
    )
  )
})
files.run()
