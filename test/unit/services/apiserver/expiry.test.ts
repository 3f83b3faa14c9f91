/** What leaves a stream by itself leaves the view: Leases nobody renews, old notices; and who comes back can write again. */
import { at } from '#test/support/kinds.ts'
import { NODES } from '#events/collections.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult } from '#events/Intent.ts'
import type { Pulse } from '#events/node/messages.ts'
import type { Change } from '#projections/Objects.ts'
import { Peers } from '#services/apiserver/nodes/Peers.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { Controller, Outrun } from '#services/platform/Controller.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, ADMIN, refused } from '#test/support/api.ts'
import { expiringLogs, HOUR, serverOn, WEEK } from '#test/support/expiring.ts'

const LEASES = { group: 'coordination.k8s.io', resource: 'leases' }
const EVENTS = { group: '', resource: 'events' }

const lab = async () => {
  const clock = new VirtualClock(3)
  const logs = expiringLogs(clock)
  const server = await serverOn(logs, clock)
  const changes: Change[] = []
  for (const view of server.views.byStream.values()) view.subscribe((change) => changes.push(change))
  const submit = async (intent: Partial<Intent> & Pick<Intent, 'verb' | 'ref'>): Promise<IntentResult> => {
    let result: IntentResult | undefined
    void server.decider
      .submit({ id: clock.uuid(), version: 'v1', namespace: 'default', name: '', source: 'test', ...intent }, ADMIN)
      .then((answer) => (result = answer))
    assert.ok(await clock.run(20_000, () => result !== undefined), 'no answer')
    return result as IntentResult
  }
  const lease = (name: string, verb: 'create' | 'update', holder = 'me'): Promise<IntentResult> =>
    submit({
      verb,
      ref: LEASES,
      name,
      object: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: 'default' },
        spec: { holderIdentity: holder }
      }
    })
  const held = (name: string, namespace = 'default') => server.views.get({ ...LEASES, namespace, name })
  return { clock, logs, ...server, changes, submit, lease, held }
}

const pulse = (time: string, ready: 'True' | 'False' = 'True'): Pulse => ({
  node: 'n1',
  time,
  podCIDR: '10.244.0.0/24',
  labels: { 'kubernetes.io/hostname': 'n1' },
  addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
  capacity: { cpu: '4', memory: '8Gi', pods: '110' },
  allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
  nodeInfo: {},
  conditions: [{ type: 'Ready', status: ready, reason: 'KubeletReady', message: '' }]
})

const expiry = suite('expiry')

expiry('a Lease nobody renewed for longer than it is kept is gone, and subscribers hear it', async () => {
  const it = await lab()
  accepted(await it.lease('a', 'create'))
  const made = it.held('a')?.sequence
  await it.clock.run(HOUR - 20_000)
  assert.ok(it.held('a'))
  await it.clock.run(60_000)
  assert.is(it.held('a'), undefined)
  const gone = it.changes.at(-1)
  assert.equal([gone?.type, gone?.expired, gone?.entry.id, gone?.entry.sequence], ['DELETED', true, 'default/a', made])
  // The last state can be shown: watchers send it.
  assert.is((JSON.parse(gone?.entry.text ?? '{}') as { spec: { holderIdentity: string } }).spec.holderIdentity, 'me')
  it.close()
})
expiry('in the moment between, when the stream has dropped it and the view has not: it can be made anew at once', async () => {
  const it = await lab()
  accepted(await it.lease('a', 'create'))
  it.clock.skip(HOUR + 1_000)
  assert.ok(it.held('a'), 'the view has not heard of it yet')
  assert.is(refused(await it.lease('a', 'update', 'still me')), '404 NotFound: leases.coordination.k8s.io "a" not found')
  assert.is(it.held('a'), undefined)
  assert.is(at(accepted(await it.lease('a', 'create', 'other')), 'spec.holderIdentity'), 'other')
  accepted(await it.lease('a', 'update', 'third'))
  it.close()
})
expiry('so can one that was deleted, and whose last event is gone as well', async () => {
  const it = await lab()
  accepted(await it.lease('a', 'create'))
  accepted(await it.submit({ verb: 'delete', ref: LEASES, name: 'a' }))
  it.clock.skip(HOUR + 1_000)
  accepted(await it.lease('a', 'create'))
  it.close()
})
expiry('only what is old enough goes', async () => {
  const it = await lab()
  accepted(await it.lease('old', 'create'))
  it.clock.skip(HOUR / 2)
  accepted(await it.lease('young', 'create'))
  it.clock.skip(HOUR / 2 + 1_000)
  accepted(await it.lease('young', 'update', 'still me'))
  assert.match(refused(await it.lease('old', 'update', 'still me')), /^404/)
  assert.ok(it.held('young'))
  it.close()
})
expiry('a notice a week old is made anew', async () => {
  const it = await lab()
  const notice = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'x' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'a' },
    reason: 'BackOff',
    message: 'm',
    type: 'Warning',
    count: 1
  }
  accepted(await it.submit({ verb: 'create', ref: EVENTS, name: 'x', object: notice }))
  it.clock.skip(WEEK + 1_000)
  const patch = (count: number): Promise<IntentResult> =>
    it.submit({ verb: 'patch', ref: EVENTS, name: 'x', patch: { type: 'application/merge-patch+json', body: { count } } })
  assert.match(refused(await patch(2)), /^404 NotFound/)
  accepted(await it.submit({ verb: 'create', ref: EVENTS, name: 'x', object: notice }))
  accepted(await patch(2))
  it.close()
})
expiry('what is kept for ever does not leave, whatever the stream says of its beginning', async () => {
  const it = await lab()
  const view = it.views.byStream.get('EVENTS')
  const before = view?.objects.collection({ group: '', resource: 'namespaces' }).size
  const { log } = view as { log: { state: () => Promise<unknown> } }
  const { state } = log
  log.state = async () => ({ ...((await state.call(log)) as object), first: 1_000_000 })
  await view?.expire()
  assert.is(view?.objects.collection({ group: '', resource: 'namespaces' }).size, before)
  it.close()
})
expiry('a node that comes back after hours has its Lease again with its first pulse', async () => {
  const it = await lab()
  const faults: string[] = []
  const pulses = new Pulses({ ...it, onError: (error) => faults.push(String(error)) })
  pulses.take(pulse('2026-01-01T00:00:00.000000Z'))
  await it.clock.run(1_000, () => it.held('n1', 'kube-node-lease') !== undefined)
  it.clock.skip(5 * HOUR)
  pulses.take(pulse('2026-01-01T05:00:00.000000Z'))
  const began = it.clock.elapsed
  assert.ok(
    await it.clock.run(5_000, () => at(it.held('n1', 'kube-node-lease')?.object, 'spec.renewTime') === '2026-01-01T05:00:00.000000Z')
  )
  assert.ok(it.clock.elapsed - began < 100, `it took ${it.clock.elapsed - began} ms`)
  assert.equal(faults, [])
  pulses.stop()
  it.close()
})
expiry('the node lifecycle controller gives up a node whose Lease expired, and takes it back when it returns', async () => {
  const it = await lab()
  const faults: string[] = []
  const definition = controllers({ clusterCA: '' }).find(({ name }) => name === 'node-lifecycle-controller')
  assert.ok(definition)
  const decider: Decider = it.decider
  const controller = new Controller(
    definition as NonNullable<typeof definition>,
    it.views,
    { submit: (intent) => decider.submit(intent, userOf('node-lifecycle-controller')) },
    it.clock,
    ({ error }) => error instanceof Outrun || faults.push(String(error))
  )
  controller.start()
  const onError = (error: unknown): void => void faults.push(String(error))
  const peers = new Peers({ ...it, identity: 'apiserver-a', host: 'a', address: '10.0.0.1:6443', onError })
  void peers.start()
  const pulses = new Pulses({ ...it, onError: (error) => faults.push(String(error)) })
  const ready = (): string | undefined =>
    (
      at(it.views.get({ ...NODES, namespace: '', name: 'n1' })?.object, 'status.conditions') as
        { type: string; status: string }[] | undefined
    )?.find(({ type }) => type === 'Ready')?.status
  pulses.take(pulse('2026-01-01T00:00:00.000000Z'))
  assert.ok(await it.clock.run(10_000, () => ready() === 'True'))
  assert.ok(await it.clock.run(120_000, () => ready() === 'Unknown'))
  await it.clock.run(2 * HOUR)
  assert.is(it.held('n1', 'kube-node-lease'), undefined)
  assert.is(ready(), 'Unknown')
  const events = await it.logs.EVENTS.lastSequence()
  await it.clock.run(HOUR)
  assert.is(await it.logs.EVENTS.lastSequence(), events, 'a node that stays away is written again and again')
  pulses.take(pulse('2026-01-01T03:00:00.000000Z'))
  assert.ok(await it.clock.run(10_000, () => ready() === 'True'))
  assert.ok(
    await it.clock.run(10_000, () => (it.views.get({ ...NODES, namespace: '', name: 'n1' })?.object.spec?.taints ?? []).length === 0),
    'its taints are taken off'
  )
  assert.equal(faults, [])
  controller.stop()
  peers.crash()
  pulses.stop()
  it.close()
})
expiry.run()
