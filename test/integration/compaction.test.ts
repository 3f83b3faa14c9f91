/** History is compacted under a working API server: what is kept is served, what is gone is named, a crash at any step harms nothing. */
import { closeSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { acceptLoss } from '#ops/log/accept.ts'
import { compact, finishCompaction, plan, type Compaction, type Step } from '#ops/log/compact.ts'
import { loadSeal } from '#ops/log/keys.ts'
import { compactHistory, verify } from '#ops/log/commands.ts'
import { lockLog } from '#ops/log/keeping.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { noteBlocks, streamsFolder } from '#ops/nats/store.ts'
import { status } from '#ops/up.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

const all = suite('compaction of history')
const compaction = sideBySide(all, 2)
const quiet = (): void => {}
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

/** The log is read again all the time meanwhile: what it finds wrong makes the cluster unready, now and at the next start. */
const SCRUBBED = { settings: { scrub: { megabytesPerSecond: 1_000, every: '0.1s' } } }

interface Written {
  readonly metadata: { readonly name: string; readonly resourceVersion: string; readonly uid: string }
  readonly data?: Record<string, string>
}

const put = async (plane: Plane, name: string, value: string): Promise<number> => {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } }
  const there = (await plane.call('GET', `${CONFIGMAPS}/${name}`)).status === 200
  const { status, body } = await (there ? plane.call('PUT', `${CONFIGMAPS}/${name}`, object) : plane.call('POST', CONFIGMAPS, object))
  assert.ok(status === 200 || status === 201, body)
  return Number((JSON.parse(body) as Written).metadata.resourceVersion)
}
const remove = async (plane: Plane, name: string): Promise<void> =>
  assert.is((await plane.call('DELETE', `${CONFIGMAPS}/${name}`)).status, 200)
const ready = (plane: Plane): Promise<void> => plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
/** name → value, now or as of a moment. */
const values = async (plane: Plane, moment = ''): Promise<Record<string, string>> => {
  const { status, body } = await plane.call('GET', `${moment === '' ? '' : `/at/${moment}`}${CONFIGMAPS}`)
  assert.is(status, 200, body)
  return Object.fromEntries(
    (JSON.parse(body) as { items: Written[] }).items
      .filter(({ metadata: { name } }) => name !== 'kube-root-ca.crt')
      .map(({ metadata: { name }, data }) => [name, data?.['value'] ?? ''])
  )
}

const withWork = async <Value>(
  plane: Plane,
  work: (compaction: Compaction) => Promise<Value>,
  more: Partial<Compaction> = {}
): Promise<Value> => {
  const connection = await connectNats(plane.home, plane.config, 'keeper')
  try {
    return await work({
      home: plane.home,
      connection,
      seal: loadSeal(plane.home),
      report: quiet,
      eased: true,
      graceMs: 500,
      command: 'reckon log compact',
      ...more
    })
  } finally {
    await connection.close()
  }
}
const compactTo = (plane: Plane, sequence: number, more: Partial<Compaction> = {}): Promise<void> =>
  withWork(
    plane,
    async (work) => {
      const planned = await plan(work, { sequence })
      assert.ok(planned !== undefined)
      await compact(work, planned)
    },
    more
  )

/** a: three versions, the floor between; b: deleted before it; c: deleted after it; d: untouched since before; e: made again after. */
const prepare = async (plane: Plane): Promise<{ floor: number; versions: Record<string, number> }> => {
  const versions: Record<string, number> = {}
  versions['a1'] = await put(plane, 'a', '1')
  await put(plane, 'b', '1')
  await put(plane, 'c', '1')
  versions['d1'] = await put(plane, 'd', '1')
  await put(plane, 'e', '1')
  await remove(plane, 'e')
  await remove(plane, 'b')
  versions['a2'] = await put(plane, 'a', '2')
  const floor = versions['a2']
  versions['e2'] = await put(plane, 'e', '2')
  versions['a3'] = await put(plane, 'a', '3')
  await remove(plane, 'c')
  return { floor, versions }
}
const AT_FLOOR = { a: '2', c: '1', d: '1' }
const NOW = { a: '3', d: '1', e: '2' }

compaction('keeps what each object was at the floor, and says what is gone', async () => {
  const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
  try {
    await plane.start()
    await ready(plane)
    const { floor, versions } = await prepare(plane)
    const moment = (await new Promise((resolve) => setTimeout(resolve, 5)), new Date().toISOString())
    const check = async (): Promise<void> => {
      assert.equal(await values(plane), NOW)
      assert.equal(await values(plane, String(floor)), AT_FLOOR)
      assert.equal(await values(plane, String(versions['a3'])), { ...AT_FLOOR, a: '3', e: '2' })
      assert.equal(await values(plane, moment), NOW)
      for (const before of [String(floor - 1), '2020-01-01T00:00:00Z', '1']) {
        const { status, body } = await plane.call('GET', `/at/${before}${CONFIGMAPS}`)
        assert.is(status, 410, body)
        assert.match(body, `history up to resourceVersion ${floor} (`)
      }
    }
    assert.equal(await values(plane, String(versions['d1'])), { a: '1', b: '1', c: '1', d: '1' })
    await compactTo(plane, floor)
    await plane.until('it has heard of it', async () => (await plane.call('GET', `/at/1${CONFIGMAPS}`)).status === 410)
    await check()
    await plane.kill()
    await plane.start()
    await ready(plane)
    await check()
    assert.is((await plane.call('GET', '/readyz/log-integrity')).status, 200)
    assert.match((await status({ home: plane.home })).notes.join('\n'), `History begins at resourceVersion ${floor}`)
    await plane.stop()
    assert.equal(
      (await verify(plane.home, plane.config, quiet)).flatMap(({ damages }) => damages),
      []
    )
  } finally {
    await plane.remove()
  }
})

/** Reads a watch's lines until there are `count`, or it ends. */
const watch = async (
  plane: Plane,
  query: string,
  count: number
): Promise<{ type: string; object: Written & { code?: number; message?: string } }[]> => {
  const { body } = await plane.call('GET', `${CONFIGMAPS}?watch=true&timeoutSeconds=2&${query}`)
  return body
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, count)
    .map((line) => JSON.parse(line) as { type: string; object: Written })
}

compaction('the API server that works goes on: every object can be changed, made anew and removed, and locks still hold', async () => {
  const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
  try {
    await plane.start()
    await ready(plane)
    const { floor, versions } = await prepare(plane)
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { password: 'hunter2' } }
    assert.is((await plane.call('POST', '/api/v1/namespaces/default/secrets', secret)).status, 201)
    const edge = await put(plane, 'edge', '1')
    await put(plane, 'tail', '1')
    const page = JSON.parse((await plane.call('GET', `${CONFIGMAPS}?limit=1`)).body) as { metadata: { continue: string } }
    await put(plane, 'behind', '1')
    await compactTo(plane, edge)
    await plane.until('it has heard of it', async () => (await plane.call('GET', `/at/${floor}${CONFIGMAPS}`)).status === 410)
    const stale = await plane.call('PUT', `${CONFIGMAPS}/d`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'd', resourceVersion: String((versions['d1'] as number) - 1) },
      data: { value: 'x' }
    })
    assert.is(stale.status, 409, stale.body)
    const d2 = await put(plane, 'd', '2')
    assert.ok(d2 > edge)
    await put(plane, 'd', '3')
    await put(plane, 'b', 'again')
    await put(plane, 'c', 'again')
    await remove(plane, 'a')
    await remove(plane, 'c')
    await remove(plane, 'e')
    const now = { b: 'again', behind: '1', d: '3', edge: '1', tail: '1' }
    assert.equal(await values(plane), now)
    assert.is((await plane.call('DELETE', '/api/v1/namespaces/default/configmaps/b?dryRun=All')).status, 200)
    // The first page was of a moment that is still there; a place in a list of before is not.
    assert.is((await plane.call('GET', `${CONFIGMAPS}?limit=9&continue=${page.metadata.continue}`)).status, 200)
    const read = async (moment: string): Promise<string> =>
      Buffer.from(
        (JSON.parse((await plane.call('GET', `${moment}/api/v1/namespaces/default/secrets/s`)).body) as { data: { password: string } }).data
          .password,
        'base64'
      ).toString()
    assert.is(await read(''), 'hunter2')
    await plane.kill()
    await plane.start()
    await ready(plane)
    assert.equal(await values(plane), now)
    assert.is(await read(''), 'hunter2')
    assert.is(await read(`/at/${edge}`), 'hunter2')
    assert.equal(await values(plane, String(d2)), { a: '3', behind: '1', d: '2', e: '2', edge: '1', tail: '1' })
    assert.is((await plane.call('GET', `/at/${floor}/api/v1/namespaces/default/configmaps/a`)).status, 410)
    assert.is((await plane.call('GET', `${CONFIGMAPS}?resourceVersion=${floor}&resourceVersionMatch=Exact`)).status, 410)
    // What is read at the floor itself changes nothing: a watch from there tells of every change since, and of none before.
    const since = await watch(plane, `resourceVersion=${edge}`, 99)
    assert.equal(
      since.map(({ type, object: { metadata, data } }) => `${type} ${metadata.name} ${data?.['value']}`),
      [
        'ADDED tail 1',
        'ADDED behind 1',
        'MODIFIED d 2',
        'MODIFIED d 3',
        'ADDED b again',
        'ADDED c again',
        'DELETED a 3',
        'DELETED c again',
        'DELETED e 2'
      ]
    )
    const [expired] = await watch(plane, `resourceVersion=${floor}`, 1)
    assert.is(expired?.object.code, 410)
    assert.match(
      expired?.object.message ?? '',
      new RegExp(`too old resource version: ${floor} \\(${edge}\\): history up to resourceVersion ${edge} .* was compacted`)
    )
    // Once more, over what is kept already: objects removed since go from there too.
    await put(plane, 'last', '1')
    const next = Number(await put(plane, 'd', '4'))
    await compactTo(plane, next)
    await put(plane, 'd', '5')
    await put(plane, 'a', 'new')
    await plane.kill()
    await plane.start()
    await ready(plane)
    assert.equal(await values(plane), { ...now, a: 'new', d: '5', last: '1' })
    assert.equal(await values(plane, String(next)), { ...now, d: '4', last: '1' })
    assert.is((await plane.call('GET', '/readyz/log-integrity')).status, 200)
    await plane.stop()
    const verdicts = await verify(plane.home, plane.config, quiet)
    assert.equal(
      verdicts.flatMap(({ damages }) => damages),
      []
    )
    assert.equal(verdicts[0]?.strange, [])
  } finally {
    await plane.remove()
  }
})

compaction('by the command: what is young stays, what would go is said, and one at a time', async () => {
  const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
  try {
    await plane.start()
    await ready(plane)
    const { floor } = await prepare(plane)
    const asked = (before: string | undefined, dryRun = false, settings = {}): ReturnType<typeof compactHistory> =>
      compactHistory(plane.home, { ...plane.config, settings }, { before, dryRun }, quiet)
    const refused = (work: Promise<unknown>, what: RegExp): Promise<void> =>
      work.then(
        () => assert.unreachable(`${what}`),
        (error: Error) => assert.match(error.message, what)
      )
    await refused(asked(undefined), /say up to when history is to be compacted, with --before/)
    await refused(asked('soon'), /--before soon: use an RFC 3339 time/)
    await refused(asked(String(floor)), /history of the last five minutes stays/)
    for (const nothing of [
      () => asked('-1h'),
      () => asked('-0s'),
      () => asked(undefined, false, { keepHistory: '90d' }),
      () => asked('2020-01-01', true)
    ])
      assert.is(await nothing(), undefined)
    assert.equal(await values(plane, String(floor - 1)), { a: '1', c: '1', d: '1' })
    const release = lockLog(plane.home, 'reckon backup')
    await refused(asked('-1h'), /reckon backup is at work/)
    release()
    assert.is((await withWork(plane, ({ connection }) => new JetStreamLog(connection, 'EVENTS').state())).floor, 0)
  } finally {
    await plane.remove()
  }
})

const STEPS: readonly Step[] = ['note', 'raise', 'tell', 'wait', 'keep', 'drop', 'check', 'purge', 'forget']
class Crash extends Error {}

for (const step of STEPS)
  compaction(
    `a crash before "${step}": nothing is taken for damage, nothing that is wrong is taken for whole, and it is ended later`,
    async () => {
      const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
      try {
        await plane.start()
        await ready(plane)
        const first = await prepare(plane)
        // A compaction before: what was kept then gives way to what is kept now.
        await compactTo(plane, first.versions['d1'] as number, { graceMs: 0 })
        const { floor } = { floor: Number(await put(plane, 'd', '2')) }
        await put(plane, 'a', '4')
        const now = { ...NOW, a: '4', d: '2' }
        const crashed = (at: Step): void => {
          if (at === step) throw new Crash()
        }
        await compactTo(plane, floor, { graceMs: 0, onStep: crashed }).then(
          () => assert.unreachable('it went on'),
          (error: unknown) => assert.instance(error, Crash)
        )
        await plane.kill()
        await plane.killNats()
        await plane.start()
        await ready(plane)
        assert.equal(await values(plane), now)
        assert.equal(await values(plane, String(floor)), { ...NOW, d: '2' })
        await put(plane, 'a', '5')
        assert.equal(
          (await verify(plane.home, plane.config, quiet)).flatMap(({ damages }) => damages),
          []
        )
        const ended = await withWork(plane, finishCompaction, { graceMs: 0 })
        assert.is(ended, !['note', 'raise', 'forget'].includes(step))
        assert.equal(await values(plane), { ...now, a: '5' })
        await put(plane, 'd', '6')
        assert.equal(
          (await verify(plane.home, plane.config, quiet)).flatMap(({ damages }) => damages),
          []
        )
        // What is kept is protected as before.
        const connection = await connectNats(plane.home, plane.config, 'keeper')
        const jsm = await jetstreamManager(connection, { checkAPI: false })
        await jsm.streams.purge('BASE', { filter: 'base.core.namespaces._.default' })
        await connection.close()
        await plane.kill()
        await plane.start()
        const told = /of the \d+ versions that were kept when history was compacted up to \d+ are there/
        await plane.until('it is told', async () => {
          const health = await plane.call('GET', '/readyz')
          assert.is(health.status, 500)
          return told.test(health.body)
        })
      } finally {
        await plane.remove()
      }
    }
  )

compaction('files of the log that go or are cut are no damage; one that rots is', async () => {
  const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
  const blocks = (): string[] =>
    readdirSync(join(streamsFolder(plane.home), 'EVENTS/msgs'))
      .filter((file) => file.endsWith('.blk'))
      .sort((a, b) => Number.parseInt(a) - Number.parseInt(b))
      .map((file) => join(streamsFolder(plane.home), 'EVENTS/msgs', file))
  const noise = (): string => Array.from({ length: 50_000 }, () => Math.random().toString(36).slice(2, 10).padEnd(8, 'x')).join('')
  try {
    await plane.start()
    await ready(plane)
    const versions: number[] = []
    for (let n = 0; n < 60; n++) versions.push(await put(plane, `big${n % 3}`, noise()))
    const before = blocks()
    assert.ok(before.length > 2, 'the log fills more than two files')
    await noteBlocks(plane.home, Date.now() + 60_000)
    await compactTo(plane, versions[45] as number, { graceMs: 0 })
    const after = blocks()
    assert.ok(after.length < before.length && !after.includes(before[0] as string))
    await plane.kill()
    await plane.killNats()
    await plane.start()
    await ready(plane)
    assert.equal(Object.keys(await values(plane)), ['big0', 'big1', 'big2'])
    await noteBlocks(plane.home, Date.now() + 60_000)
    await plane.kill()
    await plane.killNats()
    const [first = ''] = blocks()
    const file = openSync(first, 'r+')
    writeSync(file, Buffer.from('rot'), 0, 3, statSync(first).size >> 1)
    closeSync(file)
    await plane.start()
    const health = await plane.call('GET', '/readyz')
    assert.is(health.status, 500)
    // It was not the file that was noted; a copy of it was made before nats-server had a look.
    assert.match(health.body, /EVENTS/)
    assert.match(health.body, 'nats/aside')
  } finally {
    await plane.remove()
  }
})

for (const [how, orderly, told] of [
  ['after an orderly stop', true, /BASE\/msgs\/1\.blk.*nats-server was not started/],
  ['after a crash', false, /0 of the \d+ versions that were kept/]
] as const)
  compaction(`what was kept and is lost ${how} can be done without, by a person's word`, async () => {
    const plane = await startPlane('apiserver', {}, { config: SCRUBBED })
    try {
      await plane.start()
      await ready(plane)
      const { floor, versions } = await prepare(plane)
      await compactTo(plane, versions['a3'] as number, { graceMs: 0 })
      const after = await put(plane, 'f', '1')
      if (orderly) await plane.stop()
      else {
        await plane.kill()
        await plane.killNats()
      }
      rmSync(join(streamsFolder(plane.home), 'BASE'), { recursive: true })
      await plane.start()
      assert.match((await plane.call('GET', '/readyz')).body, told)
      await plane.kill()
      const accepted = await acceptLoss(plane.home, plane.config, quiet)
      assert.equal(accepted.find(({ stream }) => stream === 'EVENTS')?.losses, [{ first: 1, last: versions['a3'] as number }])
      await plane.start()
      await ready(plane)
      assert.equal(await values(plane), { f: '1' })
      assert.ok((await put(plane, 'a', 'new')) > after)
      assert.is((await plane.call('GET', `/at/${floor}${CONFIGMAPS}`)).status, 410)
      await plane.stop()
      assert.equal(
        (await verify(plane.home, plane.config, quiet)).flatMap(({ damages }) => damages),
        []
      )
    } finally {
      await plane.remove()
    }
  })

all.run()
