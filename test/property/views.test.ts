/**
 * A view that starts from each object's last event is the one that replayed them all, whatever was written, lost or compacted on the way.
 */
import { builtIns } from '#test/support/builtIns.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeEvent } from '#events/Event.ts'
import type { ObjectKey } from '#events/Key.ts'
import { LogMoved, type Append, type Follow } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Ledger } from '#services/platform/ledger/Ledger.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { MemoryLog, type Faults } from '#services/platform/MemoryLog.ts'
import { View } from '#services/platform/View.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const KEYS: readonly ObjectKey[] = ['a', 'b', 'c', 'd', 'e'].flatMap((name) => [
  { group: '', resource: 'pods', namespace: 'default', name },
  { group: 'apps', resource: 'deployments', namespace: 'other', name }
])
const SEAL = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))
const IDENTITY = 'this-log'
/** So that even a short history has places from which a reader goes on. */
const MARK_EVERY = 4

/** One thing that happens to the log. */
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ what: fc.constant('change' as const), key: fc.constantFrom(...KEYS), deleted: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('foreign' as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('compact' as const), key: fc.constantFrom(...KEYS) }) }
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
const stepsBut = (never: Step['what']): typeof step => step.filter(({ what }) => what !== never)

/** Who writes: knows what is there, so that only that is deleted. */
const writer = (log: MemoryLog, sealed: (append: Append) => Append = (append) => append) => {
  const live = new Set<string>()
  let count = 0
  return (one: Step): void => {
    const subject = subjectOf('EVENTS', one.key)
    if (one.what === 'compact') {
      log.raiseFloor(count)
      log.compact()
      return
    }
    count += 1
    if (one.what === 'foreign') return void log.append([{ subject, headers: {}, text: 'nothing of ours' }])
    const deleted = one.deleted && live.has(subject)
    if (deleted) live.delete(subject)
    else live.add(subject)
    const { name, namespace } = one.key
    const object = {
      apiVersion: 'v1',
      kind: 'Thing',
      metadata: { name, namespace, uid: `${name}-${count}`, labels: { round: String(count % 3) } }
    }
    const record = encodeEvent({
      stream: 'EVENTS',
      key: one.key,
      id: `intent-${count}`,
      type: 'reckon.thing.changed.v1',
      source: 'test',
      time: new Date(count).toISOString(),
      user: 'test',
      correlationId: 'root',
      verb: 'update',
      deleted,
      object,
      expected: 0
    })
    void log.append([sealed({ subject, ...record })])
  }
}

/** Everything a reader can see of a view, but for what only who was there can know of deletions before a compaction. */
const seen = ({ objects, floor }: View): unknown => ({
  sequence: objects.sequence,
  heads: KEYS.map((key) => objects.head(key)),
  lists: KEYS.slice(0, 2)
    .map((ref) => objects.collection(ref))
    .map((collection) => ({
      ...(floor > 0 ? {} : { sequence: collection.sequence }),
      texts: collection.list().map(({ text }) => text),
      labelled: ['round=0', 'round=1', 'round=2'].map((value) => [...collection.indexed('label', value)].map(({ id }) => id).sort())
    }))
})

/** Starts a view; one that met a compaction is started again, as a process would be. */
const started = async (clock: VirtualClock, make: () => View): Promise<View> => {
  for (;;) {
    const view = make()
    let outcome: 'ready' | Error | undefined
    view.start().then(
      () => (outcome = 'ready'),
      (error: Error) => (outcome = error)
    )
    while (outcome === undefined) await clock.run(1_000)
    if (outcome === 'ready') return view
    if (!(outcome instanceof LogMoved)) throw outcome
  }
}

const views = suite('a view')
views(
  'from the newest events is the one from all of them, with writes, foreign entries and compactions before and during its start',
  async () => {
    let fewer = 0
    await fc.assert(
      // Of what is not ours a compaction keeps nothing, and the twin knows nothing of seals: not both at once.
      fc.asyncProperty(
        fc
          .constantFrom('foreign' as const, 'compact' as const)
          .chain((never) => fc.tuple(fc.array(stepsBut(never), { maxLength: 60 }), fc.array(stepsBut(never), { maxLength: 12 }))),
        fc.nat(),
        async ([before, during], seed) => {
          const clock = new VirtualClock(seed)
          let quiet = false
          const chance = (part: number) => () => !quiet && clock.random() < part
          const faults: Faults = { deliver: () => clock.random() * 50, skip: chance(0.02), double: chance(0.02), forget: chance(0.05) }
          const log = new MemoryLog('EVENTS', clock, { faults })
          const write = writer(log)
          for (const one of before) write(one)
          for (const [at, one] of during.entries()) clock.after(at * 20, () => write(one))
          let taken = 0
          const counted = {
            ...log.reachedBy(() => false),
            follow: (follow: Follow) =>
              log.follow({ ...follow, onEntries: (entries) => ((taken += entries.length), follow.onEntries(entries)) })
          }
          let moved: Error | undefined
          const make = (): View => {
            const made = new View('EVENTS', counted, clock, { api: builtIns })
            moved = undefined
            made.onFailed = (error) => (moved = error)
            return made
          }
          let view = await started(clock, make)
          if (taken < before.length) fewer += 1
          await clock.run(60_000)
          quiet = true
          // Who was overtaken by a compaction hears of it with the next event, and starts again.
          write({ what: 'change', key: KEYS[0] as ObjectKey, deleted: false })
          await clock.run(60_000)
          if (moved !== undefined) view = await started(clock, make)
          const whole = await started(clock, () => {
            // One that is never told of the newest alone.
            const everything = { ...log.reachedBy(() => false), follow: ({ newestUpTo: _, ...follow }: Follow) => log.follow(follow) }
            return new View('EVENTS', everything, clock, { api: builtIns })
          })
          await clock.run(60_000)
          // What has left the stream since is known to who begins now; who was there is told by an event, which this log has none of.
          void view.look()
          await clock.run(1_000)
          assert.equal(seen(view), seen(whole))
          for (const one of [view, whole]) one.close()
        }
      ),
      { numRuns: 150 }
    )
    assert.ok(fewer > 10, `only ${fewer} of the views read less than everything`)
  }
)
views('that goes on from a remembered place checks what is behind it, and sees what hides behind entries that are not ours', async () => {
  let resumed = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepsBut('compact'), { minLength: 20, maxLength: 80 }),
      fc.array(stepsBut('compact'), { maxLength: 12 }),
      fc.nat(),
      async (before, after, seed) => {
        const clock = new VirtualClock(seed)
        const log = new MemoryLog('EVENTS', clock, { identity: IDENTITY })
        const integrityOn = (ledger: Ledger): Integrity =>
          new Integrity({ seal: SEAL, ledger, whole: true, expires: false, markEvery: MARK_EVERY })
        const ledger = new MemoryLedger('EVENTS', IDENTITY)
        const first = integrityOn(ledger)
        const living = await started(clock, () => new View('EVENTS', log, clock, { api: builtIns, integrity: first }))
        const write = writer(log, (append) => first.seal(append))
        for (const one of before) {
          write(one)
          await clock.run(1)
        }
        living.close()
        // Written by another API server while this one was away.
        for (const one of after) write(one)
        const again = integrityOn(ledger)
        const view = await started(clock, () => new View('EVENTS', log, clock, { api: builtIns, integrity: again }))
        if (again.newestUpTo !== undefined) resumed += 1
        const whole = await started(
          clock,
          () => new View('EVENTS', log, clock, { api: builtIns, integrity: integrityOn(new MemoryLedger('EVENTS', IDENTITY)) })
        )
        assert.equal(seen(view), seen(whole))
        assert.equal(
          [...ledger.marks()].map(({ sequence }) => sequence),
          Array.from({ length: Math.floor((before.length + after.length) / MARK_EVERY) }, (_, at) => (at + 1) * MARK_EVERY)
        )
        for (const one of [view, whole]) one.close()
      }
    ),
    { numRuns: 100 }
  )
  assert.is(resumed, 100)
})
views.run()
