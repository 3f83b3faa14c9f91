/** What agents report, when the log or the decider is away, slow, wrong, or two API servers share the work. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { LogRefused } from '#events/Log.ts'
import { timedOut, tooManyRequests } from '#events/Refusal.ts'
import { noticeReportSubject, podReportSubject } from '#events/node/messages.ts'
import { ApiDecider, type Decider } from '#services/apiserver/Decider.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { Unresolved } from '#services/apiserver/Committer.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'

const PODS = { group: '', resource: 'pods' }
const EVENTS = { group: '', resource: 'events' }

/** What comes of an intent before the real decider sees it; undefined: it sees it. */
type Fault = (intent: Intent) => Promise<IntentResult> | undefined

interface Lab {
  readonly api: TestApi
  readonly clock: VirtualClock
  readonly queue: MemoryWorkQueue
  readonly errors: string[]
  readonly submitted: Intent[]
  fault: Fault
  ingest(): ReportIngest
  /** As another API server on the same log: it remembers no answer. */
  forget(): void
  /** A bound pod; its uid. */
  pod(name: string, node?: string): Promise<string>
  report(name: string, uid: string, phase: string, more?: object): number
  notice(name: string, uid: string, message: string, more?: object): number
  phase(name: string): string | undefined
  counts(): number[]
}

const lab = async (): Promise<Lab> => {
  const clock = new VirtualClock(7)
  const api = await startTestApi(clock)
  const queue = new MemoryWorkQueue(clock)
  const errors: string[] = []
  const submitted: Intent[] = []
  let real: Decider = api.decider
  const decider: Decider = {
    submit: (intent: Intent, user: UserInfo) => {
      submitted.push(intent)
      return it.fault(intent) ?? real.submit(intent, user)
    }
  }
  const it: Lab = {
    api,
    clock,
    queue,
    errors,
    submitted,
    fault: () => undefined,
    ingest: () => {
      const ingest = new ReportIngest({
        views: api.views,
        decider,
        reports: queue,
        clock,
        onError: (error) => errors.push((error as Error).message)
      })
      ingest.start()
      return ingest
    },
    forget: () =>
      void (real = new ApiDecider({ views: api.views, clock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } })),
    pod: async (name, node = 'n1') => {
      const made = accepted(
        await api.create({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name },
          spec: { nodeName: node, containers: [{ name: 'web', image: 'web:1' }] }
        })
      )
      return made.metadata.uid as string
    },
    report: (name, uid, phase, more = {}) =>
      queue.append(
        podReportSubject('n1', 'default', name),
        JSON.stringify({ uid, status: { phase }, cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'c' }, ...more })
      ),
    notice: (name, uid, message, more = {}) =>
      queue.append(
        noticeReportSubject('n1', 'default', name),
        JSON.stringify({
          involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name, uid },
          type: 'Normal',
          reason: 'Started',
          message,
          time: '2026-01-01T00:00:00.000Z',
          ...more
        })
      ),
    phase: (name) => api.get({ apiVersion: 'v1', kind: 'Pod', name })?.['status']?.phase as string | undefined,
    counts: () =>
      api.views
        .collection(EVENTS)
        .list()
        .map(({ object }) => object['count'] as number)
  }
  return it
}

const reports = suite('reports')

reports('a report is decided, acknowledged, and follows from what the agent was told', async () => {
  const it = await lab()
  const ingest = it.ingest()
  const uid = await it.pod('a')
  it.report('a', uid, 'Running')
  await it.clock.run(1_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Running')
  assert.equal(it.queue.left, [])
  assert.is(it.submitted[0]?.cause?.ref, 'EVENTS:1')
  assert.is(it.submitted[0]?.object?.metadata.resourceVersion !== undefined, true)
  await ingest.stop()
})

for (const [what, fail] of [
  ['its outcome is unknown', () => Promise.reject(new Unresolved('no acknowledgement'))],
  ['the log does not answer in time', () => Promise.resolve({ ok: false, status: timedOut('the log did not acknowledge').status })],
  ['the API server has too much to do', () => Promise.resolve({ ok: false, status: tooManyRequests('later', 1).status })],
  ['the disk is full', () => Promise.reject(new LogRefused('EVENTS refused the write', 'full'))],
  ['the view is closed', () => Promise.reject(new Error('the view was closed'))]
] as const satisfies readonly (readonly [string, () => Promise<IntentResult>])[])
  reports(`while ${what}, a report waits, for an hour if need be, and is decided then`, async () => {
    const it = await lab()
    const uid = await it.pod('a')
    const ingest = it.ingest()
    it.fault = fail
    it.report('a', uid, 'Running')
    it.notice('a', uid, 'Started container web')
    await it.clock.run(3_600_000)
    assert.equal(it.queue.left, [1, 2], 'it was acknowledged without being decided')
    const tries = it.submitted.length
    assert.ok(tries > 1_000 && tries < 4_000, `${tries} tries in an hour`)
    assert.ok(it.errors.length > 100 && it.errors.length < 400, `it is told now and then: ${it.errors.length} times`)
    assert.match(it.errors[0] as string, /waits? to be decided/)
    it.fault = () => undefined
    await it.clock.run(10_000, () => it.queue.left.length === 0)
    assert.is(it.phase('a'), 'Running')
    assert.equal(it.counts(), [1])
    await ingest.stop()
  })

reports('what is refused for good is done with, and told', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  it.queue.append(podReportSubject('n1', 'default', 'a'), 'not JSON')
  it.queue.append(podReportSubject('n1', 'default', 'b'), '{"uid":"x"}')
  it.queue.append(noticeReportSubject('n1', 'default', 'a'), '{"type":"Normal"}')
  it.queue.append(noticeReportSubject('n1', 'default', 'b'), JSON.stringify({ id: 'has spaces in it' }))
  it.queue.append('report.n1.else.default.a', '{}')
  it.notice('c', uid, 'x', { involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'other', name: 'a', uid } })
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.equal(it.queue.left, [])
  for (const why of [/is not JSON/, /has no status/, /reason and message must be text/, /id: must match/])
    assert.ok(
      it.errors.some((error) => why.test(error)),
      `${why} in ${it.errors.join('; ')}`
    )
  await ingest.stop()
})
reports('what concerns no pod of this node changes nothing, and is done with', async () => {
  const it = await lab()
  const uid = await it.pod('a', 'n2')
  await it.pod('b')
  const ingest = it.ingest()
  it.report('a', uid, 'Failed')
  it.report('b', 'another', 'Failed')
  it.report('gone', 'gone', 'Failed')
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.equal([it.phase('a'), it.phase('b')], ['Pending', 'Pending'])
  assert.equal(it.submitted, [])
  await ingest.stop()
})
reports('a report too long to be one is not read', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  it.report('a', uid, 'Running', { status: { phase: 'Running', message: 'x'.repeat(1024 * 1024) } })
  it.notice('a', uid, 'x'.repeat(1024 * 1024))
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Pending')
  assert.is(it.errors.filter((error) => /is not read/.test(error)).length, 2)
  await ingest.stop()
})
reports('a mistake of ours does not stop the reports of others, nor those that come after', async () => {
  const it = await lab()
  const [a, b] = [await it.pod('a'), await it.pod('b')]
  const ingest = it.ingest()
  it.fault = (intent) =>
    intent.name === 'a' && at(intent.object, 'status.phase') === 'Unknown'
      ? Promise.reject(new TypeError('x is not a function'))
      : undefined
  it.report('a', a, 'Unknown')
  it.report('b', b, 'Running')
  await it.clock.run(30_000, () => it.queue.left.length === 0)
  assert.equal(it.queue.left, [])
  assert.is(it.phase('b'), 'Running')
  it.report('a', a, 'Running')
  await it.clock.run(1_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Running')
  await ingest.stop()
})

reports('of many reports of a pod the newest is decided, and the others are acknowledged only then', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  for (let n = 0; n < 3_000; n++)
    it.report('a', uid, n === 2_999 ? 'Succeeded' : 'Running', {
      status: { phase: n === 2_999 ? 'Succeeded' : 'Running', message: String(n) }
    })
  let refuse = true
  it.fault = () => (refuse ? Promise.reject(new Error('away')) : undefined)
  const ingest = it.ingest()
  await it.clock.run(60_000)
  assert.is(it.queue.left.length, 3_000)
  refuse = false
  it.submitted.length = 0
  await it.clock.run(60_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Succeeded')
  assert.ok(it.submitted.length < 5, `${it.submitted.length} intents for one pod`)
  await ingest.stop()
})
reports('notices are counted, one by one', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  for (let n = 0; n < 5; n++) it.notice('a', uid, 'Back-off')
  it.notice('a', uid, 'other')
  await it.clock.run(10_000, () => it.queue.left.length === 0)
  assert.equal(it.counts().sort(), [1, 5])
  await ingest.stop()
})
reports('a broken notice takes no other along, nor does one that comes again while another is decided', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  it.queue.append(noticeReportSubject('n1', 'default', 'a'), '{}')
  it.notice('a', uid, 'Back-off')
  it.notice('a', uid, 'Back-off')
  // Delivered to one that vanishes: it comes again later than the others.
  const vanishing = it.queue.consume(() => {})
  await it.clock.run(100)
  vanishing.close()
  let go = (): void => {}
  const gate = new Promise<undefined>((resolve) => (go = () => resolve(undefined)))
  it.fault = (intent) =>
    gate.then(() => it.api.decider.submit(intent, { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] }))
  it.notice('a', uid, 'Back-off')
  const ingest = it.ingest()
  await it.clock.run(20_000)
  go()
  await it.clock.run(30_000, () => it.queue.left.length === 0)
  assert.equal(it.counts(), [3])
  await ingest.stop()
})
reports('a notice that reached the stream twice is counted once', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const first = it.ingest()
  it.notice('a', uid, 'Back-off', { id: '11111111-1111' })
  it.notice('a', uid, 'Back-off', { id: '22222222-2222' })
  await it.clock.run(10_000, () => it.queue.left.length === 0)
  await first.stop()
  // The agent has not heard that its first one was stored, and another API server is given it.
  it.forget()
  const second = it.ingest()
  it.notice('a', uid, 'Back-off', { id: '11111111-1111', again: true })
  await it.clock.run(10_000, () => it.queue.left.length === 0)
  assert.equal(it.counts(), [2])
  await second.stop()
})

reports('what was in work when an API server died comes again, and is decided once', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  // It dies between the decision and the acknowledgement: what it is told afterwards reaches nobody.
  const dying = it.ingest()
  it.fault = (intent) => {
    void it.api.decider.submit(intent, { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] })
    return new Promise(() => {})
  }
  it.report('a', uid, 'Running')
  it.notice('a', uid, 'Started container web')
  await it.clock.run(1_000)
  assert.is(it.phase('a'), 'Running')
  assert.equal(it.counts(), [1])
  assert.equal(it.queue.left, [1, 2])
  void dying.stop()
  it.forget()
  it.fault = () => undefined
  const next = it.ingest()
  await it.clock.run(30_000, () => it.queue.left.length === 0)
  assert.equal(it.queue.left, [])
  assert.equal(it.counts(), [1], 'the notice was counted again')
  await next.stop()
})

reports('an old report that comes late, at another API server, does not overwrite a newer one', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  // The first API server has taken the first report and is slow to write it.
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => (go = resolve))
  it.fault = (intent) =>
    at(intent.object, 'status.phase') === 'Running'
      ? gate.then(() => it.api.decider.submit(intent, { username: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] }))
      : undefined
  const slow = it.ingest()
  it.report('a', uid, 'Running')
  await it.clock.run(100)
  // The second one is given the next.
  const other = it.ingest()
  it.report('a', uid, 'Succeeded')
  await it.clock.run(1_000, () => it.phase('a') === 'Succeeded')
  assert.is(it.phase('a'), 'Succeeded')
  go()
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Succeeded', 'the status went back')
  assert.equal(it.queue.left, [])
  await Promise.all([slow.stop(), other.stop()])
})

reports('a pod the view has not heard of yet is waited for', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  // As an API server that is behind: it knows nothing of the pod until it has folded what the log has.
  const view = it.api.views.of(PODS)
  const { get } = view.objects
  let behind = true
  view.objects.get = function (key) {
    return behind && key.resource === 'pods' ? undefined : (get.call(this, key) as never)
  }
  const waitFor = view.waitFor.bind(view)
  view.waitFor = async (sequence) => {
    await waitFor(sequence)
    behind = false
  }
  it.report('a', uid, 'Running')
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Running')
  await ingest.stop()
})
reports('a queue that does not answer keeps its reports', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  it.report('a', uid, 'Running')
  it.queue.away = true
  await it.clock.run(60_000)
  assert.is(it.phase('a'), 'Pending')
  it.queue.away = false
  await it.clock.run(30_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), 'Running')
  await ingest.stop()
})
reports("what is waiting is nobody else's meanwhile, and given back at the end", async () => {
  const it = await lab()
  const uid = await it.pod('a')
  it.fault = () => Promise.reject(new Error('away'))
  const ingest = it.ingest()
  it.report('a', uid, 'Running')
  const stolen: number[] = []
  const thief = it.queue.consume((delivery) => void stolen.push(delivery.sequence))
  await it.clock.run(120_000)
  assert.equal(stolen, [])
  await ingest.stop()
  await it.clock.run(1)
  assert.equal(stolen, [1])
  thief.close()
})
reports('a terminated pod that was asked to go is deleted', async () => {
  const it = await lab()
  const uid = await it.pod('a')
  const ingest = it.ingest()
  await it.api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'a' })
  it.report('a', uid, 'Succeeded', { terminated: true })
  await it.clock.run(5_000, () => it.queue.left.length === 0)
  assert.is(it.phase('a'), undefined)
  await ingest.stop()
})
reports('a node that floods the stream loses what is its own, and what another says is decided', async () => {
  const it = await lab()
  const uid = await it.pod('good', 'n2')
  const flood = (count: number, text: string): void => {
    for (let n = 0; n < count; n++) it.queue.append(podReportSubject('n1', 'default', `made-up-${n}`), text)
  }
  // First a few that are large, then very many.
  flood(60, JSON.stringify({ uid: 'x', status: { message: 'x'.repeat(1_000_000) } }))
  flood(30_000, '{}')
  it.queue.append(
    podReportSubject('n2', 'default', 'good'),
    JSON.stringify({ uid, status: { phase: 'Running' }, cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'c' } })
  )
  const ingest = it.ingest()
  assert.ok(await it.clock.run(5_000, () => it.phase('good') === 'Running'))
  assert.ok(
    it.errors.some((error) => error === 'node n1 reports more than can be decided: of what waits only the newest 64 entries are kept'),
    it.errors[0]
  )
  assert.ok(it.queue.left.length <= 64, `${it.queue.left.length}`)
  await ingest.stop()
})
reports('many of a node that wait for long are all decided: that is no flood', async () => {
  const it = await lab()
  const uids = new Map<string, string>()
  for (let n = 0; n < 20; n++) uids.set(`p${n}`, await it.pod(`p${n}`))
  for (let round = 0; round < 100; round++)
    for (const [name, uid] of uids) it.report(name, uid, 'Running', { status: { phase: 'Running', message: String(round) } })
  const ingest = it.ingest()
  assert.ok(await it.clock.run(60_000, () => it.queue.left.length === 0))
  for (const name of uids.keys()) assert.is(it.api.get({ apiVersion: 'v1', kind: 'Pod', name })?.['status']?.message, '99')
  assert.ok(!it.errors.some((error) => error.includes('more than can be decided')), it.errors[0])
  await ingest.stop()
})
reports.run()
