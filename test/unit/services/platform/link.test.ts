/** A connection's state, and intents over it: what waits leaves nothing behind, and what is told to come again does. */
import type { NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult } from '#events/Intent.ts'
import { conflict, tooManyRequests } from '#events/Refusal.ts'
import { whenConnected } from '#services/platform/jetstream/link.ts'
import { NatsIntents } from '#services/platform/NatsIntents.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A connection whose state the test says, and who asked to be told of its end. */
const connectionOf = () => {
  const told: ((next: IteratorResult<{ type: string }>) => void)[] = []
  let end = (): void => {}
  let waiting = 0
  const over = new Promise<void>((resolve) => (end = resolve))
  const connection = {
    isClosed: () => false,
    closed: () => ((waiting += 1), over),
    status: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise((resolve) => told.push(resolve)) }) })
  }
  const says = async (type: string): Promise<void> => {
    told.shift()?.({ done: false, value: { type } })
    await settled()
  }
  return { connection: connection as unknown as NatsConnection, says, end, waiting: () => waiting }
}

const link = suite('a connection')
link('is waited for any number of times, and its end is listened to once', async () => {
  const { connection, says, waiting } = connectionOf()
  assert.ok(await whenConnected(connection, 1_000))
  await says('disconnect')
  for (let n = 0; n < 50; n++) assert.not(await whenConnected(connection, 1))
  assert.is(waiting(), 1)
  const back = whenConnected(connection, 10_000)
  await says('reconnect')
  assert.ok(await back)
})
link('that ends for good is not waited for any longer', async () => {
  const { connection, says, end } = connectionOf()
  await whenConnected(connection, 0)
  await says('disconnect')
  const began = performance.now()
  const waits = [whenConnected(connection, 10_000), whenConnected(connection, 10_000)]
  end()
  assert.equal(await Promise.all(waits), [false, false])
  assert.ok(performance.now() - began < 5_000)
})
link.run()

const intents = suite('intents over NATS')
const INTENT = {
  id: 'an-intent',
  verb: 'delete',
  ref: { group: '', resource: 'pods' },
  version: 'v1',
  namespace: 'default',
  name: 'a',
  source: 'test'
} satisfies Intent
const asking = (...answers: IntentResult[]) => {
  const asked: Intent[] = []
  const { connection } = connectionOf()
  const request = async (_: string, body: string) => {
    asked.push(JSON.parse(body) as Intent)
    const answer = answers.shift()
    return { json: () => [answer] }
  }
  return { asked, intents: new NatsIntents({ ...connection, request } as unknown as NatsConnection, { user: 'node-n1' }) }
}
const DONE = { ok: true, code: 200, object: {}, sequence: 7 } as unknown as IntentResult
const no = (status: ReturnType<typeof conflict>['status']): IntentResult => ({ ok: false, status })
intents('come again when they are told when', async () => {
  const { asked, intents: it } = asking(no(tooManyRequests('too many requests', 0.02).status), DONE)
  assert.equal(await it.submit(INTENT), DONE)
  assert.equal(asked, [INTENT, { ...INTENT, again: true }])
})
intents('take any other answer as it is, and one that asks for more patience than there is', async () => {
  for (const status of [conflict(INTENT.ref, 'a').status, tooManyRequests('too many').status, tooManyRequests('too many', 3_600).status]) {
    const { asked, intents: it } = asking(no(status), DONE)
    assert.equal(await it.submit(INTENT), no(status))
    assert.equal(asked, [INTENT])
  }
})
intents.run()
