/** An agent asks what the log says of its pods, over a real nats-server; and what it reports twice is stored once. */
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { FateAnswer, NoticeReport, Stray } from '#events/node/messages.ts'
import type { Status } from '#events/Refusal.ts'
import { serveGone } from '#services/apiserver/door/gone.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { NatsLink } from '#services/kubelet/NatsLink.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import type { BindingUpdate } from '#services/platform/NodeLink.ts'
import { serveFollows } from '#services/apiserver/door/follow.ts'
import { accepted, ADMIN } from '#test/support/api.ts'
import { serverOn } from '#test/support/expiring.ts'
import { startNats, type TestNats } from '#test/support/nats.ts'
import { until } from '#test/support/until.ts'

const PODS = { group: '', resource: 'pods' }

const gone = suite('what became of a pod')
let nats: TestNats
let apiserver: NatsConnection
let server: Awaited<ReturnType<typeof serverOn>>
let publisher: BindingPublisher
let link: NatsLink
const doors: { close(): Promise<void> }[] = []
const errors: unknown[] = []

const submit = (verb: 'create' | 'delete', resource: string, name: string, more: object = {}) =>
  server.decider.submit(
    { id: systemClock.uuid(), verb, ref: { group: '', resource }, version: 'v1', namespace: 'default', name, source: 'test', ...more },
    ADMIN
  )
const seal = allNodes(new Map([['k1', Buffer.alloc(32, 7)]]))
const create = async (name: string, nodeName: string): Promise<Stray> => {
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { nodeName, containers: [{ name: 'web', image: 'web:1' }] } }
  return { namespace: 'default', name, uid: accepted(await submit('create', 'pods', name, { object })).metadata.uid as string, since: 0 }
}

gone.before(async () => {
  nats = await startNats()
  apiserver = await nats.as('apiserver')
  server = await serverOn(
    {
      EVENTS: new JetStreamLog(apiserver, 'EVENTS'),
      NOTICES: new JetStreamLog(apiserver, 'NOTICES', { gapless: false }),
      PULSE: new JetStreamLog(apiserver, 'PULSE', { gapless: false, filter: 'pulse.object.>' })
    },
    systemClock
  )
  accepted(
    await submit('create', 'serviceaccounts', 'default', {
      object: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
    })
  )
  publisher = new BindingPublisher({
    views: server.views,
    bindings: new JetStreamLog(apiserver, 'BINDINGS', { gapless: false }),
    tokens: { issue: async () => ({ token: 't', expiresAt: '2100-01-01T00:00:00Z' }) },
    clusterCA: '',
    seal,
    clock: systemClock,
    onError: (error) => errors.push(error)
  })
  await publisher.start()
  doors.push(
    serveGone({
      views: server.views,
      connection: apiserver,
      onUnbound: (pod) => publisher.renew(pod),
      onError: (error) => errors.push(error)
    }),
    serveFollows({ connection: apiserver, onError: (error) => errors.push(error) })
  )
  link = new NatsLink(await nats.as('node-n1'), 'n1', seal, (error) => errors.push(error))
})
gone.after(async () => {
  publisher.stop()
  for (const door of doors) await door.close()
  server.close()
  await nats.stop()
})

gone('the log is asked, and a binding that is missing is written again', async () => {
  const [here, there, deleted] = [await create('here', 'n1'), await create('there', 'n2'), await create('deleted', 'n1')]
  accepted(await submit('delete', 'pods', 'deleted', { deleteOptions: { gracePeriodSeconds: 0 } }))
  const bindings: BindingUpdate[] = []
  const subscription = link.bindings({
    onUpdate: (update) => bindings.push(update),
    onCaughtUp: () => {},
    onFailed: (error) => errors.push(error)
  })
  const named = (name: string): BindingUpdate[] => bindings.filter((update) => update.name === name)
  await until('the bindings are told', () => named('here').length === 1 && named('deleted').some(({ binding }) => binding === null))
  const cluster = server.views.get({ group: '', resource: 'namespaces', namespace: '', name: 'kube-system' })?.object.metadata.uid
  for (const { origin } of bindings) assert.equal(origin, { cluster, epoch: 0 })
  const answer = await link.fates([here, there, deleted, { ...here, uid: 'never' }, { ...here, name: 'nobody' }])
  assert.equal(answer, { origin: { cluster, epoch: 0 }, fates: ['alive', 'gone', 'gone', 'unknown', 'unknown'] })
  await until('the binding is told again', () => named('here').length === 2)
  subscription.close()
  assert.equal(errors, [])
})
gone('what is no question is told what is wrong with it', async () => {
  const node = await nats.as('node-n1')
  for (const body of [
    '',
    '7',
    'null',
    '{}',
    '{"pods":{}}',
    '{"pods":[null]}',
    '{"pods":[{"namespace":"a","name":"b","uid":"c"}]}',
    JSON.stringify({ pods: Array.from({ length: 501 }, () => ({ namespace: 'a', name: 'b', uid: 'c', since: 0 })) }),
    `{"pods":[],"x":"${'x'.repeat(600_000)}"}`
  ]) {
    const answer = (await node.request('gone.node-n1', body, { timeout: 5_000 })).json<{ status?: Status }>()
    assert.is(answer.status?.code, body.length > 600_000 ? 413 : 400, body.slice(0, 60))
  }
  assert.equal((await node.request('gone.node-n1', '{"pods":[]}', { timeout: 5_000 })).json<FateAnswer>().fates, [])
})
gone('while the log can not be asked nothing is said', async () => {
  const view = server.views.of(PODS)
  const { lastSequence } = view.log
  view.log.lastSequence = () => Promise.reject(new Error('away'))
  await link.fates([{ namespace: 'default', name: 'here', uid: 'x', since: 0 }]).then(
    () => assert.unreachable('it was answered'),
    (error: Error) => assert.match(error.message, 'the log can not be asked now')
  )
  view.log.lastSequence = lastSequence
  errors.length = 0
})
gone('a notice whose acknowledgement was lost is stored once', async () => {
  const notice: NoticeReport = {
    id: systemClock.uuid(),
    involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name: 'here', uid: 'x' },
    type: 'Normal',
    reason: 'Started',
    message: 'm',
    time: '2026-01-01T00:00:00.000Z'
  }
  await link.reportNotice('default', 'here', notice)
  await link.reportNotice('default', 'here', { ...notice, again: true })
  assert.is((await (await jetstreamManager(apiserver, { checkAPI: false })).streams.info('REPORTS')).state.messages, 1)
})
gone.run()
