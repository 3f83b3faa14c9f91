/** A container's log on its way to a client, who may take long to read it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { NodeCalls } from '#services/platform/NodeLink.ts'
import { accepted } from '#test/support/api.ts'
import { closed, readAll, startHttp, type TestHttp } from '#test/support/http.ts'
import { until } from '#test/support/until.ts'

const LOG = '/api/v1/namespaces/default/pods/web/log'
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const CHUNK = Buffer.alloc(64 * 1024, 'x')

const withPod = async (limits: Parameters<typeof startHttp>[0], logs: NodeCalls['logs']): Promise<TestHttp> => {
  const http = await startHttp(limits, { logs })
  accepted(
    await http.api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default' },
      spec: { nodeName: 'n1', containers: [{ name: 'web', image: 'web:1' }] }
    } as unknown as KubeObject)
  )
  return http
}

const logs = suite('logs')
logs('that nobody reads keep nobody out of anything else, and are not cut off', async () => {
  let ended = 0
  const http = await withPod(
    { reading: { total: 2, perUser: 1 }, longRunning: { total: 2, perUser: 1 }, logs: { total: 3, perUser: 2 } },
    async function* (_node, _container, _options, signal) {
      signal.addEventListener('abort', () => (ended += 1))
      // More than all that lies between a container and its reader.
      for (let n = 0; n < 1_000 && !signal.aborted; n++) yield CHUNK
    }
  )
  try {
    const unread = [await http.open(LOG, { user: 'alice' }), await http.open(`${LOG}?follow=true`, { user: 'alice' })]
    const third = await http.call('GET', LOG, { user: 'alice' })
    assert.is(third.status, 429)
    assert.match(third.body.toString(), 'user \\"alice\\" has 2 logs open')
    await http.clock.run(3_600_000)
    assert.equal([unread.map(({ destroyed }) => destroyed), ended], [[false, false], 0])
    assert.is((await http.call('GET', CONFIGMAPS, { user: 'alice' })).status, 200)
    const watch = await http.open(`${CONFIGMAPS}?watch=true`, { user: 'alice' })
    assert.is(watch.statusCode, 200)
    const bob = await http.open(LOG, { user: 'bob' })
    assert.is(bob.statusCode, 200)
    for (const one of [...unread, watch, bob]) one.destroy()
    await until('the containers are told', () => ended === 3)
    // There is room again.
    const again = await http.open(LOG, { user: 'alice' })
    assert.is(again.statusCode, 200)
    again.destroy()
  } finally {
    await http.stop()
  }
})
logs('that wait for their reader again and again leave nothing behind', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  const http = await withPod({}, async function* () {
    for (let n = 0; n < 64; n++) yield CHUNK
  })
  try {
    assert.is((await readAll(await http.open(LOG))).length, 64 * CHUNK.length)
    const { body } = await http.stream(await http.session(), LOG)
    assert.is((await readAll(body)).length, 64 * CHUNK.length)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(
      warnings.map(({ message }) => message),
      []
    )
  } finally {
    process.off('warning', warned)
    await http.stop()
  }
})
logs('whose reader leaves end at the container', async () => {
  let aborted = false
  const http = await withPod({}, async function* (_node, _container, _options, signal) {
    signal.addEventListener('abort', () => (aborted = true))
    while (!signal.aborted) yield CHUNK
  })
  try {
    const { body } = await http.stream(await http.session(), LOG)
    const over = closed(body)
    body.resume().close()
    await over
    await until('the container is told', () => aborted)
  } finally {
    await http.stop()
  }
})
logs.run()
