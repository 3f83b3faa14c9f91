/** A log that was damaged while nobody looked is never taken for a whole or a new one; and there is a way on. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { acceptLoss } from '#ops/log/accept.ts'
import { quarantine, strangeEntries, verify } from '#ops/log/commands.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { runningServer } from '#ops/nats/server.ts'
import { noteBlocks, streamsFolder } from '#ops/nats/store.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

const all = suite('a damaged log')
const damage = sideBySide(all, 3)

const quiet = (): void => {}
const streamFolder = (plane: Plane, stream = 'EVENTS'): string => join(streamsFolder(plane.home), stream)
const blocks = (plane: Plane): string[] =>
  readdirSync(join(streamFolder(plane), 'msgs'))
    .filter((file) => file.endsWith('.blk'))
    .sort((a, b) => Number.parseInt(a) - Number.parseInt(b))
    .map((file) => join(streamFolder(plane), 'msgs', file))

const put = async (plane: Plane, name: string, value: string): Promise<number> => {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } }
  const { status, body } = await plane.call('POST', '/api/v1/namespaces/default/configmaps', object)
  assert.is(status, 201, body)
  return Number((JSON.parse(body) as { metadata: { resourceVersion: string } }).metadata.resourceVersion)
}
const names = async (plane: Plane): Promise<string[]> =>
  (JSON.parse((await plane.call('GET', '/api/v1/namespaces/default/configmaps')).body) as { items: { metadata: { name: string } }[] }).items
    .map(({ metadata }) => metadata.name)
    .filter((name) => name.startsWith('c'))
/** Text that does not compress. */
const noise = (bytes: number): string =>
  Array.from({ length: bytes / 8 }, () => Math.random().toString(36).slice(2, 10).padEnd(8, 'x')).join('')

/** A cluster with `count` ConfigMaps of `bytes`; killed, both processes, with no warning. */
const killed = async (count: number, bytes = 100): Promise<{ plane: Plane; last: number }> => {
  const plane = await startPlane()
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  let last = 0
  for (let n = 0; n < count; n++) last = await put(plane, `c${n}`, noise(bytes))
  await plane.kill()
  await plane.killNats()
  return { plane, last }
}

/** It answers every question with what is wrong, and writes nothing. */
const refuses = async (plane: Plane, what: RegExp): Promise<string> => {
  await plane.start()
  const health = await plane.call('GET', '/readyz')
  assert.is(health.status, 500)
  assert.match(health.body, what)
  assert.match(health.body, '--accept-loss')
  assert.match(health.body, 'reckon restore')
  assert.is((await plane.call('GET', '/livez')).status, 200)
  for (const [method, path, body] of [
    ['GET', '/api/v1/namespaces/default/configmaps', undefined],
    ['POST', '/api/v1/namespaces/default/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'late' } }],
    ['DELETE', '/api/v1/namespaces/default/configmaps/c0', undefined]
  ] as const) {
    const answer = await plane.call(method, path, body)
    assert.is(answer.status, 503, `${method} ${path}`)
    assert.match((JSON.parse(answer.body) as { message: string }).message, what)
  }
  return health.body
}

/** After a person's word the cluster goes on: what is left is served, and no version is given out a second time. */
const goesOn = async (plane: Plane, last: number): Promise<void> => {
  await plane.kill()
  const accepted = await acceptLoss(plane.home, plane.config, quiet)
  assert.ok(accepted.some(({ stream, losses }) => stream === 'EVENTS' && losses.length > 0))
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
  assert.ok((await put(plane, 'after', 'x')) > last, 'a resourceVersion was handed out twice')
  await plane.stop()
  const verdicts = await verify(plane.home, plane.config, quiet)
  assert.equal(
    verdicts.flatMap(({ damages }) => damages),
    []
  )
  await plane.start()
  await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
}

const flip = (path: string, at: number): void => {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, at)
  writeSync(file, Buffer.from([(byte[0] as number) ^ 0x10]), 0, 1, at)
  closeSync(file)
}

damage('one rotten bit in a finished file, and a crash: nothing is started on it, nothing is lost but that file', async () => {
  const { plane, last } = await killed(40, 400_000)
  try {
    assert.ok(blocks(plane).length > 1, 'the log fills more than one file')
    await noteBlocks(plane.home, Date.now() + 60_000)
    const [first = ''] = blocks(plane)
    flip(first, 20_000)
    const before = readFileSync(first)
    await refuses(plane, /EVENTS\/msgs\/1\.blk/)
    assert.is(runningServer(plane.home), undefined, 'nats-server was started on files that are not what they were')
    assert.ok(readFileSync(first).equals(before), 'the damaged file was touched')
    assert.ok(blocks(plane).length > 1)
    await goesOn(plane, last)
    // The events of the other files are still there.
    assert.ok((await names(plane)).length > 5)
    assert.ok(
      readdirSync(join(plane.home, 'nats/aside'), { recursive: true }).some((file) => String(file).endsWith('1.blk')),
      'the damaged file is kept aside'
    )
  } finally {
    await plane.remove()
  }
})

damage('the tail cut off after a crash: what is missing is named, and what was there is kept aside', async () => {
  const { plane, last } = await killed(30, 2_000)
  try {
    const [block = ''] = blocks(plane).slice(-1)
    truncateSync(block, Math.floor(statSync(block).size / 2))
    const size = statSync(block).size
    const text = await refuses(plane, new RegExp(`it ends at \\d+, but ${last} events were acknowledged \\(missing: \\d+-${last}\\)`))
    assert.match(text, 'nats/aside')
    const kept = readdirSync(join(plane.home, 'nats/aside'), { recursive: true, withFileTypes: true }).find(
      (entry) => entry.isFile() && entry.name === '1.blk' && entry.parentPath.includes('/EVENTS/')
    )
    assert.is(
      kept === undefined ? 0 : statSync(join(kept.parentPath, kept.name)).size,
      size,
      'the file as it was before nats-server started'
    )
    await goesOn(plane, last)
  } finally {
    await plane.remove()
  }
})

damage('a flipped bit and a lost index: nats-server drops what is behind it, and reckon says so', async () => {
  const { plane, last } = await killed(30, 2_000)
  try {
    rmSync(join(streamFolder(plane), 'msgs/index.db'), { force: true })
    const [block = ''] = blocks(plane).slice(-1)
    flip(block, Math.floor(statSync(block).size / 2))
    await refuses(plane, /missing: \d+-\d+/)
    await goesOn(plane, last)
  } finally {
    await plane.remove()
  }
})

damage('a flipped bit behind a good index: nats-server serves it with a hole, and reckon does not', async () => {
  const { plane, last } = await killed(30, 2_000)
  try {
    await plane.start()
    await plane.stop()
    const [block = ''] = blocks(plane).slice(-1)
    flip(block, Math.floor(statSync(block).size / 2))
    await refuses(plane, /missing|can't read|not what was written/)
    await goesOn(plane, last)
  } finally {
    await plane.remove()
  }
})

damage('the whole stream gone: not a new cluster', async () => {
  const { plane, last } = await killed(5)
  try {
    rmSync(streamFolder(plane), { recursive: true })
    await refuses(plane, /the stream is not there, though \d+ events were acknowledged/)
    assert.not(existsSync(streamFolder(plane)), 'a new stream was made over it')
    await goesOn(plane, last)
  } finally {
    await plane.remove()
  }
})

damage('another store under it: not this cluster', async () => {
  const { plane } = await killed(5)
  const other = await killed(8)
  try {
    rmSync(join(plane.home, 'nats/store'), { recursive: true })
    const { cpSync } = await import('node:fs')
    cpSync(join(other.plane.home, 'nats/store'), join(plane.home, 'nats/store'), { recursive: true })
    await refuses(plane, /another stream stands in its place/)
  } finally {
    await plane.remove()
    await other.plane.remove()
  }
})

damage('the log cut short under a running API server: it stops at once, and does not come back as if nothing were', async () => {
  const plane = await startPlane()
  try {
    await plane.start()
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    for (let n = 0; n < 20; n++) await put(plane, `c${n}`, noise(2_000))
    await plane.killNats()
    const [block = ''] = blocks(plane).slice(-1)
    truncateSync(block, Math.floor(statSync(block).size / 2))
    await plane.until('it says what happened', async () => /can't go on: EVENTS: it ended at \d+, and ends at \d+ now/.test(plane.log()))
    await plane.kill()
    await refuses(plane, /it ended at \d+, and ends at \d+ now/)
  } finally {
    await plane.remove()
  }
})

damage('rot under a running API server: the scrubber finds it; reads go on, writes do not, and the next start knows', async () => {
  const plane = await startPlane('apiserver', {}, { config: { settings: { scrub: { megabytesPerSecond: 1_000, every: '15s' } } } })
  try {
    await plane.start()
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    for (let n = 0; n < 20; n++) await put(plane, `c${n}`, noise(2_000))
    const [block = ''] = blocks(plane)
    flip(block, Math.floor(statSync(block).size / 2))
    // The server reads its files again once what it has of them in memory is 10 s old.
    await plane.until('it is noticed', async () => (await plane.call('GET', '/readyz/log-integrity')).status === 500, 120_000)
    assert.match((await plane.call('GET', '/readyz/log-integrity')).body, /EVENTS: .*events \d+/)
    assert.match(plane.log(), /the log is damaged: .*Writes are refused from now on/)
    assert.is((await names(plane)).length, 20)
    for (const [method, path, body] of [
      ['POST', '/api/v1/namespaces/default/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'late' } }],
      ['DELETE', '/api/v1/namespaces/default/configmaps/c0', undefined]
    ] as const) {
      const answer = await plane.call(method, path, body)
      assert.is(answer.status, 503)
      assert.match((JSON.parse(answer.body) as { message: string }).message, /^the log is damaged: EVENTS: .*can still be read/)
    }
    assert.is((await plane.call('GET', '/livez')).status, 200)
    await plane.kill()
    await refuses(plane, /EVENTS: /)
  } finally {
    await plane.remove()
  }
})

damage('what is not ours is passed over and told, the cluster works, and a person can put it aside', async () => {
  const plane = await startPlane()
  try {
    await plane.start()
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    await put(plane, 'c0', 'x')
    // Who has the API server's own credentials, and not its key.
    const nats = await connectNats(plane.home, plane.config, 'apiserver')
    for (const [subject, text] of [
      ['ev.core.configmaps.default.evil', '{"error":"an answer of the server"}'],
      ['ev.core.configmaps.default.c0', 'not JSON at all'],
      ['ev.nonsense', '']
    ] as const)
      await nats.request(subject, text, { timeout: 2_000 })
    await nats.close()
    // An agent's pulse stands among the objects of PULSE, and is none.
    const node = await connectNats(plane.home, plane.config, `node-${plane.config.nodeName}`)
    node.publish(`pulse.node.${plane.config.nodeName}`, '{}')
    await node.flush()
    await node.close()
    await plane.until('it is told', async () => (plane.log().match(/was not written by this cluster's API server/g)?.length ?? 0) === 3)
    // The object whose subject was written to can still be changed.
    const changed = await plane.call(
      'PATCH',
      '/api/v1/namespaces/default/configmaps/c0',
      { data: { value: 'y' } },
      { 'content-type': 'application/merge-patch+json' }
    )
    assert.is(changed.status, 200, changed.body)
    await put(plane, 'c1', 'x')
    await plane.kill()
    await plane.start()
    await plane.until('it is ready again', async () => (await plane.call('GET', '/readyz')).status === 200)
    assert.equal(await names(plane), ['c0', 'c1'])
    const found = await strangeEntries(plane.home, plane.config, quiet)
    assert.equal(
      found.map(({ subject, why }) => `${subject} ${why}`),
      ['ev.core.configmaps.default.evil not sealed', 'ev.core.configmaps.default.c0 not sealed', 'ev.nonsense not sealed']
    )
    await plane.stop()
    await quarantine(
      plane.home,
      plane.config,
      'EVENTS',
      found.map(({ sequence }) => sequence),
      quiet
    )
    await quarantine(plane.home, plane.config, 'EVENTS', [1], quiet).then(
      () => assert.unreachable('an event of ours was put aside'),
      (error: Error) => assert.match(error.message, 'history is not taken away')
    )
    const told = plane.log().length
    await plane.start()
    await plane.until('it is ready again', async () => (await plane.call('GET', '/readyz')).status === 200)
    assert.not.match(plane.log().slice(told), /was not written by/)
    assert.equal(await names(plane), ['c0', 'c1'])
  } finally {
    await plane.remove()
  }
})

all.run()
