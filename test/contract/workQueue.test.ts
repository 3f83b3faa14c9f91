/** The work queue's contract, held by both twins: memory, and a durable consumer on a real nats-server. */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Subscription } from '#events/Log.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamWorkQueue } from '#services/platform/jetstream/JetStreamWorkQueue.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { OUTSTANDING, type Delivery, type WorkQueue } from '#services/platform/WorkQueue.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'

interface Bench {
  readonly queue: WorkQueue
  /** Stores entries; resolves when they are stored. */
  put(...names: string[]): Promise<void>
}

/** Short, for the tests' sake. */
const ACK_WAIT_MS = 2_000

const subject = (name: string): string => `report.n1.pod.default.${name}`

/** What a consumer got, and a way to wait for it. */
const consumer = (queue: WorkQueue, take: (delivery: Delivery) => void = () => {}) => {
  const got: Delivery[] = []
  const errors: unknown[] = []
  let look = (): void => {}
  const subscription: Subscription = queue.consume(
    (delivery) => {
      got.push(delivery)
      take(delivery)
      look()
    },
    (error) => errors.push(error)
  )
  const until = (wanted: number | string): Promise<Delivery[]> =>
    new Promise((resolve) => {
      look = () => (typeof wanted === 'number' ? got.length >= wanted : shown(got).includes(wanted)) && resolve(got)
      look()
    })
  return { got, errors, until, close: () => subscription.close() }
}
const shown = (deliveries: readonly Delivery[]): string[] =>
  deliveries.map(({ subject: on, sequence, again }) => `${sequence} ${on.split('.').at(-1)}${again ? ' again' : ''}`)

const contract = (name: string, open: () => Promise<Bench>, close: () => Promise<void>): void => {
  const work = suite(`the work queue's contract: ${name}`)
  let it: Bench
  work.before.each(async () => {
    it = await open()
  })
  work.after.each(close)

  work('hands out what is there and what comes, oldest first, with its size', async () => {
    await it.put('a', 'b')
    const one = consumer(it.queue, (delivery) => delivery.done())
    await one.until(2)
    await it.put('c')
    await one.until(3)
    // What was there when it came may have been worked on by another, whose word of it was lost.
    assert.equal(shown(one.got), ['1 a again', '2 b again', '3 c'])
    assert.equal(
      one.got.map(({ size }) => size),
      [7, 7, 7]
    )
    one.close()
    assert.equal(one.errors, [])
  })
  work('reads bodies by place, and the newest of a subject', async () => {
    await it.put('a', 'b', 'a')
    assert.is((await it.queue.read(2))?.text, 'b 2 ✓')
    assert.is((await it.queue.newest(subject('a')))?.sequence, 3)
    assert.is((await it.queue.newest(subject('a')))?.text, 'a 3 ✓')
    assert.is(await it.queue.newest(subject('nobody')), undefined)
    assert.is(await it.queue.read(99), undefined)
  })
  work('what is given back comes again at once, marked so; what is done with does not', async () => {
    await it.put('early')
    const one = consumer(it.queue, (delivery) => (delivery.sequence === 2 && !delivery.again ? delivery.giveBack() : delivery.done()))
    await one.until(1)
    await it.put('a', 'b')
    await one.until(4)
    assert.equal(shown(one.got).sort(), ['1 early again', '2 a', '2 a again', '3 b'])
    one.close()
    const two = consumer(it.queue)
    await it.put('c')
    await two.until(1)
    // It may have been on its way to the first one.
    assert.equal(
      two.got.map(({ sequence }) => sequence),
      [4]
    )
    two.close()
  })
  work('two consumers share it, each entry with one of them', async () => {
    const all = new Map<number, number>()
    const count = ({ sequence, done }: Delivery): void => {
      all.set(sequence, (all.get(sequence) ?? 0) + 1)
      done()
    }
    const [one, two] = [consumer(it.queue, count), consumer(it.queue, count)]
    // Both must be asking before anything is there.
    await new Promise((resolve) => setTimeout(resolve, 200))
    for (let n = 0; n < 50; n++) await it.put(`p${n}`)
    while (all.size < 50) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.equal(
      [...all.values()].filter((times) => times !== 1),
      []
    )
    assert.ok(one.got.length > 0 && two.got.length > 0, `${one.got.length} and ${two.got.length}`)
    one.close()
    two.close()
  })
  work('what a consumer that vanished had comes again to another; what is being worked on does not', async () => {
    await it.put('a', 'b')
    const first = consumer(it.queue)
    const [a, b] = (await first.until(2)) as [Delivery, Delivery]
    first.close()
    const second = consumer(it.queue, (delivery) => delivery.done())
    // b is said to be worked on until a has come again, and some time more.
    const busy = setInterval(() => b.working(), ACK_WAIT_MS / 4)
    await second.until(1)
    assert.equal(shown(second.got), ['1 a again'])
    await new Promise((resolve) => setTimeout(resolve, ACK_WAIT_MS / 2))
    assert.is(second.got.length, 1)
    clearInterval(busy)
    b.done()
    a.done()
    second.close()
  })
  work('of some subjects all but the newest can be taken away, handed out or not, and the rest stays', async () => {
    await it.put('a', 'a', 'b', 'a')
    const one = consumer(it.queue)
    await one.until(4)
    assert.equal(
      one.got.map(({ behind }) => behind),
      [3, 2, 1, 0]
    )
    await it.queue.trim('report.n1.pod.*.a', 1)
    assert.is(await it.queue.read(1), undefined)
    assert.is(await it.queue.read(2), undefined)
    assert.is((await it.queue.newest(subject('a')))?.sequence, 4)
    assert.is((await it.queue.newest(subject('b')))?.sequence, 3)
    for (const delivery of one.got) delivery.done()
    await it.put('c')
    await one.until('5 c')
    await it.queue.trim('report.n1.>', 0)
    assert.is(await it.queue.newest(subject('b')), undefined)
    one.close()
  })
  work('no more are out than may be', async () => {
    await it.put(...Array.from({ length: OUTSTANDING + 5 }, (_, n) => `p${n}`))
    const one = consumer(it.queue)
    await one.until(OUTSTANDING)
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.is(one.got.length, OUTSTANDING)
    for (const delivery of one.got.slice(0, 3)) delivery.done()
    await one.until(OUTSTANDING + 3)
    one.close()
  })
  work.run()
}

contract(
  'memory',
  async () => {
    const queue = new MemoryWorkQueue(systemClock, { ackWaitMs: ACK_WAIT_MS })
    let sequence = 0
    return { queue, put: async (...names) => names.forEach((name) => queue.append(subject(name), `${name} ${++sequence} ✓`)) }
  },
  async () => {}
)

let nats: TestNats
contract(
  'JetStream',
  async () => {
    nats = await startNats()
    const node = await nats.as('node-n1')
    let sequence = 0
    return {
      queue: new JetStreamWorkQueue(await nats.as('apiserver'), {
        stream: 'REPORTS',
        durable: 'apiserver-reports',
        ackWaitMs: ACK_WAIT_MS
      }),
      put: async (...names) => {
        // In order: a connection's messages are stored as they come.
        const stored = names.map((name) => jetstream(node).publish(subject(name), `${name} ${++sequence} ✓`, { timeout: 30_000 }))
        await Promise.all(stored)
      }
    }
  },
  () => nats.stop()
)

const servers = suite('the work queue on JetStream')
const withNats = async (work: (own: TestNats, apiserver: NatsConnection) => Promise<void>): Promise<void> => {
  const own = await startNats()
  try {
    await work(own, await own.as('apiserver'))
  } finally {
    await own.stop()
  }
}
servers('a consumer an older version made, with other settings, goes on where it was', () =>
  withNats(async (own, apiserver) => {
    const jsm = await jetstreamManager(apiserver, { checkAPI: false })
    await jsm.consumers.add('REPORTS', {
      durable_name: 'apiserver-reports',
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: 7,
      ack_wait: 30_000_000_000
    })
    const node = jetstream(await own.as('node-n1'))
    for (const name of ['a', 'b']) await node.publish(subject(name), name)
    await (await (await jetstream(apiserver).consumers.get('REPORTS', 'apiserver-reports')).next({ expires: 2_000 }))?.ackAck()
    const one = consumer(new JetStreamWorkQueue(apiserver, { stream: 'REPORTS', durable: 'apiserver-reports', ackWaitMs: ACK_WAIT_MS }))
    assert.equal(shown(await one.until(1)), ['2 b again'])
    assert.equal(one.errors, [])
    assert.is((await jsm.consumers.info('REPORTS', 'apiserver-reports')).config.max_ack_pending, OUTSTANDING)
    one.close()
  })
)
servers('a server that was killed hands out what was not done with, and what came since', () =>
  withNats(async (own, apiserver) => {
    const node = await own.as('node-n1')
    await jetstream(node).publish(subject('a'), 'a')
    const one = consumer(new JetStreamWorkQueue(apiserver, { stream: 'REPORTS', durable: 'apiserver-reports', ackWaitMs: ACK_WAIT_MS }))
    await one.until(1)
    process.kill(own.server().pid, 'SIGKILL')
    await own.server().exited
    await own.restart()
    while (
      (await jetstream(node)
        .publish(subject('b'), 'b')
        .catch(() => undefined)) === undefined
    );
    await one.until(2)
    while (!shown(one.got).some((text) => text.startsWith('2 b'))) await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(shown(one.got).slice(0, 2), ['1 a again', '1 a again'])
    one.close()
  })
)
servers.run()
