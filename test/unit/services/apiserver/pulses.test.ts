/** Pulses: the newest of a node counts, one that fails is tried again or superseded, and what is no pulse is none. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import type { Pulse } from '#events/node/messages.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { BadReport, pulseOf } from '#services/apiserver/nodes/check.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi } from '#test/support/api.ts'

const pulse = (
  second: number,
  conditions: Pulse['conditions'] = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }]
): Pulse => ({
  node: 'n1',
  time: `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000Z`,
  podCIDR: '10.244.0.0/24',
  labels: { 'kubernetes.io/hostname': 'n1' },
  addresses: [],
  capacity: { cpu: '4' },
  allocatable: { cpu: '4' },
  nodeInfo: {},
  conditions
})

const lab = async () => {
  const clock = new VirtualClock(5)
  const api = await startTestApi(clock)
  const errors: string[] = []
  const asked: Intent[] = []
  const it = {
    api,
    clock,
    errors,
    asked,
    away: false,
    make: () =>
      new Pulses({
        views: api.views,
        clock,
        decider: {
          submit: (intent, user) => {
            asked.push(intent)
            return it.away ? Promise.reject(new Error('the log is away')) : api.decider.submit(intent, user)
          }
        },
        onError: (error) => errors.push((error as Error).message)
      }),
    renewed: (): string | undefined =>
      at(api.get({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'n1', namespace: 'kube-node-lease' }), 'spec.renewTime') as
        string | undefined,
    node: () => api.get({ apiVersion: 'v1', kind: 'Node', name: 'n1' })
  }
  return it
}

const pulses = suite('pulses')

pulses('a node brings along the part of the pod network that is its own, unless another has some of it', async () => {
  const it = await lab()
  const heart = it.make()
  for (const [node, podCIDR] of [
    ['n1', '10.244.0.0/24'],
    ['n2', '10.244.0.128/25'],
    ['n3', '10.244.1.0/24'],
    ['n4', '']
  ] as const) {
    heart.take({ ...pulse(1), node, podCIDR })
    assert.ok(await it.clock.run(1_000, () => it.api.get({ apiVersion: 'v1', kind: 'Node', name: node }) !== undefined), node)
  }
  const parts = it.api.views
    .collection({ group: '', resource: 'nodes' })
    .list()
    .map(({ object }) => at(object, 'spec.podCIDRs') as unknown)
  assert.equal(parts, [['10.244.0.0/24'], undefined, ['10.244.1.0/24'], undefined])
  await it.clock.run(1_000)
})

pulses('a first one registers the node, the next ones renew its Lease and write nothing else', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take(pulse(1))
  assert.ok(await it.clock.run(1_000, () => it.renewed() === pulse(1).time))
  assert.ok(it.node())
  const events = await it.api.logs.EVENTS.lastSequence()
  heart.take(pulse(11))
  assert.ok(await it.clock.run(1_000, () => it.renewed() === pulse(11).time))
  assert.is(await it.api.logs.EVENTS.lastSequence(), events)
  assert.equal(it.errors, [])
})
pulses('a first one leaves the node its labels, and says of it what it is', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take({ ...pulse(1), labels: { 'kubernetes.io/hostname': 'n1', 'topology.kubernetes.io/zone': 'z' } })
  assert.ok(await it.clock.run(1_000, () => it.renewed() === pulse(1).time))
  const node = it.node()
  assert.equal(node?.metadata.labels, { 'kubernetes.io/hostname': 'n1', 'topology.kubernetes.io/zone': 'z' })
  assert.equal(at(node, 'status.capacity'), { cpu: '4' })
  const lease = it.api.get({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'n1', namespace: 'kube-node-lease' })
  assert.is(lease?.metadata.ownerReferences?.[0]?.uid, node?.metadata.uid, 'its Lease goes with it')
  assert.equal(it.errors, [])
})
pulses('while the log is away the newest is kept and tried again; it is decided when the log is back', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take(pulse(1))
  await it.clock.run(1_000, () => it.renewed() !== undefined)
  it.away = true
  for (let second = 2; second < 50; second += 10) {
    heart.take(pulse(second))
    await it.clock.run(10_000)
  }
  assert.is(it.errors.length, 5, 'each of them is told once')
  it.away = false
  it.asked.length = 0
  assert.ok(await it.clock.run(10_000, () => it.renewed() === pulse(42).time))
  assert.ok(it.asked.length <= 3, 'the older ones are forgotten')
  assert.ok(!it.asked.some(({ object }) => at(object, 'spec.renewTime') === pulse(32).time))
})
pulses('one that was in work when the next came is followed by that one', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take(pulse(1))
  heart.take(pulse(2))
  heart.take(pulse(3))
  assert.ok(await it.clock.run(1_000, () => it.renewed() === pulse(3).time))
  assert.equal(
    it.asked.filter(({ ref }) => ref.resource === 'leases').map(({ object }) => at(object, 'spec.renewTime')),
    [pulse(1).time, pulse(3).time]
  )
})
pulses('one that waits is given up when another API server has decided a later one', async () => {
  const it = await lab()
  const here = it.make()
  here.take(pulse(1))
  await it.clock.run(1_000, () => it.renewed() !== undefined)
  it.away = true
  here.take(pulse(11))
  await it.clock.run(50)
  const elsewhere = new Pulses({ views: it.api.views, clock: it.clock, decider: it.api.decider, onError: () => {} })
  elsewhere.take(pulse(21))
  await it.clock.run(50, () => it.renewed() === pulse(21).time)
  it.away = false
  await it.clock.run(60_000)
  assert.is(it.renewed(), pulse(21).time, 'the Lease went back')
})
pulses('a node deleted under it is registered again', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take(pulse(1))
  await it.clock.run(1_000, () => it.renewed() !== undefined)
  accepted(await it.api.submit({ verb: 'delete', ref: { group: '', resource: 'nodes' }, name: 'n1' }))
  heart.take(pulse(11))
  assert.ok(await it.clock.run(1_000, () => it.node() !== undefined && it.renewed() === pulse(11).time))
  assert.equal(it.errors, [])
})
pulses('what is refused is told, and the rest of the pulse counts', async () => {
  const it = await lab()
  const heart = it.make()
  heart.take({ ...pulse(1), labels: { 'no label!': 'x' } })
  assert.ok(await it.clock.run(1_000, () => it.renewed() === pulse(1).time))
  assert.is(it.errors.length, 1)
  assert.match(it.errors[0] as string, /the pulse of node n1 was refused: Node "n1" is invalid: metadata.labels/)
})
pulses('what is no pulse is not taken for one', () => {
  assert.is(pulseOf(JSON.parse(JSON.stringify(pulse(1)))).node, 'n1')
  for (const body of [
    null,
    7,
    'x',
    [],
    {},
    { ...pulse(1), time: 7 },
    { ...pulse(1), conditions: undefined },
    { ...pulse(1), conditions: [null] },
    { ...pulse(1), conditions: [{ type: 'Ready' }] }
  ])
    assert.throws(
      () => pulseOf(body),
      (error: unknown) => error instanceof BadReport
    )
})
pulses.run()
