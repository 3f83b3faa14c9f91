/** Leader election: who leads, who takes over and when, and that a leader of yesterday changes nothing. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult, Intents, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { electionOf } from '#ops/components/leading.ts'
import type { Clock } from '#services/platform/Clock.ts'
import { LeaderElection } from '#services/platform/LeaderElection.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { deafness } from '#test/support/deaf.ts'
import { accepted, ADMIN, refused, startTestApi, type TestApi } from '#test/support/api.ts'

const NAME = 'kube-controller-manager'
const USER: UserInfo = { username: 'system:kube-controller-manager', groups: ['system:authenticated'] }
const LEASES = { group: 'coordination.k8s.io', resource: 'leases' }
const CONFIGMAPS = { group: '', resource: 'configmaps' }

interface Candidate {
  readonly election: LeaderElection
  readonly api: TestApi
  /** What it may ask for under its latest term; undefined: it never led. */
  intents: Intents | undefined
  leads: number
  ends: number
  /** Cut off from the API server: what it asks is not heard. */
  cut: boolean
  readonly errors: string[]
}

const lab = async () => {
  const clock = new VirtualClock(11)
  const first = await startTestApi(clock)
  const second = await startTestApi(clock, {}, undefined, first)
  const candidate = (identity: string, api: TestApi = first, time: Clock = clock): Candidate => {
    const errors: string[] = []
    const submit = (intent: Intent): Promise<IntentResult> =>
      self.cut ? Promise.reject(new Error('no answer')) : api.decider.submit(intent, USER)
    const election = new LeaderElection({
      name: NAME,
      component: NAME,
      identity,
      views: api.views,
      intents: { submit },
      clock: time,
      lead: (under) => {
        self.leads += 1
        // Its controllers act as the administrator here, on the same API server.
        self.intents = under({ submit: (intent) => api.decider.submit(intent, ADMIN) })
        return { stop: () => void (self.ends += 1) }
      },
      onError: (error) => errors.push((error as Error).message)
    })
    const self: Candidate = { election, api, intents: undefined, leads: 0, ends: 0, cut: false, errors }
    return self
  }
  const spec = (): Record<string, unknown> =>
    first.views.get({ ...LEASES, namespace: 'kube-system', name: NAME })?.object['spec'] as Record<string, unknown>
  const settle = (ms = 1_000): Promise<boolean> => clock.run(ms)
  const end = async (...some: Candidate[]): Promise<void> => {
    await Promise.all([...some.map(({ election }) => election.stop()), clock.run(5_000)])
  }
  return { clock, first, second, candidate, spec, settle, end }
}
const pod = (name: string): Intent => ({
  id: `make-${name}`,
  verb: 'create',
  ref: { group: '', resource: 'pods' },
  version: 'v1',
  namespace: 'default',
  name,
  object: { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }] } } as unknown as KubeObject,
  source: 'test'
})

const election = suite('leader election')
election('one of several leads, with a Lease as client-go writes it', async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  b.election.start()
  await it.settle(60_000)
  assert.equal([a.leads, b.leads], [1, 0])
  const { acquireTime, renewTime, ...rest } = it.spec()
  assert.equal(rest, { holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 })
  assert.match(acquireTime as string, /^2026-01-01T00:00:00\.\d{6}Z$/)
  assert.ok(Date.parse(renewTime as string) > it.clock.now() - 3_000)
  const [event] = it.first.views
    .collection({ group: '', resource: 'events' })
    .list('kube-system')
    .map(({ object }) => object)
  assert.equal([event?.['reason'], at(event, 'message'), at(event, 'involvedObject.kind')], ['LeaderElection', 'a became leader', 'Lease'])
  assert.equal([a.errors, b.errors], [[], []])
  await it.end(a, b)
})
election('a planned end hands over at once', async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  b.election.start()
  await it.settle()
  await Promise.all([a.election.stop(), it.settle(100)])
  assert.equal([a.ends, b.leads], [1, 1])
  assert.is(it.spec()['holderIdentity'], 'b')
  assert.is(it.spec()['leaseTransitions'], 1)
  await it.end(b)
})
election('one that falls silent is followed after the Lease, by the clock of who waits, whatever the Lease says', async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  b.election.start()
  await it.settle()
  a.cut = true
  const since = it.clock.elapsed
  await it.clock.run(11_000)
  assert.equal([a.ends, b.leads], [1, 0], 'the first stops before another may begin')
  await it.clock.run(60_000, () => b.leads === 1)
  const took = it.clock.elapsed - since
  assert.ok(took > 12_000 && took < 16_000, `${took} ms`)
  assert.is(a.ends, 1, 'the first stopped by itself, before')
  assert.match(a.errors.at(-1) as string, /no answer|stopped leading/)
  await it.end(a, b)
})
election('a Lease whose times are in the future is waited for no longer', async () => {
  const it = await lab()
  accepted(
    await it.first.submit({
      verb: 'create',
      ref: LEASES,
      namespace: 'kube-system',
      name: NAME,
      object: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: NAME, namespace: 'kube-system' },
        spec: { holderIdentity: 'x', leaseDurationSeconds: 15, renewTime: '2030-01-01T00:00:00.000000Z', leaseTransitions: 4 }
      } as unknown as KubeObject
    })
  )
  const a = it.candidate('a')
  a.election.start()
  await it.clock.run(60_000, () => a.leads === 1)
  assert.ok(it.clock.elapsed < 17_000)
  assert.is(it.spec()['leaseTransitions'], 5)
  await it.end(a)
})
election('one that is started again under its own name does not wait, and begins a new term', async () => {
  const it = await lab()
  const a = it.candidate('a')
  a.election.start()
  await it.settle()
  a.cut = true
  const before = it.first.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence as number
  const again = it.candidate('a', it.second)
  again.election.start()
  await it.settle(100)
  assert.is(again.leads, 1)
  assert.ok((it.first.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence as number) > before)
  assert.is(a.ends, 1, 'the one before hears of it')
  assert.match(
    refused(await (a.intents as Intents).submit(pod('late'))),
    /^409 Conflict: .*the term of kube-controller-manager .* has ended/
  )
  await it.end(a, again)
})
election("settings are upstream's", () => {
  assert.equal(electionOf(), { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 })
  assert.is(electionOf({ leaderElect: false }), undefined)
  assert.throws(() => electionOf({ leaseDuration: '10s' }), /leaseDuration: must be greater than renewDeadline/)
  assert.throws(() => electionOf({ retryPeriod: '9s' }), /renewDeadline: must be greater than retryPeriod\*1.2/)
})
election('a clock that is put back costs who waits no more than the Lease once more', async () => {
  const it = await lab()
  let back = 0
  const { clock } = it
  const time: Clock = {
    now: () => clock.now() - back,
    after: (ms, task) => clock.after(ms, task),
    random: () => clock.random(),
    uuid: () => clock.uuid()
  }
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second, time)]
  a.election.start()
  await it.settle()
  b.election.start()
  await it.settle(5_000)
  a.cut = true
  back = 3_600_000
  await it.settle(40_000)
  assert.is(b.leads, 1)
  await it.end(a, b)
})
election.run()

const fencing = suite('fencing')
const twoTerms = async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  const old = a.intents as Intents
  a.cut = true
  b.election.start()
  await it.clock.run(60_000, () => b.leads === 1)
  return { ...it, a, b, old, next: b.intents as Intents }
}
fencing('what a leader of yesterday asks for is refused, and what the leader of today asks for is done', async () => {
  const { old, next, end, a, b, settle } = await twoTerms()
  for (const what of [pod('x'), { ...pod('x'), verb: 'delete', id: 'gone' } as Intent])
    assert.match(refused(await old.submit(what)), /has ended; another one leads/)
  const [made] = await Promise.all([next.submit(pod('x')), settle(100)])
  accepted(made)
  await end(a, b)
})
fencing('also by an API server that has not heard of the new term', async () => {
  const it = await lab()
  const ears = deafness()
  const EVENTS = ears.over(it.first.logs.EVENTS) as TestApi['logs']['EVENTS']
  const late = await startTestApi(it.clock, {}, undefined, { logs: { ...it.first.logs, EVENTS } })
  const [a, b] = [it.candidate('a', late), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  const old = a.intents as Intents
  a.cut = true
  accepted((await Promise.all([it.second.submit(pod('there')), it.settle(100)]))[0])
  // Its API server hears nothing of EVENTS from now on.
  ears.deaf = true
  b.election.start()
  await it.clock.run(60_000, () => b.leads === 1)
  let stored = 0
  it.second.views.of(CONFIGMAPS).subscribe(({ entry }) => void (entry.key.resource === 'pods' && (stored += 1)))
  const removal: Intent = { ...pod('there'), id: 'late-removal', verb: 'delete', deleteOptions: { gracePeriodSeconds: 0 } }
  const results = Promise.all([removal, ...Array.from({ length: 20 }, (_, n) => pod(`late-${n}`))].map((intent) => old.submit(intent)))
  await it.settle(5_000)
  assert.is(stored, 0, 'the log itself said no')
  ears.hear()
  await it.settle(5_000)
  for (const result of await results) assert.ok(!result.ok)
  assert.is(stored, 0)
  await it.end(a, b)
})
fencing('a term goes on when its marker has left the stream with what was compacted', async () => {
  const it = await lab()
  const a = it.candidate('a')
  a.election.start()
  await it.settle()
  const log = it.first.logs.EVENTS
  accepted((await Promise.all([it.first.submit(pod('behind')), it.settle(100)]))[0])
  log.raiseFloor(await log.lastSequence())
  await it.first.views.of(CONFIGMAPS).look()
  log.compact()
  await it.first.views.of(CONFIGMAPS).look()
  const [made] = await Promise.all([(a.intents as Intents).submit(pod('x')), it.settle(1_000)])
  accepted(made)
  assert.equal([a.leads, a.ends], [1, 0])
  await it.end(a)
})
fencing('an API server that has not heard of a term that has begun waits for the word of it', async () => {
  const it = await lab()
  accepted(
    (
      await Promise.all([
        it.first.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME, namespace: 'kube-system' } }),
        it.settle(100)
      ])
    )[0]
  )
  const sequence = (await it.first.logs.EVENTS.lastSequence()) + 1
  const asked = it.second.decider.submit({ ...pod('x'), term: { lease: NAME, sequence } }, ADMIN)
  const patch = { type: 'application/merge-patch+json', body: { data: { holderIdentity: 'a' } } } as const
  const [made, marked] = await Promise.all([
    asked,
    it.first.submit({ verb: 'patch', ref: CONFIGMAPS, namespace: 'kube-system', name: NAME, patch }),
    it.settle(1_000)
  ])
  assert.is(accepted(marked).metadata.resourceVersion, String(sequence))
  accepted(made)
})
fencing('a pod that was made under a term is made once, however often it is asked for, also in the next term', async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  a.election.start()
  await it.settle()
  const old = a.intents as Intents
  const [first] = await Promise.all([old.submit(pod('x')), it.settle(100)])
  const { sequence } = first as Extract<IntentResult, { ok: true }>
  a.cut = true
  b.election.start()
  await it.clock.run(60_000, () => b.leads === 1)
  const [again] = await Promise.all([
    it.second.decider.submit({ ...pod('x'), again: true, term: { lease: NAME, sequence: 1 } }, ADMIN),
    it.settle(100)
  ])
  assert.is((again as Extract<IntentResult, { ok: true }>).sequence, sequence)
  await it.end(a, b)
})
fencing('an old holder that had the Lease and slept before it drew its line draws none', async () => {
  const it = await lab()
  const a = it.candidate('a')
  const b = it.candidate('b', it.second)
  // The first one sleeps between the Lease and the marker.
  const submit = it.first.decider.submit.bind(it.first.decider)
  let wake = (): void => {}
  const asleep = new Promise<void>((resolve) => (wake = resolve))
  it.first.decider.submit = async (intent, user) => {
    if (intent.ref.resource === 'configmaps' && intent.source === NAME) await asleep
    if (a.cut) throw new Error('no answer')
    return submit(intent, user)
  }
  a.election.start()
  await it.settle()
  assert.is(it.spec()['holderIdentity'], 'a')
  assert.is(a.leads, 0)
  b.election.start()
  // It renews nothing while it sleeps.
  await it.clock.run(60_000, () => b.leads === 1)
  const line = it.second.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence
  wake()
  await it.settle(5_000)
  assert.equal([a.leads, b.leads, b.ends], [0, 1, 0])
  assert.is(it.second.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence, line)
  await it.end(a, b)
})
fencing('nor one that slept before it heard that it has the Lease', async () => {
  const it = await lab()
  const [a, b] = [it.candidate('a'), it.candidate('b', it.second)]
  const submit = it.first.decider.submit.bind(it.first.decider)
  let wake = (): void => {}
  const asleep = new Promise<void>((resolve) => (wake = resolve))
  let sleeps = true
  it.first.decider.submit = async (intent, user) => {
    const result = await submit(intent, user)
    if (sleeps && intent.ref.resource === 'leases' && intent.source === NAME) await asleep
    return result
  }
  a.election.start()
  await it.settle()
  assert.is(it.spec()['holderIdentity'], 'a')
  b.election.start()
  await it.clock.run(60_000, () => b.leads === 1)
  const line = it.second.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence
  sleeps = false
  wake()
  await it.settle(5_000)
  assert.equal([a.leads, b.leads, b.ends], [0, 1, 0])
  assert.is(it.second.views.get({ ...CONFIGMAPS, namespace: 'kube-system', name: NAME })?.sequence, line)
  await it.end(a, b)
})
fencing('a leader whose marker somebody takes away draws another line', async () => {
  const it = await lab()
  const a = it.candidate('a')
  a.election.start()
  await it.settle()
  await Promise.all([it.first.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'kube-system', name: NAME }), it.settle(5_000)])
  assert.equal([a.leads, a.ends], [2, 1])
  const [made] = await Promise.all([(a.intents as Intents).submit(pod('x')), it.settle(100)])
  accepted(made)
  await it.end(a)
})
fencing.run()
