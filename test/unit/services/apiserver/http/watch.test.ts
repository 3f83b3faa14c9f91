/** Watches: every change once and in order, whenever and however a watcher comes; and bounded, whatever it does not read. */
import { at, textAt } from '#test/support/kinds.ts'
import { once } from 'node:events'
import type { ClientHttp2Stream } from 'node:http2'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log } from '#events/Log.ts'
import { accepted } from '#test/support/api.ts'
import { closed, startHttp, type TestHttp } from '#test/support/http.ts'
import { until } from '#test/support/until.ts'

const REF = { group: '', resource: 'configmaps' }
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const WATCH = `${CONFIGMAPS}?watch=true`
const LIST = `${WATCH}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`
const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }

interface Told {
  readonly type: string
  readonly object: KubeObject
}

const create = async (
  http: TestHttp,
  name: string,
  size = 10,
  labels: Record<string, string> = {},
  namespace = 'default'
): Promise<number> =>
  Number(
    accepted(
      await http.api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels }, data: { key: 'x'.repeat(size) } })
    ).metadata.resourceVersion
  )
const label = async (http: TestHttp, name: string, labels: Record<string, string | null>): Promise<unknown> =>
  accepted(
    await http.api.submit({
      verb: 'patch',
      ref: REF,
      namespace: 'default',
      name,
      patch: { type: 'application/merge-patch+json', body: { metadata: { labels } } }
    })
  )
const remove = async (http: TestHttp, name: string): Promise<unknown> =>
  assert.ok((await http.api.submit({ verb: 'delete', ref: REF, namespace: 'default', name })).ok)

/** Reads a watch's lines as they come. */
class Reader {
  readonly told: Told[] = []
  #rest = ''
  constructor(body: NodeJS.ReadableStream) {
    body.on('error', () => {})
    body.on('data', (chunk: Buffer) => {
      const lines = (this.#rest + chunk.toString('latin1')).split('\n')
      this.#rest = lines.pop() as string
      for (const line of lines) this.told.push(JSON.parse(line) as Told)
    })
  }
  get short(): string[] {
    return this.told.map(({ type, object }) => `${type} ${object.metadata?.name ?? object['status']}`)
  }
  has(count: number): Promise<void> {
    return until(`${count} lines, not ${this.told.length}`, () => this.told.length >= count)
  }
}

const watch = suite('watch')
watch('tells what is there, then every change, the same over HTTP/1.1 and HTTP/2', async () => {
  const http = await startHttp()
  try {
    await create(http, 'a')
    const readers = [new Reader(await http.open(WATCH)), new Reader((await http.stream(await http.session(), WATCH)).body)]
    for (const reader of readers) await reader.has(1)
    await create(http, 'b')
    await label(http, 'a', { x: 'y' })
    await remove(http, 'b')
    for (const reader of readers) {
      await reader.has(4)
      assert.equal(reader.short, ['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED b'])
    }
    assert.equal(readers[0]?.told, readers[1]?.told)
  } finally {
    await http.stop()
  }
})
watch('begins where it is told to: in the window, or in the log', async () => {
  const http = await startHttp()
  try {
    const before = await create(http, 'a')
    for (let n = 0; n < 300; n++) await label(http, 'a', { n: String(n) })
    await remove(http, 'a')
    await create(http, 'a')
    const wanted = [...Array.from({ length: 300 }, () => 'MODIFIED a'), 'DELETED a', 'ADDED a']
    const session = await http.session()
    const recent = new Reader((await http.stream(session, `${WATCH}&resourceVersion=${before}`)).body)
    await recent.has(302)
    assert.equal(recent.short, wanted)
    // As if all of that was long ago.
    http.api.views.of(REF).remember({ changes: 0, bytes: 0 }).reset(http.api.views.of(REF).objects.sequence)
    const reads: unknown[] = []
    const { read } = http.api.logs.EVENTS
    http.api.logs.EVENTS.read = function (range) {
      reads.push(range)
      return read.call(this, range)
    }
    const old = new Reader((await http.stream(session, `${WATCH}&resourceVersion=${before}`)).body)
    await old.has(302)
    assert.equal(old.told, recent.told)
    assert.equal(reads, [{ from: before + 1, to: http.api.views.of(REF).objects.sequence, filter: 'ev.core.configmaps.default.>' }])
    await label(http, 'a', { live: 'yes' })
    await old.has(303)
    assert.is(old.short.at(-1), 'MODIFIED a')
  } finally {
    await http.stop()
  }
})
watch('with a selector: an object that begins to match is added, one that ceases to is deleted, also long ago', async () => {
  const http = await startHttp()
  try {
    const begin = await create(http, 'a', 10, { app: 'x' })
    await create(http, 'other')
    await label(http, 'a', { n: '1' })
    await label(http, 'a', { app: null })
    await label(http, 'a', { app: 'x' })
    await remove(http, 'a')
    await remove(http, 'other')
    const wanted = ['MODIFIED a', 'DELETED a', 'ADDED a', 'DELETED a']
    const session = await http.session()
    const path = `${WATCH}&labelSelector=app%3Dx&resourceVersion=${begin}`
    const recent = new Reader((await http.stream(session, path)).body)
    await recent.has(4)
    http.api.views.of(REF).remember({ changes: 0, bytes: 0 }).reset(http.api.views.of(REF).objects.sequence)
    const old = new Reader((await http.stream(session, path)).body)
    await old.has(4)
    await create(http, 'end', 10, { app: 'x' })
    for (const reader of [recent, old]) {
      await reader.has(5)
      assert.equal(reader.short, [...wanted, 'ADDED end'])
    }
  } finally {
    await http.stop()
  }
})
watch('of a namespace, of one object, of all: each gets its own', async () => {
  const http = await startHttp()
  try {
    const session = await http.session()
    const at = `&resourceVersion=${await create(http, 'zero')}`
    const [one, all, elsewhere] = await Promise.all(
      [
        `${WATCH}&fieldSelector=metadata.name%3Da${at}`,
        `/api/v1/configmaps?watch=true${at}`,
        `/api/v1/namespaces/kube-system/configmaps?watch=true${at}`
      ].map(async (path) => new Reader((await http.stream(session, path)).body))
    )
    await create(http, 'a')
    await create(http, 'b', 10, {}, 'kube-system')
    await all?.has(2)
    await one?.has(1)
    await elsewhere?.has(1)
    assert.equal([one?.short, all?.short, elsewhere?.short], [['ADDED a'], ['ADDED a', 'ADDED b'], ['ADDED b']])
  } finally {
    await http.stop()
  }
})
watch("a table's columns come once, with its first row, however it began", async () => {
  const http = await startHttp()
  try {
    const session = await http.session()
    const fresh = new Reader(
      (await http.stream(session, `${WATCH}&resourceVersion=${await http.api.logs.EVENTS.lastSequence()}`, TABLE)).body
    )
    await create(http, 'a')
    await fresh.has(1)
    const burst = new Reader((await http.stream(session, WATCH, TABLE)).body)
    await burst.has(1)
    await create(http, 'b')
    await create(http, 'c')
    for (const reader of [fresh, burst]) {
      await reader.has(3)
      assert.equal(
        reader.told.map(({ object }) => at(object, 'columnDefinitions.length')),
        [3, 0, 0]
      )
      assert.equal(
        reader.told.map(({ object }) => at(object, 'rows.0.cells.0')),
        ['a', 'b', 'c']
      )
    }
  } finally {
    await http.stop()
  }
})
watch('tells quiet watchers how far they are, ends in time, and says no in words', async () => {
  const http = await startHttp()
  try {
    const session = await http.session()
    const stream = await http.stream(session, `${WATCH}&allowWatchBookmarks=true&timeoutSeconds=300`)
    const reader = new Reader(stream.body)
    await new Promise((resolve) => setTimeout(resolve, 20))
    accepted(await http.api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } }))
    await http.clock.run(130_000)
    await reader.has(2)
    assert.equal(
      reader.told.map(({ type, object }) => [type, object.metadata.resourceVersion]),
      Array.from({ length: reader.told.length }, () => ['BOOKMARK', String(http.api.views.of(REF).objects.sequence)])
    )
    assert.is(stream.body.closed, false)
    const end = closed(stream.body)
    await http.clock.run(171_000)
    await end
    const ahead = http.call('GET', `${WATCH}&resourceVersion=999999`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await http.clock.run(4_000)
    assert.match((await ahead).body.toString(), /Too large resource version: 999999/)
    assert.is((await http.call('GET', `${WATCH}&resourceVersion=x`)).status, 400)
    assert.is((await http.call('GET', `${WATCH}&timeoutSeconds=x`)).status, 400)
    assert.is((await http.call('GET', `${WATCH}&sendInitialEvents=true`)).status, 422)
  } finally {
    await http.stop()
  }
})
watch('before the first event there is: 410, so that the client lists again', async () => {
  const http = await startHttp()
  try {
    http.api.views.of(REF).remember({ changes: 0, bytes: 0 }).reset(http.api.views.of(REF).objects.sequence)
    const log: Log = http.api.logs.EVENTS
    const state = await log.state()
    log.state = async () => ({ ...state, first: 20 })
    const reader = new Reader((await http.stream(await http.session(), `${WATCH}&resourceVersion=5`)).body)
    await reader.has(1)
    assert.is(reader.told[0]?.type, 'ERROR')
    assert.is(reader.told[0]?.object['code'], 410)
    assert.match(textAt(reader.told[0]?.object, 'message'), /too old resource version: 5 \(19\)/)
  } finally {
    await http.stop()
  }
})
watch('from a version that was lost, or left behind by a restore: 410, for what its reader saw is told by nobody any more', async () => {
  const http = await startHttp()
  try {
    for (const name of ['a', 'b', 'c']) await create(http, name)
    const view = http.api.views.of(REF)
    view.remember({ changes: 0, bytes: 0 }).reset(view.objects.sequence)
    const log: Log = http.api.logs.EVENTS
    const state = await log.state()
    log.state = async () => ({ ...state, losses: [{ first: state.last - 2, last: state.last - 1 }] })
    const session = await http.session()
    const told = async (from: number): Promise<string> => {
      const reader = new Reader((await http.stream(session, `${WATCH}&resourceVersion=${from}`)).body)
      await reader.has(1)
      return `${reader.told[0]?.type} ${reader.told[0]?.object['code'] ?? ''}`
    }
    assert.equal(await Promise.all([3, 2, 1].map((back) => told(state.last - back))), ['ADDED ', 'ERROR 410', 'ERROR 410'])
    log.state = async () => ({ ...state, losses: [{ first: state.last, last: state.last }] })
    const at = new Reader((await http.stream(session, `${WATCH}&resourceVersion=${state.last}`)).body)
    await create(http, 'd')
    await at.has(1)
    assert.equal(at.short, ['ADDED d'])
  } finally {
    await http.stop()
  }
})
watch.run()

const bursts = suite('bursts')
/** 200 objects of 100 KB: far more than a watcher may be behind. */
const many = async (http: TestHttp): Promise<void> => {
  for (let n = 0; n < 200; n++) await create(http, `c-${String(n).padStart(3, '0')}`, 100_000)
}
bursts('a WatchList of any size is complete for a slow reader, ends with its bookmark, and nothing is lost meanwhile', async () => {
  const http = await startHttp({ watch: { behind: 500_000, together: 1_000_000 } })
  try {
    await many(http)
    const at = http.api.views.of(REF).objects.sequence
    const { body } = await http.stream(await http.session(), LIST)
    await until('the server waits', () => body.readableLength > 0)
    // Much happens while nothing is read: more than may be kept for anybody.
    for (let n = 0; n < 30; n++) await label(http, 'c-000', { n: String(n) })
    await remove(http, 'c-199')
    const reader = new Reader(body)
    await reader.has(232)
    const list = reader.told.slice(0, 200)
    assert.equal([...new Set(list.map(({ type }) => type))], ['ADDED'])
    assert.equal(
      list.map(({ object }) => object.metadata.name),
      Array.from({ length: 200 }, (_, n) => `c-${String(n).padStart(3, '0')}`)
    )
    assert.ok(list.every(({ object }) => Number(object.metadata.resourceVersion) <= at))
    const mark = reader.told[200]
    assert.equal(
      [mark?.type, mark?.object.metadata.resourceVersion, mark?.object.metadata.annotations],
      ['BOOKMARK', String(at), { 'k8s.io/initial-events-end': 'true' }]
    )
    assert.equal(reader.short.slice(201), [...Array.from({ length: 30 }, () => 'MODIFIED c-000'), 'DELETED c-199'])
    await create(http, 'live')
    await reader.has(233)
    assert.is(reader.short.at(-1), 'ADDED live')
    assert.is(body.closed, false)
  } finally {
    await http.stop()
  }
})
bursts('what bursts and watches from long ago hold is bounded while nobody reads them', async () => {
  const http = await startHttp({ replays: 4 })
  try {
    const from = await create(http, 'first')
    await many(http)
    http.api.views.of(REF).remember({ changes: 0, bytes: 0 }).reset(http.api.views.of(REF).objects.sequence)
    let batches = 0
    const { read } = http.api.logs.EVENTS
    http.api.logs.EVENTS.read = async function* (range) {
      for await (const batch of read.call(this, range))
        for (const entry of batch) {
          batches += 1
          yield [entry]
        }
    }
    const before = process.memoryUsage()
    const session = await http.session()
    const old = await Promise.all(Array.from({ length: 20 }, () => http.stream(session, `${WATCH}&resourceVersion=${from}`)))
    await Promise.all(Array.from({ length: 20 }, () => http.stream(session, LIST)))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(batches < 4 * 5, `${batches} batches were read for nobody`)
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    assert.ok(arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed < 60_000_000)
    // When somebody leaves, or is cut off, the next one gets a turn.
    const reader = new Reader(old[19]!.body)
    for (const { body } of old.slice(0, 19)) body.close()
    await reader.has(200)
    assert.is(reader.short.at(-1), 'ADDED c-199')
  } finally {
    await http.stop()
  }
})
bursts.run()

const lagging = suite('watchers who do not read')
const live = async (http: TestHttp, path = WATCH): Promise<ClientHttp2Stream> => {
  const { body } = await http.stream(await http.session(), `${path}&resourceVersion=${http.api.views.of(REF).objects.sequence}`)
  await new Promise((resolve) => setTimeout(resolve, 20))
  return body
}
/** Forgets the recent changes, so that who is behind reads the log, and tells from where it did. */
const readsOf = (http: TestHttp): { readonly from: number[]; forget(): void } => {
  const from: number[] = []
  const { read } = http.api.logs.EVENTS
  http.api.logs.EVENTS.read = function (range) {
    from.push(range.from)
    return read.call(this, range)
  }
  const view = http.api.views.of(REF)
  return { from, forget: () => view.remember({ changes: 0, bytes: 0 }).reset(view.objects.sequence) }
}
lagging('go on by themselves when they are too far behind, from the middle of a line, and lose nothing', async () => {
  const http = await startHttp({ watch: { behind: 1_000_000, together: 100_000_000 } })
  try {
    const zero = await create(http, 'zero')
    const slow = [await live(http), await live(http, `${WATCH}&labelSelector=app%3Dx`)]
    const over1 = await http.open(`${WATCH}&resourceVersion=${zero}`)
    const quick = new Reader(await live(http))
    const { from, forget } = readsOf(http)
    for (let n = 0; n < 20; n++) {
      await create(http, `c-${n}`, 150_000, { app: 'x' })
      await quick.has(n + 1)
    }
    forget()
    const readers = [...slow, over1].map((body) => new Reader(body))
    for (const reader of readers) await reader.has(20)
    // Both had something of the first line.
    assert.equal(from, [zero + 2, zero + 2])
    await create(http, 'live', 10, { app: 'x' })
    for (const reader of [...readers, quick]) {
      await reader.has(21)
      assert.equal(reader.told, quick.told)
    }
    assert.equal(
      slow.map(({ closed }) => closed),
      [false, false]
    )
  } finally {
    await http.stop()
  }
})
lagging('of all, the slowest are let go first when together they keep too much', async () => {
  const http = await startHttp({ watch: { behind: 100_000_000, together: 2_000_000 } })
  try {
    const zero = await create(http, 'zero')
    const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))
    const slowest = await live(http)
    for (let n = 0; n < 10; n++) await create(http, `a-${n}`, 100_000)
    await turn()
    const slow = await live(http)
    const { from, forget } = readsOf(http)
    for (let n = 0; n < 15; n++) {
      await create(http, `b-${n}`, 100_000)
      await turn()
    }
    forget()
    const readers = [new Reader(slowest), new Reader(slow)]
    await readers[0]?.has(25)
    await readers[1]?.has(15)
    assert.equal(from, [zero + 2])
    assert.is(readers[0]?.short.at(-1), 'ADDED b-14')
    assert.is(readers[1]?.short.at(-1), 'ADDED b-14')
  } finally {
    await http.stop()
  }
})
lagging('share their lines: a hundred cost what one does', async () => {
  const http = await startHttp()
  try {
    await create(http, 'zero')
    const session = await http.session()
    const at = http.api.views.of(REF).objects.sequence
    await Promise.all(Array.from({ length: 100 }, () => http.stream(session, `${WATCH}&resourceVersion=${at}`)))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 40; n++) await create(http, `c-${n}`, 150_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < 40_000_000, `100 watchers of 6 MB that do not read cost ${Math.round(grown / 1e6)} MB`)
  } finally {
    await http.stop()
  }
})
lagging('are cut off when they take nothing for a minute', async () => {
  const http = await startHttp()
  try {
    await create(http, 'zero')
    const stuck = await live(http)
    const idle = await live(http, '/api/v1/namespaces/kube-system/configmaps?watch=true')
    for (let n = 0; n < 3; n++) await create(http, `c-${n}`, 100_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await http.clock.run(50_000)
    assert.is(stuck.closed, false)
    const end = closed(stuck.resume().pause())
    await http.clock.run(30_000)
    stuck.resume()
    await end
    assert.not(stuck.rstCode === 0 && !stuck.destroyed)
    // Who has nothing waiting may be silent as long as they like.
    assert.is(idle.closed, false)
  } finally {
    await http.stop()
  }
})
lagging.run()

const coming = suite('many watchers')
coming('get each change once and in order, also those who come and go in between', async () => {
  const http = await startHttp()
  try {
    await create(http, 'zero')
    const sessions = await Promise.all(Array.from({ length: 4 }, () => http.session()))
    const readers: { reader: Reader; from: number }[] = []
    for (let n = 0; n < 300; n++) {
      if (n % 3 === 0) {
        const from = http.api.views.of(REF).objects.sequence
        void http
          .stream(sessions[n % 4]!, n % 2 === 0 ? `${WATCH}&resourceVersion=${from}` : WATCH)
          .then(({ body }) => readers.push({ reader: new Reader(body), from: n % 2 === 0 ? from : 0 }))
      }
      await create(http, `c-${String(n).padStart(3, '0')}`)
    }
    await until('everybody is there', () => readers.length === 100)
    const last = String(http.api.views.of(REF).objects.sequence)
    for (const { reader, from } of readers) {
      await until('all is told', () => reader.told.some(({ object }) => object.metadata.resourceVersion === last))
      const versions = reader.told.map(({ object }) => Number(object.metadata.resourceVersion))
      const wanted = http.api.views
        .collection(REF)
        .list('default')
        .map(({ sequence }) => sequence)
        .filter((sequence) => sequence > from)
        .sort((a, b) => a - b)
      // What was there comes in the order of names.
      assert.equal(from === 0 ? versions.sort((a, b) => a - b) : versions, wanted)
    }
  } finally {
    await http.stop()
  }
})
coming.run()

const ending = suite('a server that ends')
ending('ends its watches, so that nobody takes them for broken', async () => {
  for (let n = 0; n < 3; n++) {
    const http = await startHttp()
    await create(http, 'one')
    const watching = await http.open(WATCH)
    const over = closed(watching)
    // The server ends while it writes.
    await once(watching, 'data')
    watching.resume()
    const stopped = http.stop()
    await over
    await stopped
    assert.ok(watching.complete, 'the connection broke in the middle of the answer')
  }
})
ending.run()
