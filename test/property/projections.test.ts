/** The folds: a replay equals living through it, an event twice changes nothing, and a window agrees with the whole list. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFacts, encodeEvent } from '#events/Event.ts'
import type { LogEntry } from '#events/Log.ts'
import { objectId, resourceId, type ResourceRef } from '#events/Key.ts'
import { subjectOf } from '#events/Subject.ts'
import { Base } from '#projections/Base.ts'
import { History } from '#projections/History.ts'
import { Objects, type Change } from '#projections/Objects.ts'
import { Sorted } from '#projections/Sorted.ts'
import { Window } from '#projections/Window.ts'
import { sha256 } from '#services/platform/ledger/Seal.ts'
import { builtIns } from '#test/support/builtIns.ts'

const REFS: readonly ResourceRef[] = [
  { group: '', resource: 'pods' },
  { group: '', resource: 'services' },
  { group: 'apps', resource: 'deployments' }
]
const LABELS = ['app=a', 'app=b', 'tier=front']

/** One change: which object, what it becomes, or that it goes. */
const step = fc.record({
  ref: fc.constantFrom(...REFS),
  namespace: fc.constantFrom('default', 'other'),
  name: fc.constantFrom('a', 'b', 'a-b'),
  deleted: fc.boolean(),
  labels: fc.subarray(LABELS),
  node: fc.constantFrom('', 'n1', 'n2'),
  owner: fc.constantFrom(undefined, 'u1', 'u2'),
  /** Sequences of one stream may have holes: subjects this fold does not read. */
  gap: fc.integer({ min: 1, max: 3 })
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
const script = fc.array(step, { maxLength: 60 })

const entriesOf = (steps: readonly Step[]): readonly LogEntry[] => {
  const heads = new Map<string, number>()
  let sequence = 0
  const live = new Set<string>()
  return steps.map(({ ref, namespace, name, deleted: wanted, labels, node, owner, gap }) => {
    sequence += gap
    const key = { ...ref, namespace, name }
    const subject = subjectOf('EVENTS', key)
    const expected = heads.get(subject) ?? 0
    heads.set(subject, sequence)
    // Only what is there can go: the decider refuses the rest.
    const deleted = wanted && live.has(subject)
    if (deleted) live.delete(subject)
    else live.add(subject)
    const { headers, text } = encodeEvent({
      stream: 'EVENTS',
      key,
      deleted,
      expected,
      id: `intent-${sequence}`,
      type: 'reckon.thing.changed.v1',
      source: 'test',
      time: new Date(1_000 * sequence).toISOString(),
      user: 'test',
      correlationId: 'root',
      verb: 'update',
      object: {
        apiVersion: 'v1',
        kind: 'Thing',
        metadata: {
          name,
          namespace,
          uid: `${name}-${sequence}`,
          labels: Object.fromEntries(labels.map((pair) => pair.split('=') as [string, string])),
          ...(owner === undefined ? {} : { ownerReferences: [{ apiVersion: 'v1', kind: 'Thing', name: 'owner', uid: owner }] })
        },
        spec: { nodeName: node }
      }
    })
    return { subject, headers, text, sequence, time: 1_000 * sequence }
  })
}

const put = (objects: Objects, entry: LogEntry): Change | undefined => objects.apply(decodeFacts('EVENTS', entry), entry.text)

/** Everything that readers can ask of the objects. */
const shown = (objects: Objects): unknown => ({
  sequence: objects.sequence,
  collections: REFS.map((ref) => {
    const collection = objects.collection(ref)
    const ids = (entries: Iterable<{ id: string }>): string[] => [...entries].map(({ id }) => id).sort()
    return {
      sequence: collection.sequence,
      size: collection.size,
      all: collection.list().map(({ id, sequence, object, text }) => ({ id, sequence, object, text })),
      spaces: ['default', 'other'].map((namespace) => collection.list(namespace).map(({ id }) => id)),
      labels: LABELS.map((pair) => ids(collection.indexed('label', pair))),
      owners: ['u1', 'u2'].map((uid) => ids(collection.indexed('owner', uid))),
      nodes: ['n1', 'n2'].map((node) => ids(collection.indexed('node', node))),
      heads: ['default', 'other'].flatMap((namespace) => ['a', 'b', 'a-b'].map((name) => objects.head({ ...ref, namespace, name })))
    }
  })
})

const projections = suite('projections')

projections('objects: loading a log gives what living through it gave, wherever it was cut', () => {
  fc.assert(
    fc.property(script, fc.nat(), (steps, cut) => {
      const entries = entriesOf(steps)
      const lived = new Objects(builtIns)
      // Reading between the events must not change what comes of them: lists are cached.
      for (const entry of entries) {
        put(lived, entry)
        lived.collection(REFS[0] as ResourceRef).list()
      }
      const loaded = new Objects(builtIns)
      const at = entries.length === 0 ? 0 : cut % (entries.length + 1)
      loaded.beginLoad()
      for (const entry of entries.slice(0, at)) put(loaded, entry)
      loaded.endLoad()
      for (const entry of entries.slice(at)) put(loaded, entry)
      assert.equal(shown(loaded), shown(lived))
    })
  )
})

projections('objects: what came before changes nothing when it comes again', () => {
  fc.assert(
    fc.property(script, fc.array(fc.nat(), { maxLength: 20 }), (steps, again) => {
      const entries = entriesOf(steps)
      const once = new Objects(builtIns)
      const twice = new Objects(builtIns)
      entries.forEach((entry, at) => {
        put(once, entry)
        put(twice, entry)
        for (const n of again) assert.is(put(twice, entries[n % (at + 1)] as LogEntry), undefined)
      })
      assert.equal(shown(twice), shown(once))
    })
  )
})

projections('objects: changes tell the state before and after, and are the last events of their subjects', () => {
  fc.assert(
    fc.property(script, (steps) => {
      const objects = new Objects(builtIns)
      const model = new Map<string, number>()
      for (const entry of entriesOf(steps)) {
        const facts = decodeFacts('EVENTS', entry)
        const before = model.get(entry.subject)
        if (facts.deleted) model.delete(entry.subject)
        else model.set(entry.subject, entry.sequence)
        const change = put(objects, entry)
        assert.is(change?.type, facts.deleted ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED')
        assert.is(change?.previous?.sequence, change === undefined ? undefined : before)
        assert.is(objects.get(facts.key)?.sequence, model.get(entry.subject))
        assert.is(objects.head(facts.key), entry.sequence)
      }
    })
  )
})

projections('a window gives exactly the later changes of a collection, in parts, or says that it can not', () => {
  fc.assert(
    fc.property(
      script,
      fc.integer({ min: 2, max: 12 }),
      fc.integer({ min: 1_500, max: 20_000 }),
      fc.integer({ min: 1, max: 5_000 }),
      (steps, capacity, bytes, part) => {
        const objects = new Objects(builtIns)
        const window = new Window({ changes: capacity, bytes })
        const all: Change[] = []
        for (const entry of entriesOf(steps)) {
          const change = put(objects, entry)
          if (change === undefined) continue
          all.push(change)
          window.push(change)
          assert.ok(window.bytes <= bytes, `${window.bytes} bytes where ${bytes} are allowed`)
        }
        const since = (ref: (typeof REFS)[number], from: number): Change[] | undefined => {
          const found: Change[] = []
          for (let position = from; ;) {
            const recent = window.since(ref, position, part)
            if (recent === undefined) return undefined
            found.push(...recent.changes)
            if (recent.last) return found
            assert.ok(recent.upTo > position, 'a part gets on')
            position = recent.upTo
          }
        }
        for (let from = 0; from <= objects.sequence; from++)
          for (const ref of REFS) {
            const wanted = all.filter(({ entry }) => entry.sequence > from && resourceId(entry.key) === resourceId(ref))
            assert.equal(
              since(ref, from)?.map(({ entry }) => entry.sequence),
              from < window.floor ? undefined : wanted.map(({ entry }) => entry.sequence)
            )
          }
        // Bounded, and full of use: one more change would be too many, or too much.
        const kept = all.filter(({ entry }) => entry.sequence > window.floor)
        const next = all.at(-1 - kept.length)
        if (next !== undefined) assert.ok(kept.length === capacity || window.bytes + next.entry.bytes > bytes)
      }
    )
  )
})

projections('a sorted collection is what sorting gives, and a snapshot of it never changes', () => {
  const name = fc.tuple(fc.constantFrom('', 'a', 'ab', 'b'), fc.integer({ min: 0, max: 400 })).map(([namespace, n]) => `${namespace}/${n}`)
  fc.assert(
    fc.property(fc.array(fc.record({ id: name, gone: fc.boolean(), look: fc.boolean() }), { maxLength: 1_500, size: 'max' }), (steps) => {
      const sorted = new Sorted<{ readonly id: string; readonly at: number }>()
      const model = new Map<string, { readonly id: string; readonly at: number }>()
      const expected = (): { readonly id: string; readonly at: number }[] => [...model.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      const seen: { snapshot: ReturnType<typeof sorted.snapshot>; was: ReturnType<typeof expected> }[] = []
      for (const [at, { id, gone, look }] of steps.entries()) {
        if (gone) {
          sorted.remove(id)
          model.delete(id)
        } else {
          sorted.put({ id, at })
          model.set(id, { id, at })
        }
        if (look && at % 100 === 0) seen.push({ snapshot: sorted.snapshot(), was: expected() })
      }
      seen.push({ snapshot: sorted.snapshot(), was: expected() })
      for (const { snapshot, was } of seen) {
        assert.equal(snapshot.toArray(), was)
        assert.equal(
          Array.from({ length: snapshot.size }, (_, at) => snapshot.at(at)),
          was
        )
        const within = snapshot.within('a')
        assert.equal(
          within.toArray(),
          was.filter(({ id }) => id.startsWith('a/'))
        )
        assert.is(within.size, within.toArray().length)
        assert.is(snapshot.lowerBound('a/2'), was.filter(({ id }) => id < 'a/2').length)
      }
      const filled = new Sorted<{ readonly id: string; readonly at: number }>()
      filled.fill([...model.values()])
      assert.equal(filled.snapshot().toArray(), expected())
    }),
    { numRuns: 30 }
  )
})

projections('history: each moment shows what a replay up to it shows', () => {
  fc.assert(
    fc.property(script, (steps) => {
      const entries = entriesOf(steps)
      const history = new History('EVENTS')
      for (const entry of entries) {
        history.apply(entry)
        history.apply(entry)
      }
      const objects = new Objects(builtIns)
      const last = entries.at(-1)?.sequence ?? 0
      for (let sequence = 0, next = 0; sequence <= last; sequence++) {
        for (; next < entries.length && (entries[next] as LogEntry).sequence <= sequence; next++) put(objects, entries[next] as LogEntry)
        for (const ref of REFS) {
          const live = objects.collection(ref).list()
          assert.equal(
            history.liveAt(ref, sequence),
            live.map(({ id, sequence: at }) => ({ id, sequence: at }))
          )
          assert.equal(
            history.liveAt(ref, sequence, 'other').map(({ id }) => id),
            objects
              .collection(ref)
              .list('other')
              .map(({ id }) => id)
          )
          assert.is(
            history.versionAt(ref, objectId('default', 'a'), sequence),
            objects.get({ ...ref, namespace: 'default', name: 'a' })?.sequence
          )
        }
        assert.is(history.sequenceAt(1_000 * sequence), entries.filter((entry) => entry.sequence <= sequence).at(-1)?.sequence ?? 0)
      }
    })
  )
})

projections.run()

const historyOf = (entries: readonly LogEntry[]): History => {
  const history = new History('EVENTS')
  for (const entry of entries) history.apply(entry)
  return history
}

const compactions = suite('compaction')
compactions('of history changes nothing that is read at the floor or later, and what is kept comes to the same before and after', () => {
  fc.assert(
    fc.property(script, fc.nat(200), (steps, at) => {
      const entries = entriesOf(steps)
      const last = entries.at(-1)?.sequence ?? 0
      const floor = last === 0 ? 0 : at % (last + 1)
      const keptOf = (list: readonly LogEntry[]): Base => {
        const base = new Base()
        for (const { subject, sequence, headers, text } of list)
          if (sequence <= floor) base.take(subject, sequence, sha256(Buffer.from(text)), headers['reckon-deleted'] === 'true')
        return base
      }
      const whole = keptOf(entries)
      // As it is afterwards, and as it may be in the middle of it.
      const left = entries.filter(({ subject, sequence }) => sequence > floor || whole.sequenceOf(subject) === sequence)
      const some = entries.filter(({ subject, sequence }) => sequence > floor / 2 || whole.sequenceOf(subject) === sequence)
      for (const list of [left, some]) assert.equal(keptOf(list).digest(sha256), whole.digest(sha256))
      assert.is(whole.entries, left.filter(({ sequence }) => sequence <= floor).length)
      const full = historyOf(entries)
      const time = full.timeOf(floor) ?? 0
      const compacted = [historyOf(entries), historyOf(left), historyOf(some)]
      for (const history of compacted) history.raise(floor, time)
      for (const history of compacted) {
        assert.is(history.lastSequence, Math.max(full.lastSequence, floor))
        for (let sequence = Math.max(1, floor); sequence <= last; sequence++)
          for (const ref of REFS)
            assert.equal(history.liveAt(ref, sequence), full.liveAt(ref, sequence), `${resourceId(ref)} at ${sequence}, floor ${floor}`)
        if (floor === 0) continue
        assert.is(history.firstTime, time)
        for (let moment = time; moment <= 1_000 * (last + 1); moment += 500)
          assert.is(Math.max(history.sequenceAt(moment), floor), Math.max(full.sequenceAt(moment), floor), `at ${moment}, floor ${floor}`)
      }
    })
  )
})
compactions('finds a kept version that is missing, other, or of another place', () => {
  const digest = (text: string): Uint8Array => sha256(Buffer.from(text))
  const baseOf = (...versions: readonly (readonly [string, number, string])[]): string => {
    const base = new Base()
    for (const [subject, sequence, text] of versions) base.take(subject, sequence, digest(text), false)
    return Buffer.from(base.digest(sha256)).toString('hex')
  }
  const whole = baseOf(['a', 1, 'x'], ['b', 2, 'y'], ['c', 5, 'z'])
  for (const other of [
    baseOf(['a', 1, 'x'], ['b', 2, 'y']),
    baseOf(['a', 1, 'x'], ['b', 2, 'x'], ['c', 5, 'z']),
    baseOf(['a', 1, 'x'], ['b', 3, 'y'], ['c', 5, 'z']),
    baseOf()
  ])
    assert.is.not(other, whole)
  assert.is(baseOf(['c', 1, 'old'], ['a', 1, 'x'], ['b', 2, 'y'], ['c', 5, 'z']), whole)
})
compactions.run()
