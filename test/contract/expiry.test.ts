/** Streams that keep entries for a time only, held by both twins; and an API server on real ones, with short times. */
import { at } from '#test/support/kinds.ts'
import { jetstreamManager } from '@nats-io/jetstream'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Append, Log } from '#events/Log.ts'
import type { Change } from '#projections/Objects.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { pulseOf } from '#services/apiserver/nodes/check.ts'
import { systemClock, type Clock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { accepted, ADMIN, refused } from '#test/support/api.ts'
import { serverOn } from '#test/support/expiring.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'
import { until } from '#test/support/until.ts'

const MAX_AGE_MS = 1_500
const lease = (name: string, text: string, expected?: number): Append => ({
  subject: `pulse.object.coordination%2Ek8s%2Eio.leases.default.${name}`,
  headers: { 'ce-id': text },
  text,
  ...(expected === undefined ? {} : { expected })
})

const contract = (name: string, open: () => Promise<Log>, close: () => Promise<void>): void => {
  const log = suite(`a stream that forgets: ${name}`)
  let it: Log
  log.before(async () => {
    it = await open()
  })
  log.after(close)
  log('begins later when its first entries are too old, and their subjects are empty', async () => {
    for (const one of ['a', 'b']) assert.ok((await it.append([lease(one, one, 0)])).ok)
    await wait(MAX_AGE_MS / 2)
    assert.equal(await it.append([lease('c', 'c', 0)]), { ok: true, first: 3, last: 3 })
    assert.is((await it.state()).first, 1)
    await until('the first two are gone', async () => (await it.state()).first === 3)
    assert.equal(await it.append([lease('a', 'a2', 1)]), { ok: false, conflict: true, lastSequence: 0 })
    assert.is(await it.lastOn(lease('a', '').subject), undefined)
    assert.is(await it.get(1), undefined)
    assert.equal(await it.append([lease('a', 'a2', 0)]), { ok: true, first: 4, last: 4 })
  })
  log('goes on counting when all of it is gone', async () => {
    await until('everything is gone', async () => (await it.state()).messages === 0)
    const { first, last } = await it.state()
    assert.equal([first, last], [5, 4])
    assert.equal(await it.append([lease('d', 'd', 0)]), { ok: true, first: 5, last: 5 })
  })
  log.run()
}

contract(
  'memory',
  async () => new MemoryLog('PULSE', systemClock, { keepLastOnly: true, maxAge: MAX_AGE_MS }),
  async () => {}
)

/** A server whose PULSE and NOTICES forget soon. */
const shortLived = async (): Promise<TestNats> => {
  const nats = await startNats()
  const jsm = await jetstreamManager(await nats.as('keeper'), { checkAPI: false })
  for (const stream of ['PULSE', 'NOTICES']) {
    const { config } = await jsm.streams.info(stream)
    await jsm.streams.update(stream, { ...config, max_age: MAX_AGE_MS * 1e6, duplicate_window: 1e9 })
  }
  return nats
}

let nats: TestNats
contract(
  'JetStream',
  async () => {
    nats = await shortLived()
    return new JetStreamLog(await nats.as('apiserver'), 'PULSE', { gapless: false, filter: 'pulse.object.>' })
  },
  () => nats.stop()
)

/** A clock on which ten seconds, after which a view asks its stream, are over when the test says so. */
const heldBack = () => {
  const tasks: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    after: (ms, task) => {
      if (ms !== 10_000) return systemClock.after(ms, task)
      tasks.push(task)
      return { cancel: () => void tasks.splice(tasks.indexOf(task), 1) }
    }
  }
  return { clock, over: () => tasks.splice(0).forEach((task) => task()) }
}

const server = suite('an API server on streams that forget')
server(
  'Leases and notices leave the view, can be made anew at once, and a node that returns has its Lease with the first pulse',
  async () => {
    const own = await shortLived()
    try {
      const connection = await own.as('apiserver')
      const logs = {
        EVENTS: new JetStreamLog(connection, 'EVENTS'),
        NOTICES: new JetStreamLog(connection, 'NOTICES', { gapless: false }),
        PULSE: new JetStreamLog(connection, 'PULSE', { gapless: false, filter: 'pulse.object.>' })
      }
      const { clock, over } = heldBack()
      const { views, decider, close } = await serverOn(logs, clock)
      const changes: Change[] = []
      for (const view of views.byStream.values()) view.subscribe((change) => changes.push(change))
      const about = {
        ref: { group: 'coordination.k8s.io', resource: 'leases' },
        version: 'v1',
        namespace: 'default',
        name: 'a',
        source: 'test'
      } as const
      const write = (verb: 'create' | 'update', holder: string) =>
        decider.submit(
          {
            ...about,
            verb,
            id: systemClock.uuid(),
            object: {
              apiVersion: 'coordination.k8s.io/v1',
              kind: 'Lease',
              metadata: { name: 'a', namespace: 'default' },
              spec: { holderIdentity: holder }
            }
          },
          ADMIN
        )
      const held = () => views.get({ ...about.ref, namespace: 'default', name: 'a' })
      accepted(await write('create', 'me'))
      await until('the stream has dropped it', async () => (await logs.PULSE.state()).messages === 0)
      assert.ok(held(), 'the view has not heard of it yet')
      assert.match(refused(await write('update', 'still me')), /^404 NotFound/)
      assert.equal(
        changes.filter(({ expired }) => expired === true).map(({ type, entry }) => `${type} ${entry.id}`),
        ['DELETED default/a']
      )
      accepted(await write('create', 'me'))
      await until('the stream has dropped it', async () => (await logs.PULSE.state()).messages === 0)
      over()
      await until('the view hears of it by itself', () => held() === undefined)

      const errors: unknown[] = []
      const pulses = new Pulses({ views, decider, clock: systemClock, onError: (error) => errors.push(error) })
      const beat = (time: string): void =>
        pulses.take(
          pulseOf({
            node: 'n1',
            time,
            podCIDR: '10.244.0.0/24',
            labels: {},
            addresses: [],
            capacity: {},
            allocatable: {},
            nodeInfo: {},
            conditions: []
          })
        )
      const renewed = (): unknown => at(views.get({ ...about.ref, namespace: 'kube-node-lease', name: 'n1' })?.object, 'spec.renewTime')
      const [first, second] = ['2026-01-01T00:00:00.000000Z', '2026-01-01T05:00:00.000000Z'] as const
      beat(first)
      await until('the node has its Lease', () => renewed() === first)
      await until('the stream has dropped it', async () => (await logs.PULSE.state()).messages === 0)
      beat(second)
      const began = Date.now()
      await until('the node has its Lease again', () => renewed() === second)
      assert.ok(Date.now() - began < 4_000, `it took ${Date.now() - began} ms`)
      assert.equal(errors, [])
      pulses.stop()
      close()
    } finally {
      await own.stop()
    }
  }
)
server.run()
