/**
 * What the doors on NATS take in at a time: so many requests and bytes of each user and of all, and who sends more is told to come again.
 */
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Status } from '#events/Refusal.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { serveIntents } from '#services/apiserver/door/door.ts'
import { serveErase } from '#services/apiserver/door/erase.ts'
import { serveFollows } from '#services/apiserver/door/follow.ts'
import { serveGone } from '#services/apiserver/door/gone.ts'
import { servePulses } from '#services/apiserver/door/pulses.ts'
import { serveDoor, type DoorLimits } from '#services/apiserver/door/serve.ts'
import type { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { systemClock } from '#services/platform/Clock.ts'

/** Turns of the event loop: everything that follows from what came has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A connection as a door sees it. `answers`: what came back to each message, in the order they were sent. */
const server = () => {
  const answers: (string | undefined)[] = []
  let heard: (error: Error | null, message: Msg) => void = () => {}
  const never = (): Promise<never> => new Promise(() => {})
  const connection = {
    options: {},
    // An iterator would keep what comes.
    subscribe: (_subject: string, { callback }: { callback?: typeof heard }) => {
      heard = callback ?? (() => {})
      return { drain: async () => {}, unsubscribe: () => {}, [Symbol.asyncIterator]: () => ({ next: never }) }
    },
    request: never
  } as unknown as NatsConnection
  const send = (subject: string, body: unknown): void => {
    const at = answers.push(undefined) - 1
    const data = typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body))
    heard(null, {
      subject,
      data,
      json: () => JSON.parse(data.toString()),
      respond: (text: string) => Boolean((answers[at] = text))
    } as unknown as Msg)
  }
  const refused = (at: number): Status | undefined => {
    const answer = answers[at] === undefined ? undefined : (JSON.parse(answers[at]) as { status?: Status } | { status?: Status }[])
    return (Array.isArray(answer) ? answer[0] : answer)?.status
  }
  return { connection, send, answers, codes: () => answers.map((_, at) => refused(at)?.code), refused }
}
const fail = (error: unknown): void => {
  throw error
}

const desk = suite('a door')
/** One that answers when the test says so. */
const slow = (limits: DoorLimits, largest = 100) => {
  const it = server()
  const waiting: (() => void)[] = []
  serveDoor({
    connection: it.connection,
    subject: 'ask.*',
    limits,
    largest,
    answer: async (user, message, place) => {
      if (message.data.toString() === 'several') place.more(2)
      if (message.data.toString() === 'wrong') throw new Error('nobody knows')
      await new Promise<void>((resolve) => waiting.push(resolve))
      return JSON.stringify(user)
    },
    refuse: (status) => JSON.stringify({ status }),
    onError: () => {}
  })
  const answerAll = async (): Promise<void> => {
    for (const go of waiting.splice(0)) go()
    await settled()
  }
  return { ...it, answerAll }
}
const many = { total: 1_000, perUser: 1_000 }
desk('takes so many requests of a user and so many of all, and more when some are answered', async () => {
  const it = slow({ requests: { total: 3, perUser: 2 }, bytes: many })
  for (let n = 0; n < 3; n++) it.send('ask.node-a', 'x')
  for (let n = 0; n < 2; n++) it.send('ask.node-b', 'x')
  await settled()
  assert.equal(it.codes(), [undefined, undefined, 429, undefined, 429])
  assert.equal(
    [2, 4].map((at) => it.refused(at)?.message),
    [
      'too many requests, please try again later: user "node-a" has 2 requests in flight',
      'too many requests, please try again later: the server has 3 requests in flight'
    ]
  )
  assert.is(it.refused(2)?.reason, 'TooManyRequests')
  assert.equal(it.refused(2)?.details, { retryAfterSeconds: 1 })
  // Nodes keep the control plane and the command line out of nothing.
  for (const user of ['scheduler', 'admin']) it.send(`ask.${user}`, 'x')
  await settled()
  assert.equal(it.codes().slice(5), [undefined, undefined])
  await it.answerAll()
  assert.equal([it.answers[0], it.answers[3], it.answers[5]], ['"node-a"', '"node-b"', '"scheduler"'])
  it.send('ask.node-a', 'x')
  await settled()
  assert.is(it.answers[7], undefined)
})
desk('takes so many bytes', async () => {
  const it = slow({ requests: many, bytes: { total: 250, perUser: 150 } })
  for (const user of ['a', 'a', 'b', 'c']) it.send(`ask.node-${user}`, 'x'.repeat(90))
  await settled()
  assert.equal(it.codes(), [undefined, 429, undefined, 429])
  assert.equal(
    [it.refused(1)?.message, it.refused(3)?.message].map((text) => text?.split(': ')[1]),
    ['user "node-a" has 150 bytes of requests in flight', 'the server has 180 bytes of requests in flight']
  )
  // What was refused holds nothing.
  it.send('ask.node-d', 'x'.repeat(60))
  await it.answerAll()
  it.send('ask.node-a', 'x'.repeat(100))
  await settled()
  assert.equal(it.codes().slice(4), [undefined, undefined])
})
desk('a message that is too large is refused for good; several in one message are several; what fails gives its place back', async () => {
  const it = slow({ requests: { total: 3, perUser: 3 }, bytes: many })
  it.send('ask.node-a', 'x'.repeat(101))
  assert.is(it.refused(0)?.message, 'Request entity too large: limit is 100')
  assert.is(it.refused(0)?.code, 413)
  for (let n = 0; n < 5; n++) {
    it.send('ask.node-a', 'wrong')
    await settled()
  }
  it.send('ask.node-a', 'several')
  await settled()
  it.send('ask.node-a', 'x')
  await settled()
  assert.equal(it.codes().slice(1), [undefined, undefined, undefined, undefined, undefined, undefined, 429])
})
desk.run()

const intent = (size: number) => ({
  id: 'a',
  verb: 'create',
  ref: { group: '', resource: 'configmaps' },
  version: 'v1',
  namespace: 'default',
  name: 'x',
  source: 'test',
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: 'x'.repeat(size) } }
})

const doors = suite('the doors')
doors('intents: what a decider does not answer takes at most 16 MiB of one credential, and the scheduler is heard', async () => {
  const it = server()
  let asked = 0
  const decider: Decider = { submit: () => ((asked += 1), new Promise(() => {})) }
  serveIntents(it.connection, decider, fail)
  for (let n = 0; n < 40; n++) it.send('intent.node-n1', intent(879 * 1024))
  await settled()
  assert.is(asked, 18)
  assert.equal(
    it.codes(),
    Array.from({ length: 40 }, (_, at) => (at < 18 ? undefined : 429))
  )
  it.send('intent.scheduler', intent(10))
  await settled()
  assert.is(asked, 19)
  it.send('intent.node-n1', 'x'.repeat(4 * 1024 * 1024 + 1))
  assert.is(it.refused(41)?.code, 413)
})
doors('intents: so many small ones, also many in a message', async () => {
  const it = server()
  let asked = 0
  serveIntents(it.connection, { submit: () => ((asked += 1), new Promise(() => {})) }, fail)
  for (let n = 0; n < 5; n++) it.send('intent.node-n1', Array(999).fill(intent(1)))
  await settled()
  assert.is(asked, 3_996)
  assert.equal(it.codes(), [undefined, undefined, undefined, undefined, 429])
})
doors('gone: two of a node, eight of all', async () => {
  const it = server()
  // Reads of the log that never end.
  serveGone({
    views: { of: () => ({ log: { state: () => new Promise(() => {}) } }), get: () => ({ object: { metadata: { uid: 'c' } } }) } as never,
    connection: it.connection,
    onUnbound: () => {},
    onError: () => {}
  })
  const pod = { namespace: 'default', name: 'x', uid: 'u', since: 0 }
  for (let n = 0; n < 3; n++) it.send('gone.node-n1', { pods: [pod] })
  for (let n = 2; n < 9; n++) it.send(`gone.node-n${n}`, { pods: [pod] })
  await settled()
  assert.equal(it.codes(), [undefined, undefined, 429, undefined, undefined, undefined, undefined, undefined, undefined, 429])
})
doors('follow: 32 of a user', async () => {
  const it = server()
  serveFollows({ connection: it.connection, onError: () => {} })
  for (let n = 0; n < 33; n++) it.send('follow.scheduler', { what: 'state', part: 'events' })
  await settled()
  assert.equal(it.codes(), [...Array(32).fill(undefined), 429])
})
doors('erase: one after the other, and sixteen wait', async () => {
  const it = server()
  let begun = 0
  const keys = { deleted: () => ((begun += 1), [{ uid: 'u', of: 'default/x', since: 0 }]), destroy: () => new Promise(() => {}) }
  serveErase({
    views: { get: () => undefined } as never,
    keys: keys as never,
    connection: it.connection,
    recorder: { record: () => {} },
    clock: systemClock,
    onError: fail
  })
  for (let n = 0; n < 17; n++) it.send('erase.admin', { namespace: 'default', name: 'x' })
  await settled()
  assert.is(begun, 1)
  assert.equal(it.codes(), [...Array(16).fill(undefined), 429])
})
doors('pulses: a node speaks for itself, and not at length', () => {
  const it = server()
  const taken: string[] = []
  const errors: unknown[] = []
  servePulses(it.connection, { take: ({ node }: { node: string }) => taken.push(node), stop: () => {} } as unknown as Pulses, (error) =>
    errors.push((error as Error).message)
  )
  const pulse = {
    node: 'n1',
    time: '2026-01-01T00:00:00.000000Z',
    podCIDR: '10.244.0.0/24',
    labels: {},
    addresses: [],
    capacity: {},
    allocatable: {},
    nodeInfo: {},
    conditions: []
  }
  it.send('pulse.node.n1', pulse)
  it.send('pulse.node.n2', pulse)
  it.send('pulse.node.n1', { ...pulse, labels: { x: 'x'.repeat(300_000) } })
  assert.equal(taken, ['n1'])
  assert.equal(errors, ["pulse.node.n2: the pulse is another node's", 'pulse.node.n1: the pulse has more than 262144 bytes'])
})
doors.run()
