/** What nodes are given of the pod network: each its own, of both families, and nobody twice. */
import { at } from '#test/support/kinds.ts'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { overlap, parseCIDR } from '#events/meta/cidr.ts'
import type { Network } from '#events/meta/ip.ts'
import { nodeIpam } from '#services/controller-manager/node-ipam/controller.ts'
import { cidrsOf, KEY } from '#services/controller-manager/node-ipam/decide.ts'
import { freePart } from '#services/controller-manager/node-ipam/ranges.ts'
import { Model, node, notices, shown } from '#test/support/model.ts'

const ipam = suite('node IPAM')

const MASKS = { IPv4: 24, IPv6: 64 }
const controller = nodeIpam({ clusterCIDRs: ['10.244.0.0/22'], maskSizes: MASKS })
const bare = (name: string) => {
  const made = node(name)
  return { ...made, spec: {} }
}
const given = (model: Model): Record<string, readonly string[]> =>
  Object.fromEntries(model.list('Node').map((one) => [one.metadata.name, cidrsOf(one)]))

ipam('each node gets the first part that is free, the eldest first; who brought one keeps it', () => {
  const model = new Model()
  model.put({ ...bare('own'), spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] } })
  model.put(bare('b'))
  model.now += 1_000
  model.put(bare('a'))
  model.settle(controller, KEY)
  assert.equal(given(model), { own: ['10.244.1.0/24'], b: ['10.244.0.0/24'], a: ['10.244.2.0/24'] })
  assert.is(at(model.get(node('a')), 'spec.podCIDR'), '10.244.2.0/24')
  assert.equal(shown(model.decide(controller, KEY)), [])
})

ipam('where there is none left it says so on the node, and gives what a node leaves', () => {
  const model = new Model()
  for (const name of ['a', 'b', 'c', 'd', 'e']) model.put(bare(name))
  const first = model.decide(controller, KEY)
  assert.equal(notices(first), ['Normal CIDRNotAvailable Node e status is now: CIDRNotAvailable'])
  assert.is(first.requeueAfterMs, 60_000)
  model.settle(controller, KEY)
  assert.equal(given(model)['e'], [])
  model.gone(model.get(node('b')))
  model.settle(controller, KEY)
  assert.equal(given(model)['e'], ['10.244.1.0/24'])
})

ipam('a node that is on its way out is given nothing any more', () => {
  const model = new Model()
  const leaving = bare('leaving')
  model.put({ ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2030-01-01T00:00:00Z', finalizers: ['example.com/last'] } })
  assert.equal(model.decide(controller, KEY).asks, [])
})

ipam('of both families each node gets one, or none at all', () => {
  const both = nodeIpam({ clusterCIDRs: ['10.244.0.0/23', 'fd00:10:244::/56'], maskSizes: MASKS })
  const model = new Model()
  for (const name of ['a', 'b', 'c']) model.put(bare(name))
  model.settle(both, KEY)
  assert.equal(given(model), { a: ['10.244.0.0/24', 'fd00:10:244::/64'], b: ['10.244.1.0/24', 'fd00:10:244:1::/64'], c: [] })
})

ipam('a node is given its part on the version that was seen: it may have one by now', () => {
  const model = new Model()
  model.put(bare('n1'))
  const [ask] = model.decide(controller, KEY).asks as readonly {
    patch?: { body: { metadata: { resourceVersion?: string; uid?: string } } }
  }[]
  const { resourceVersion, uid } = model.view.get({ group: '', resource: 'nodes', namespace: '', name: 'n1' })?.object.metadata ?? {}
  assert.ok(resourceVersion)
  assert.equal(ask?.patch?.body.metadata, { uid, resourceVersion })
})

ipam('a change of a node that has its part is looked at by nobody', () => {
  const [watch] = controller.watches as readonly { keys(change: never, view: never, api: never): readonly string[] }[]
  const keys = (type: string, podCIDRs?: readonly string[]): readonly string[] =>
    watch?.keys({ type, entry: { object: { spec: { podCIDRs } } } } as never, undefined as never, undefined as never) ?? []
  assert.equal([keys('ADDED'), keys('MODIFIED', ['10.244.0.0/24']), keys('DELETED', ['10.244.0.0/24'])], [[KEY], [], [KEY]])
})

ipam('a thousand nodes that come together are given theirs in turns', () => {
  const wide = nodeIpam({ clusterCIDRs: ['10.0.0.0/8'], maskSizes: MASKS })
  const model = new Model()
  for (let n = 0; n < 120; n++) model.put(bare(`n${n}`))
  const decision = model.decide(wide, KEY)
  assert.equal([decision.asks.length, decision.requeueAfterMs], [50, 1])
  for (let turn = 0; turn < 3; turn++) model.settle(wide, KEY)
  assert.is(new Set(Object.values(given(model)).flat()).size, 120)
})

ipam('whatever is taken, what is free touches none of it, and is found as long as there is one', () => {
  const part = fc
    .record({ at: fc.nat(255), bits: fc.integer({ min: 16, max: 30 }) })
    .map(({ at, bits }) => parseCIDR(`10.0.${at}.0/${bits}`) as Network)
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), fc.integer({ min: 18, max: 28 }), (taken, mask) => {
      const whole = parseCIDR('10.0.0.0/16') as Network
      const found = freePart(whole, mask, taken)
      const size = 2 ** (32 - mask)
      const all = Array.from({ length: 2 ** (mask - 16) }, (_, n) => n * size).map(
        (offset) => parseCIDR(`10.0.${offset >> 8}.${offset & 255}/${mask}`) as Network
      )
      assert.is(found, all.find((one) => !taken.some((other) => overlap(one, other)))?.text)
    })
  )
})

ipam.run()
