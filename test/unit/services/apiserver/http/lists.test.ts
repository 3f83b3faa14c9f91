/** Long answers: exactly Kubernetes' JSON however they travel, at their reader's pace, and bounded while nobody reads. */
import { documentOf, textAt } from '#test/support/kinds.ts'
import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { accepted } from '#test/support/api.ts'
import { closed, readAll, startHttp, type TestHttp } from '#test/support/http.ts'
import { until } from '#test/support/until.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const name = (n: number): string => `c-${String(n).padStart(5, '0')}`
const configMap = (n: number, size: number, value = 'ä✓😀'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: name(n), labels: { odd: String(n % 2) } },
  data: { key: `${value}${'x'.repeat(size)}` }
})
const fill = async (http: TestHttp, count: number, size: number): Promise<void> => {
  for (let n = 0; n < count; n++) accepted(await http.api.create(configMap(n, size)))
}
const json = documentOf
const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
const METADATA = { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' }

const lists = suite('lists')
let http: TestHttp
lists.before(async () => {
  http = await startHttp()
  // More than one slice, and objects that are larger than one.
  await fill(http, 40, 20_000)
  accepted(await http.api.create(configMap(40, 300_000, '😀'.repeat(100_000))))
})
lists.after(() => http.stop())

lists('a list is the objects, in order, with the version it was read at', async () => {
  const { status, headers, body } = await http.call('GET', CONFIGMAPS)
  assert.is(status, 200)
  assert.is(headers['content-type'], 'application/json')
  assert.is(headers['transfer-encoding'], 'chunked')
  const present = http.api.views.collection({ group: '', resource: 'configmaps' }).list('default')
  const metadata = { resourceVersion: String(await http.api.logs.EVENTS.lastSequence()) }
  assert.equal(json(body), { kind: 'ConfigMapList', apiVersion: 'v1', metadata, items: present.map(({ object }) => object) })
  assert.ok(body.toString().endsWith(']}\n'))
})
lists('it is the same compressed, and over HTTP/2', async () => {
  const plain = (await http.call('GET', CONFIGMAPS)).body
  const packed = await http.call('GET', CONFIGMAPS, { headers: { 'accept-encoding': 'gzip' } })
  assert.is(packed.headers['content-encoding'], 'gzip')
  assert.ok(packed.body.length < plain.length / 2)
  assert.ok(gunzipSync(packed.body).equals(plain))
  const session = await http.session()
  const { body } = await http.stream(session, CONFIGMAPS)
  assert.ok((await readAll(body)).equals(plain))
  session.destroy()
})
lists('tables and metadata lists are long, too', async () => {
  const table = json((await http.call('GET', `${CONFIGMAPS}?includeObject=Object`, { headers: TABLE })).body)
  assert.is(table.kind, 'Table')
  assert.is(table.rows.length, 41)
  assert.equal(
    table.columnDefinitions.map((column: { name: string }) => column.name),
    ['Name', 'Data', 'Age']
  )
  assert.is(table.rows[40]?.cells[0], name(40))
  assert.is(textAt(table.rows[40], 'object.data.key').length, 300_000 + 200_000)
  const metadata = json((await http.call('GET', CONFIGMAPS, { headers: METADATA })).body)
  assert.is(metadata.kind, 'PartialObjectMetadataList')
  assert.equal(metadata.items[7], {
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: (await http.call('GET', `${CONFIGMAPS}/${name(7)}`).then(({ body }) => json(body))).metadata
  })
})
lists('a short answer tells its length; an empty list is one', async () => {
  const { headers, body } = await http.call('GET', '/api/v1/namespaces/default/secrets')
  assert.is(Number(headers['content-length']), body.length)
  assert.equal(json(body).items, [])
  const one = await http.call('GET', `${CONFIGMAPS}?fieldSelector=metadata.name%3D${name(3)}`)
  assert.equal(
    json(one.body).items.map(({ metadata }: KubeObject) => metadata.name),
    [name(3)]
  )
})
lists('HEAD gets the headers alone, and the connection goes on', async () => {
  const { status, body } = await http.call('HEAD', CONFIGMAPS)
  assert.is(status, 200)
  assert.is(body.length, 0)
  assert.is((await http.call('HEAD', `${CONFIGMAPS}?watch=true`)).status, 200)
})
lists('one large object is exact, plain and compressed', async () => {
  const path = `${CONFIGMAPS}/${name(40)}`
  const { headers, body } = await http.call('GET', path)
  assert.is(Number(headers['content-length']), body.length)
  assert.is(json(body).data['key'], `${'😀'.repeat(100_000)}${'x'.repeat(300_000)}`)
  const packed = await http.call('GET', path, { headers: { 'accept-encoding': 'gzip' } })
  assert.ok(gunzipSync(packed.body).equals(body))
})
lists('pages see what the first page saw, whatever changed since', async () => {
  const pages: (readonly KubeObject[])[] = []
  let next = ''
  do {
    const page = json((await http.call('GET', `${CONFIGMAPS}?limit=15${next === '' ? '' : `&continue=${next}`}`)).body)
    pages.push(page.items)
    next = page.metadata.continue ?? ''
    if (pages.length === 1) {
      assert.is(page.metadata.remainingItemCount, 26)
      const removed = await http.api.submit({
        verb: 'delete',
        ref: { group: '', resource: 'configmaps' },
        namespace: 'default',
        name: name(20)
      })
      assert.ok(removed.ok)
      accepted(await http.api.create({ ...configMap(20, 1), metadata: { name: 'c-00017b' } }))
    }
  } while (next !== '')
  assert.equal(
    pages.map((page) => page.length),
    [15, 15, 11]
  )
  assert.equal(
    pages.flat().map(({ metadata }) => metadata.name),
    Array.from({ length: 41 }, (_, n) => name(n))
  )
  const odd = json((await http.call('GET', `${CONFIGMAPS}?limit=4&labelSelector=odd%3D1`)).body)
  assert.equal(
    odd.items.map(({ metadata }: KubeObject) => metadata.name),
    [1, 3, 5, 7].map(name)
  )
  assert.is(odd.metadata.remainingItemCount, undefined)
  const rest = json((await http.call('GET', `${CONFIGMAPS}?limit=400&labelSelector=odd%3D1&continue=${odd.metadata.continue}`)).body)
  assert.is(odd.items.length + rest.items.length, 20)
  assert.is(rest.metadata.continue, undefined)
})
lists.run()

const slow = suite('slow readers')
slow('cost a slice each, are cut off, and give their places back; others are answered meanwhile', async () => {
  const http = await startHttp({ reading: { total: 60, perUser: 60 } })
  try {
    await fill(http, 60, 100_000)
    const session = await http.session('alice')
    const before = process.memoryUsage()
    const readers = await Promise.all(Array.from({ length: 50 }, () => http.stream(session, CONFIGMAPS)))
    await new Promise((resolve) => setTimeout(resolve, 200))
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    const grown = arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed
    assert.ok(grown < 60_000_000, `50 readers of 6 MB cost ${Math.round(grown / 1e6)} MB`)
    const packed = await http.stream(session, CONFIGMAPS, { 'accept-encoding': 'gzip' })
    assert.is(packed.headers['content-encoding'], 'gzip')
    assert.is((await http.call('GET', `${CONFIGMAPS}/${name(0)}`, { user: 'alice' })).status, 200)
    // On a connection of its own: a virtual minute is too short for the other one to prove that it lives.
    const other = await http.stream(await http.session('alice'), CONFIGMAPS)
    const ends = readers.map(({ body }) => closed(body))
    await http.clock.run(40_000)
    const read: Buffer[] = []
    const size = (): number => read.reduce((sum, { length }) => sum + length, 0)
    let enough = 200_000
    other.body.on('data', (chunk: Buffer) => {
      read.push(chunk)
      if (size() > enough) other.body.pause()
    })
    await until('the reader took some slices', () => size() > 200_000)
    await http.clock.run(30_000)
    await Promise.all(ends)
    // Who takes something once in a while is not cut off.
    enough = Number.POSITIVE_INFINITY
    other.body.resume()
    await new Promise((resolve) => other.body.on('end', resolve))
    assert.is(json(Buffer.concat(read)).items.length, 60)
    const next = await http.session('alice')
    const again = await Promise.all(Array.from({ length: 55 }, () => http.stream(next, CONFIGMAPS)))
    assert.equal([...new Set(again.map(({ status }) => status))], [200])
  } finally {
    await http.stop()
  }
})
slow('a reader who takes long is read the list it asked for from the log', async () => {
  const http = await startHttp()
  try {
    await fill(http, 60, 100_000)
    const session = await http.session()
    const { body } = await http.stream(session, CONFIGMAPS)
    await until('the server waits', () => body.readableLength > 0)
    for (let n = 0; n < 60; n++)
      accepted(
        await http.api.submit({
          verb: 'patch',
          ref: { group: '', resource: 'configmaps' },
          namespace: 'default',
          name: name(n),
          patch: { type: 'application/merge-patch+json', body: { data: { key: 'new' } } }
        })
      )
    await http.clock.run(6_000)
    const reads: number[] = []
    const { get } = http.api.logs.EVENTS
    http.api.logs.EVENTS.get = function (sequence) {
      reads.push(sequence)
      return get.call(this, sequence)
    }
    const list = json(await readAll(body))
    assert.equal(
      list.items.map((item: KubeObject) => textAt(item, 'data.key').length),
      Array.from({ length: 60 }, () => 100_000 + 'ä✓😀'.length)
    )
    assert.ok(reads.length > 50, `${reads.length} old versions came from the log`)
  } finally {
    await http.stop()
  }
})
slow('HTTP/1.1 clients that do not read are cut off as well, short answers and long ones', async () => {
  const http = await startHttp()
  try {
    // More than the sockets' own buffers take.
    await fill(http, 30, 1_000_000)
    const answer = await http.open(CONFIGMAPS)
    answer.pause()
    const end = closed(answer)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await http.clock.run(80_000)
    answer.resume()
    await end
    assert.is(answer.complete, false)
  } finally {
    await http.stop()
  }
})
slow.run()
