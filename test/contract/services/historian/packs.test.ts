/** What the index on disk has besides places: the entries themselves, and what lists are narrowed by. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { PACK_BYTES } from '#services/historian/pack.ts'
import { SqlitePast } from '#services/historian/SqlitePast.ts'
import { SqliteReader } from '#services/historian/SqliteReader.ts'
import { describing } from '#services/historian/traits.ts'
import { systemClock } from '#services/platform/Clock.ts'
import type { PastStore, Taken, Traits } from '#services/platform/past/PastIndex.ts'
import { builtIns } from '#test/support/builtIns.ts'

const PODS = { group: '', resource: 'pods' }
const OBJECTS = 40

/** Bodies of some hundred bytes to some ten KiB, with characters of all widths. */
const entryOf = (sequence: number, object: number, deleted = false): LogEntry => ({
  subject: subjectOf('EVENTS', { ...PODS, namespace: `ns-${object % 2}`, name: `pod-${object}` }),
  sequence,
  time: 1_000 + sequence,
  headers: {
    'ce-time': new Date(1_000_000 + sequence).toISOString(),
    'reckon-mac': `k:${sequence}`,
    ...(deleted ? { 'reckon-deleted': 'true' } : {})
  },
  text: JSON.stringify({
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      name: `pod-${object}`,
      namespace: `ns-${object % 2}`,
      labels: { app: `app-${object % 4}`, round: String(Math.floor(sequence / OBJECTS)) },
      annotations: { note: 'ö漢💾\n'.repeat(sequence % 97 === 0 ? 2_000 : object) }
    },
    spec: { nodeName: `node-${object % 5}` },
    status: { phase: sequence % 3 === 0 ? 'Pending' : 'Running', podIP: `10.0.0.${sequence % 250}` }
  })
})
/** Each object in its turn; one in eleven goes. */
const taken = Array.from({ length: 1_200 }, (_, at): Taken => {
  const sequence = at + 1
  return { entry: entryOf(sequence, at % OBJECTS, sequence % 11 === 0), event: sequence % 50 !== 0 }
})
const feed = (store: PastStore, some: readonly Taken[], batch: number): void => {
  for (let at = 0; at < some.length; at += batch) {
    const step = some.slice(at, at + batch)
    store.take(step, { sequence: step.at(-1)?.entry.sequence as number })
  }
}

const within = async (work: (open: () => SqlitePast) => Promise<void> | void): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'reckon-packs-'))
  const made: SqlitePast[] = []
  const open = (): SqlitePast => {
    for (const one of made.splice(0)) one.close()
    const store = new SqlitePast(folder, 'EVENTS', systemClock, describing(builtIns))
    made.push(store)
    return store
  }
  try {
    await work(open)
  } finally {
    for (const one of made) one.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
const readerOf = (store: SqlitePast): SqliteReader => {
  const reader = new SqliteReader('EVENTS', systemClock, () => assert.unreachable('it can be read'))
  reader.reached(store.lastSequence, store.file)
  return reader
}
const packsIn = (file: string): number => {
  const database = new DatabaseSync(file, { readOnly: true })
  const { packs } = database.prepare('SELECT count(*) AS packs FROM pack').get() as { packs: number }
  database.close()
  return packs
}

const packs = suite('entries beside the index of the past')

packs('are read as they were followed, however they came, while more come and after the process', () =>
  fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 1_200 }), (batch, cut) =>
      within((open) => {
        let store = open()
        store.begin('id')
        feed(store, taken.slice(0, cut), batch)
        store = open()
        assert.is(store.begin('id').sequence, cut)
        feed(store, taken.slice(cut), batch)
        const reader = readerOf(store)
        for (const { entry, event } of taken) assert.equal(reader.entryAt(entry.sequence), event ? entry : undefined, `${entry.sequence}`)
        assert.is(reader.entryAt(9_999), undefined)
        assert.ok(packsIn(store.file) > 10, 'what is written one by one is packed in the end')
        reader.close()
      })
    ),
    { numRuns: 8 }
  )
)
packs('that came in a step that was taken back are not among them, and those that came before are', () =>
  within((open) => {
    const store = open()
    store.begin('id')
    feed(store, taken.slice(0, 100), 7)
    const bad = { entry: { ...entryOf(140, 3), sequence: Number.NaN }, event: true }
    assert.throws(() => store.take([...taken.slice(100, 130), bad], { sequence: 140 }))
    assert.is(store.begin('id').sequence, 100)
    feed(store, taken.slice(100, 105), 1)
    const reader = readerOf(store)
    for (const { entry, event } of taken.slice(0, 105)) assert.equal(reader.entryAt(entry.sequence), event ? entry : undefined)
    assert.is(reader.entryAt(110), undefined)
    reader.close()
  })
)
packs('below the floor go with their versions; what an object was there stays, and finds its room again', () =>
  within(async (open) => {
    const store = open()
    store.begin('id')
    feed(store, taken, 100)
    const before = packsIn(store.file)
    const floor = 1_000
    const standing = new Set((await store.liveAt(PODS, floor)).map(({ sequence }) => sequence))
    store.raise(floor, 1_000_000 + floor)
    while (store.trim());
    const reader = readerOf(store)
    const behind = Math.max(...taken.filter(({ entry }) => entry.text.length > PACK_BYTES).map(({ entry }) => entry.sequence), floor)
    for (const { entry, event } of taken) {
      if (entry.sequence > behind || standing.has(entry.sequence))
        assert.equal(reader.entryAt(entry.sequence), event ? entry : undefined, `${entry.sequence}`)
      else if (entry.sequence < 900) assert.is(reader.entryAt(entry.sequence), undefined, `${entry.sequence}`)
    }
    assert.ok(packsIn(store.file) < before / 2, `${packsIn(store.file)} of ${before}`)
    // The next floor looks at what was left by this one again.
    const [left] = [...standing].sort((a, b) => a - b) as [number]
    store.raise(1_150, 1_000_000 + 1_150)
    while (store.trim());
    assert.is(reader.entryAt(left), undefined)
    for (const { sequence } of await store.liveAt(PODS, 1_150)) assert.is(reader.entryAt(sequence)?.sequence, sequence)
    reader.close()
  })
)
packs('that have rotted are as if they were not there', () =>
  within((open) => {
    const store = open()
    store.begin('id')
    feed(store, taken, 100)
    const database = new DatabaseSync(store.file)
    database.exec("UPDATE pack SET data = CAST('rot' AS BLOB) WHERE last = (SELECT min(last) FROM pack)")
    database.close()
    const reader = readerOf(store)
    assert.equal([reader.entryAt(1), reader.entryAt(1_101)], [undefined, taken[1_100]?.entry])
    reader.close()
  })
)
packs('of a stream that forgets go when they have left it', () =>
  within((open) => {
    const store = open()
    store.begin('id')
    feed(store, taken, 100)
    store.expire(1_000)
    while (store.trim());
    const reader = readerOf(store)
    assert.equal([reader.entryAt(501), reader.entryAt(1_101)], [undefined, taken[1_100]?.entry])
    reader.close()
  })
)
packs('are narrowed by labels and fields as if each had been read', () =>
  within(async (open) => {
    const store = open()
    store.begin('id')
    feed(store, taken, 100)
    const reader = readerOf(store)
    const conditions: readonly ((traits: Traits) => boolean)[] = [
      ({ labels }) => labels === undefined || labels['app'] === 'app-1',
      ({ labels }) => labels === undefined || labels['round'] === '3',
      ({ fields }) => fields === undefined || fields['spec.nodeName'] === 'node-2',
      ({ labels, fields }) =>
        (labels === undefined || labels['app'] !== 'app-2') && (fields === undefined || fields['status.phase'] === 'Pending')
    ]
    for (const at of [1, 37, 400, 777, 1_200])
      for (const [number, narrow] of conditions.entries())
        for (const namespace of [undefined, 'ns-0', 'nowhere']) {
          const all = await reader.liveAt(PODS, at, namespace)
          const expected = all.filter(({ sequence }) => {
            const { metadata, spec, status } = JSON.parse(reader.entryAt(sequence)?.text as string)
            return narrow({ labels: metadata.labels, fields: { 'spec.nodeName': spec.nodeName, 'status.phase': status.phase } })
          })
          assert.equal(await reader.liveAt(PODS, at, namespace, narrow), expected, `condition ${number} at ${at}`)
          if (at === 1_200 && number !== 1 && namespace === undefined) assert.ok(expected.length > 0 && expected.length < all.length)
        }
    assert.is(
      (await reader.liveAt(PODS, 1_200, undefined, ({ fields }) => fields === undefined || fields['status.podIP'] === undefined)).length >
        0,
      true
    )
    reader.close()
  })
)
packs('of which nothing is said are kept in: an index that began at a keyframe, and what is sealed', () =>
  within(async (open) => {
    const store = open()
    store.begin('id')
    store.seed({ sequence: 5, hash: new Uint8Array(32), time: 5, standing: [{ collection: '/pods', id: 'ns-0/pod-0', version: 2 }] })
    const secret: LogEntry = {
      ...entryOf(6, 0),
      subject: subjectOf('EVENTS', { group: '', resource: 'secrets', namespace: 'ns-0', name: 's' }),
      text: '{"kind":"Secret","apiVersion":"v1","metadata":{"labels":{"a":"b"}},"reckon.io/sealed":"x"}'
    }
    const unreadable: LogEntry = { ...entryOf(7, 2), text: 'no JSON' }
    feed(
      store,
      [secret, unreadable].map((entry) => ({ entry, event: true })),
      5
    )
    const reader = readerOf(store)
    const seen: Traits[] = []
    const narrow = (traits: Traits): boolean => (seen.push(traits), true)
    assert.equal(await reader.liveAt(PODS, 7, undefined, narrow), [
      { id: 'ns-0/pod-0', sequence: 2 },
      { id: 'ns-0/pod-2', sequence: 7 }
    ])
    await reader.liveAt({ group: '', resource: 'secrets' }, 7, undefined, narrow)
    assert.equal(seen, [{ labels: { a: 'b' } }])
    assert.equal([reader.entryAt(2), reader.entryAt(6)], [undefined, secret])
    reader.close()
  })
)
packs.run()
