/** Reports through a real nats-server, while the API server is killed and killed again: none is lost, no status goes back. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { noticeReportSubject, podReportSubject } from '#events/node/messages.ts'
import { encodeToken } from '#events/Subject.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

const PODS = 12

const reports = suite('reports and an API server that dies')
let plane: Plane
let node: NatsConnection
const uids = new Map<string, string>()

const ready = (): Promise<void> => plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200)
const podPath = '/api/v1/namespaces/default/pods'
const status = async (name: string): Promise<{ phase?: string; message?: string }> =>
  (JSON.parse((await plane.call('GET', `${podPath}/${name}`)).body) as { status: { phase?: string; message?: string } }).status
/** As the agent does: until the stream says that it is stored. */
const put = async (subject: string, body: object): Promise<void> => {
  for (
    let said = body;
    !(await jetstream(node)
      .publish(subject, JSON.stringify(said))
      .then(
        () => true,
        () => false
      ));
    said = { ...body, again: true }
  )
    await wait(50)
}
const report = (name: string, message: string): Promise<void> =>
  put(podReportSubject(plane.config.nodeName, 'default', name), {
    uid: uids.get(name),
    status: { phase: 'Running', message },
    cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'c' }
  })

reports.before(async () => {
  plane = await startPlane()
  await plane.start()
  await ready()
  node = await connectNats(plane.home, plane.config, `node-${encodeToken(plane.config.nodeName)}`)
  await plane.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' }
  })
  for (let n = 0; n < PODS; n++) {
    const made = await plane.call('POST', podPath, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${n}` },
      spec: { nodeName: plane.config.nodeName, containers: [{ name: 'web', image: 'web:1' }] }
    })
    assert.is(made.status, 201, made.body)
    uids.set(`p${n}`, (JSON.parse(made.body) as { metadata: { uid: string } }).metadata.uid)
  }
})
reports.after(async () => {
  await node?.close()
  await plane?.remove()
})

reports('what was reported while nobody was there is decided when somebody is', async () => {
  await plane.kill()
  for (const name of uids.keys()) await report(name, 'while you were away')
  await plane.start()
  for (const name of uids.keys())
    await plane.until(`the report of ${name} is decided`, async () => (await status(name)).message === 'while you were away')
})
reports('killed in the middle of many, again and again, it ends with the newest of each pod, and none went back', async () => {
  let count = 0
  let notices = 0
  for (let round = 0; round < 3; round++) {
    const sending = (async () => {
      for (let n = 0; n < 25; n++) {
        count += 1
        await Promise.all([...uids.keys()].map((name) => report(name, String(count))))
        notices += 1
        await put(noticeReportSubject(plane.config.nodeName, 'default', 'p0'), {
          id: randomUUID(),
          involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name: 'p0', uid: uids.get('p0') },
          type: 'Warning',
          reason: 'BackOff',
          message: 'again',
          time: new Date().toISOString()
        })
      }
    })()
    await wait(300)
    await plane.kill()
    if (round === 1) await plane.killNats()
    await plane.start()
    await sending
  }
  for (const name of uids.keys())
    await plane.until(`the last report of ${name} is decided`, async () => (await status(name)).message === String(count), 60_000)
  await plane.until(
    'every notice is counted',
    async () => {
      const { items } = JSON.parse((await plane.call('GET', '/api/v1/namespaces/default/events')).body) as {
        items: { count: number; reason: string }[]
      }
      return items.find(({ reason }) => reason === 'BackOff')?.count === notices
    },
    60_000
  )
  const keeper = await connectNats(plane.home, plane.config, 'keeper')
  try {
    const log = new JetStreamLog(keeper, 'EVENTS')
    const seen = new Map<string, number[]>()
    for (let sequence = 1; sequence <= (await log.lastSequence()); sequence++) {
      const entry = await log.get(sequence)
      const name = /^ev\.core\.pods\.default\.(.+)$/.exec(entry?.subject ?? '')?.[1]
      if (name !== undefined)
        seen.set(
          name,
          [...(seen.get(name) ?? []), Number((JSON.parse(entry?.text ?? '{}') as { status: { message?: string } }).status.message)].filter(
            (value) => !Number.isNaN(value)
          )
        )
    }
    for (const [name, values] of seen)
      assert.equal(
        values,
        values.toSorted((a, b) => a - b),
        `the status of ${name} went back`
      )
  } finally {
    await keeper.close()
  }
})
reports('an agent that repeats itself takes no room of others, and what is too large is refused to its face', async () => {
  await plane.kill()
  const [p0, p1] = [podReportSubject(plane.config.nodeName, 'default', 'p0'), podReportSubject(plane.config.nodeName, 'default', 'p1')]
  await report('p1', 'waits')
  for (let n = 0; n < 300; n += 50) await Promise.all(Array.from({ length: 50 }, (_, at) => report('p0', `again ${n + at}`)))
  await report('p0', 'the last one')
  const huge = jetstream(node).publish(p1, JSON.stringify({ uid: uids.get('p1'), status: { message: 'x'.repeat(2 ** 20) } }))
  assert.match(String(await huge.catch((error: unknown) => error)), /message size exceeds maximum allowed/)
  const keeper = await connectNats(plane.home, plane.config, 'keeper')
  try {
    const jsm = await jetstreamManager(keeper, { checkAPI: false })
    const { state } = await jsm.streams.info('REPORTS', { subjects_filter: 'report.>' })
    assert.is(state.subjects?.[p0], 128)
    assert.ok((state.subjects?.[p1] ?? 0) > 0)
  } finally {
    await keeper.close()
  }
  await plane.start()
  await plane.until(
    'both are decided',
    async () => (await status('p0')).message === 'the last one' && (await status('p1')).message === 'waits'
  )
})
reports.run()
