/** Claims and guards hold on both twins of the log: several API servers over one, in memory and on a real nats-server. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { NODE_PORTS } from '#services/apiserver/claims/service.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { onBothLogs, type LogOf } from '#test/support/bothLogs.ts'
import { claimFaults } from '#test/support/claims.ts'
import { settled, startServers, SETTINGS, type Server } from '#test/support/servers.ts'

const service = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { type: 'NodePort', ports: [{ port: 80 }] }
})
const entry = (name: string, expected?: number, on?: string) => ({
  subject: `ev.core.configmaps.default.${name}`,
  headers: { 'ce-id': name },
  text: name,
  ...(expected === undefined ? {} : { expected }),
  ...(on === undefined ? {} : { on })
})

const contract = (name: string, open: () => Promise<LogOf>, close: () => Promise<void>): void => {
  const claims = suite(`claims: ${name}`)
  let logs: (stream: StreamName) => Log
  claims.before(async () => void (logs = await open()))
  claims.after(close)

  claims('an entry that guards is stored while the other subject is as it was, and nothing of its batch otherwise', async () => {
    const log = logs('EVENTS')
    const first = await log.append([entry('quota', 0)])
    assert.ok(first.ok)
    const quota = 'ev.core.configmaps.default.quota'
    assert.ok((await log.append([entry('guard', first.last, quota), entry('one', 0)])).ok)
    assert.not.ok((await log.append([entry('guard', first.last + 7, quota), entry('two', 0)])).ok)
    assert.ok((await log.append([entry('quota', first.last)])).ok)
    const last = await log.lastSequence()
    assert.not.ok((await log.append([entry('guard', first.last, quota), entry('three', 0)])).ok)
    assert.is(await log.lastSequence(), last)
    // Several guards share a subject: they have no expectation of their own.
    assert.ok(
      (await log.append([entry('guard', last, quota), entry('guard', 0, 'ev.core.configmaps.default.nobody'), entry('four', 0)])).ok
    )
    // What a batch has written, nothing behind it can expect.
    assert.not.ok((await log.append([entry('five', 0), entry('guard', 0, 'ev.core.configmaps.default.five')])).ok)
  })
  claims('three API servers give no address and no port twice, and leave none behind', async () => {
    const servers = await startServers(3, logs, systemClock, {
      settings: { ...SETTINGS, serviceCIDR: '10.96.0.0/26', nodePorts: [30000, 30039] }
    })
    const made = await Promise.all(Array.from({ length: 60 }, (_, n) => (servers[n % 3] as Server).create(service(`s${n}`))))
    const good = made.flatMap((result) => (result.ok ? [result.object.metadata.name as string] : []))
    assert.is(good.length, 40, JSON.stringify(made.flatMap((result) => (result.ok ? [] : [result.status.message]))))
    await settled(servers)
    for (const { views } of servers) assert.equal(claimFaults(views), [])
    for (const result of await Promise.all(good.map((name, n) => (servers[(n + 1) % 3] as Server).remove('services', name))))
      assert.ok(result.ok)
    await settled(servers)
    for (const { views } of servers) {
      assert.equal(claimFaults(views), [])
      assert.is(views.collection(NODE_PORTS).size, 0)
      for (const view of views.byStream.values()) view.close()
    }
  })
  claims.run()
}

onBothLogs(contract)
