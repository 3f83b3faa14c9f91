/** A node that floods the door of intents keeps nobody else from the log. */
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeToken } from '#events/Subject.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { startPlane } from '#test/support/plane.ts'

const doors = suite('the doors')

doors('a flood of large intents holds up no write over HTTPS', async () => {
  const plane = await startPlane()
  try {
    await plane.start()
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
    const token = encodeToken(plane.config.nodeName)
    const node = await connectNats(plane.home, plane.config, `node-${token}`)
    const large = JSON.stringify({ id: 'x', padding: 'x'.repeat(800_000) })
    let flooding = true
    const flood = (async () => {
      while (flooding) {
        for (let n = 0; n < 50 && flooding; n++) node.publish(`intent.node-${token}`, large, { reply: `_INBOX_node-${token}.x` })
        await node.flush().catch(() => {})
        await wait(5)
      }
    })()
    const took: number[] = []
    for (const end = Date.now() + 6_000; Date.now() < end || took.length < 21;) {
      const began = performance.now()
      const { status, body } = await plane.call('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { generateName: 'c-' }
      })
      assert.is(status, 201, body)
      took.push(performance.now() - began)
    }
    flooding = false
    await flood
    await node.close()
    assert.ok(Math.max(...took) < 2_500, `${took.length} writes, the slowest ${Math.round(Math.max(...took))} ms`)
    assert.not.match(plane.log(), /apiserver can't go on/)
  } finally {
    await plane.remove()
  }
})
doors.run()
