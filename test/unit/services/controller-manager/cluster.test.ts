/** The controllers that keep the cluster itself: lost nodes, garbage, namespaces, default objects. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { controllers } from '#services/controller-manager/controllers.ts'
import { garbageCollector } from '#services/controller-manager/garbage-collector/controller.ts'
import { namespace } from '#services/controller-manager/namespace/controller.ts'
import { nodeLifecycle } from '#services/controller-manager/node-lifecycle/controller.ts'
import { podGc } from '#services/controller-manager/pod-gc/controller.ts'
import { rootCaCertPublisher } from '#services/controller-manager/root-ca-cert-publisher/controller.ts'
import { serviceaccount } from '#services/controller-manager/serviceaccount/controller.ts'
import { watchesOf } from '#services/platform/decision.ts'
import { BEGINNING, Model, node, notices, pod, running, shown } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

const lease = (model: Model): KubeObject => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'n1', namespace: 'kube-node-lease' },
  spec: { renewTime: new Date(model.now).toISOString() }
})
const taintsOf = (model: Model): string[] =>
  ((at(model.get(node('n1')), 'spec.taints') ?? []) as { key: string; effect: string }[]).map(
    ({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`
  )

const nodes = suite('node-lifecycle')
/** What an API server says of itself; `acquired` and `renewed` by its own clock. */
const apiserver = (model: Model, name: string, acquired: number, renewed = model.now): KubeObject => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: `apiserver-${name}`, namespace: 'kube-system', labels: { 'apiserver.kubernetes.io/identity': 'kube-apiserver' } },
  spec: { acquireTime: new Date(acquired).toISOString(), renewTime: new Date(renewed).toISOString() }
})
/** Time goes on, and an API server that was there from the beginning with it. */
const later = (model: Model, ms: number): void => {
  model.now += ms
  model.put(apiserver(model, 'here', BEGINNING - 3_600_000))
}
const lost = (tolerationSeconds?: number) => {
  const model = new Model()
  later(model, 0)
  model.put(node('n1'))
  model.put(lease(model))
  model.put({
    ...pod('a', {
      nodeName: 'n1',
      ...(tolerationSeconds === undefined
        ? {}
        : { tolerations: [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }] })
    }),
    status: running('10.0.0.1')
  })
  return { model, controller: nodeLifecycle() }
}
nodes('a node that renews its Lease is left alone, and looked at again when it could be late', () => {
  const { model, controller } = lost()
  const decision = model.decide(controller, '/n1')
  assert.equal(shown(decision), [])
  assert.is(decision.requeueAfterMs, 40_100)
})
nodes('a silent one becomes Unknown and tainted', () => {
  const { model, controller } = lost(300)
  model.decide(controller, '/n1')
  later(model, 40_100)
  model.settle(controller, '/n1')
  const { conditions } = model.get(node('n1')).status ?? {}
  assert.equal(conditions?.[0], {
    type: 'Ready',
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
    lastTransitionTime: '2030-01-01T00:00:40Z'
  })
  assert.equal(taintsOf(model), ['unreachable:NoSchedule', 'unreachable:NoExecute'])
  assert.is(model.list('Pod')[0]?.metadata.deletionTimestamp, undefined)
  assert.is(model.decide(controller, '/n1').requeueAfterMs, 299_900)
  later(model, 300_000)
  const decision = model.decide(controller, '/n1')
  assert.equal(shown(decision), ['delete pods a'])
  assert.equal(notices(decision), ['Normal TaintManagerEviction Marking for deletion Pod default/a'])
})
nodes('its pods that tolerate nothing go at once, those that tolerate forever stay', () => {
  const { model, controller } = lost()
  model.put({ ...pod('stays', { nodeName: 'n1', tolerations: [{ operator: 'Exists' }] }), status: running('10.0.0.2') })
  model.decide(controller, '/n1')
  later(model, 41_000)
  model.settle(controller, '/n1')
  assert.equal(
    model.list('Pod').map(({ metadata }) => metadata.deletionTimestamp !== undefined),
    [true, false]
  )
})
nodes('back again, it is clean', () => {
  const { model, controller } = lost(300)
  model.decide(controller, '/n1')
  later(model, 41_000)
  model.settle(controller, '/n1')
  model.put(lease(model))
  assert.equal(watchesOf(controller, builtIns)[1]?.keys(model.changes.at(-1) as (typeof model.changes)[number], model.view, builtIns), [
    '/n1'
  ])
  model.change(model.get(node('n1')), { status: node('n1')['status'] })
  model.settle(controller, '/n1')
  assert.equal(taintsOf(model), [])
})
nodes('its status comes before its Lease: that is a sign of life too', () => {
  const { model, controller } = lost(300)
  model.decide(controller, '/n1')
  later(model, 100_000)
  model.settle(controller, '/n1')
  model.change(model.get(node('n1')), {
    status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: model.time, lastTransitionTime: model.time }] }
  })
  model.settle(controller, '/n1')
  assert.is(at(model.get(node('n1')), 'status.conditions.0.status'), 'True')
  assert.equal(taintsOf(model), [])
})
nodes('silence while nobody listened counts for nothing', () => {
  const { model } = lost()
  model.now += 3_600_000
  model.put(apiserver(model, 'a', model.now))
  const controller = nodeLifecycle()
  const acquired = model.now
  assert.equal(shown(model.decide(controller, '/n1')), [])
  model.now += 40_100
  assert.equal(shown(model.decide(controller, '/n1')), [], 'nor does a silence that nobody was heard in')
  model.put(apiserver(model, 'a', acquired))
  assert.ok(shown(model.decide(controller, '/n1')).includes('update/status nodes n1'))
})
nodes('a new leader counts on where the old one was, as long as one API server was there all the time', () => {
  const { model } = lost()
  const began = model.now
  model.now += 3_600_000
  model.put(apiserver(model, 'a', began))
  model.put(apiserver(model, 'b', model.now))
  assert.ok(shown(model.decide(nodeLifecycle(), '/n1')).includes('update/status nodes n1'))
})
nodes('an API server that is gone does not count', () => {
  const { model } = lost()
  const began = model.now
  model.now += 3_540_000
  model.put(apiserver(model, 'a', began))
  model.now += 60_000
  model.put(apiserver(model, 'b', model.now))
  assert.equal(shown(model.decide(nodeLifecycle(), '/n1')), [])
})
nodes('no two clocks are compared: what they are off by changes nothing', () => {
  const HOUR = 3_600_000
  for (const [off, api, silent] of [
    [HOUR, 0, 20_000],
    [-HOUR, HOUR, 20_000],
    [HOUR, -HOUR, 41_000],
    [-HOUR, 2 * HOUR, 41_000]
  ] as const) {
    const { model } = lost()
    const renew = (): void => void model.put(apiserver(model, 'here', BEGINNING - HOUR + api, model.now + api))
    renew()
    model.now += silent
    renew()
    // The controller's own clock is off as well.
    const { asks } = nodeLifecycle().decide(model.view, '/n1', { api: builtIns, now: model.now + off, random: 0.5 })
    assert.is(
      asks.some(({ subresource }) => subresource === 'status'),
      silent > 40_000,
      `${off} ${api} ${silent}`
    )
  }
})
nodes('conditions and the cordon are taints; those of others stay', () => {
  const { model, controller } = lost()
  const present = model.get(node('n1'))
  model.put({
    ...present,
    spec: { unschedulable: true, taints: [{ key: 'dedicated', effect: 'NoSchedule' }] },
    status: {
      conditions: [
        { type: 'Ready', status: 'False' },
        { type: 'DiskPressure', status: 'True' }
      ]
    }
  })
  model.settle(controller, '/n1')
  assert.equal(taintsOf(model).toSorted(), [
    'dedicated:NoSchedule',
    'disk-pressure:NoSchedule',
    'not-ready:NoExecute',
    'not-ready:NoSchedule',
    'unschedulable:NoSchedule'
  ])
  model.put({ ...model.get(node('n1')), spec: { taints: at(model.get(node('n1')), 'spec.taints') }, status: at(node('n1'), 'status') })
  model.settle(controller, '/n1')
  assert.equal(taintsOf(model), ['dedicated:NoSchedule'])
})

const garbage = suite('garbage-collector')
const map = (name: string, meta: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...meta }
})
const ownedBy = (...owners: KubeObject[]) => ({
  ownerReferences: owners.map(({ metadata }) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: metadata.name as string,
    uid: metadata.uid as string,
    blockOwnerDeletion: true
  }))
})
const keyOf = (name: string): string => `/configmaps/default/${name}`
/** Follows the controller's own watches until nothing is left to do. */
const collect = (model: Model): void => {
  for (let seen = 0; seen < model.changes.length; seen++) {
    const change = model.changes[seen] as (typeof model.changes)[number]
    for (const watch of watchesOf(garbageCollector, builtIns).filter(({ ref }) => ref.resource === change.entry.key.resource))
      for (const key of watch.keys(change, model.view, builtIns))
        for (const ask of model.decide(garbageCollector, key).asks) model.perform(ask)
    if (seen > 500) throw new Error('does not come to rest')
  }
}
const names = (model: Model): string[] => model.list('ConfigMap').map(({ metadata }) => metadata.name as string)
garbage('what an owner leaves goes, and what that leaves', () => {
  const model = new Model()
  const a = model.put(map('a'))
  const b = model.put(map('b', ownedBy(a)))
  model.put(map('c', ownedBy(b)))
  model.put(map('free'))
  model.gone(a)
  collect(model)
  assert.equal(names(model), ['free'])
})
garbage('one of several owners keeps it', () => {
  const model = new Model()
  const a = model.put(map('a'))
  const b = model.put(map('b'))
  model.put(map('c', ownedBy(a, b)))
  model.gone(a)
  collect(model)
  assert.equal(
    model.get(map('c')).metadata.ownerReferences?.map(({ name }) => name),
    ['b']
  )
})
garbage('an owner of the name but another uid is another', () => {
  const model = new Model()
  const a = model.put(map('a'))
  model.put(map('c', ownedBy(a)))
  model.gone(a)
  model.put(map('a'))
  collect(model)
  assert.equal(names(model), ['a'])
})
garbage('in the foreground the owner goes last', () => {
  const model = new Model()
  const a = model.put(map('a'))
  const held = model.put(map('b', { ...ownedBy(a), finalizers: ['example.com/hold'] }))
  model.perform({
    verb: 'delete',
    ref: { group: '', resource: 'configmaps' },
    version: 'v1',
    namespace: 'default',
    name: 'a',
    deleteOptions: { propagationPolicy: 'Foreground' }
  })
  collect(model)
  assert.equal(names(model), ['a', 'b'])
  assert.ok(model.get(held).metadata.deletionTimestamp)
  model.gone(model.get(held))
  collect(model)
  assert.equal(names(model), [])
})
garbage('in the foreground a circle goes whole, in whatever order it is looked at', () => {
  for (const first of ['a', 'b', 'c']) {
    const model = new Model()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => model.put(map(name))) as [KubeObject, KubeObject, KubeObject]
    for (const [each, owner] of [
      [a, c],
      [b, a],
      [c, b]
    ] as const)
      model.change(each, { metadata: { ...each.metadata, ...ownedBy(owner) } })
    model.put(map('leaf', ownedBy(b)))
    model.perform({
      verb: 'delete',
      ref: { group: '', resource: 'configmaps' },
      version: 'v1',
      namespace: 'default',
      name: first,
      deleteOptions: { propagationPolicy: 'Foreground' }
    })
    collect(model)
    assert.equal(names(model), [], first)
  }
})
garbage('a circle waits for what is not of it', () => {
  const model = new Model()
  const [a, b] = ['a', 'b'].map((name) => model.put(map(name))) as [KubeObject, KubeObject]
  for (const [each, owner] of [
    [a, b],
    [b, a]
  ] as const)
    model.change(each, { metadata: { ...each.metadata, ...ownedBy(owner) } })
  const held = model.put(map('held', { ...ownedBy(a), finalizers: ['example.com/hold'] }))
  model.perform({
    verb: 'delete',
    ref: { group: '', resource: 'configmaps' },
    version: 'v1',
    namespace: 'default',
    name: 'a',
    deleteOptions: { propagationPolicy: 'Foreground' }
  })
  collect(model)
  assert.ok(names(model).includes('a'), 'what it owns is not gone')
  model.gone(model.get(held))
  collect(model)
  assert.equal(names(model), [])
})
garbage('in the foreground goes only what nobody else owns; the rest is let go of', () => {
  const model = new Model()
  const a = model.put(map('a'))
  const stays = model.put(map('stays'))
  model.put(map('mine', ownedBy(a)))
  model.put(map('shared', ownedBy(a, stays)))
  model.perform({
    verb: 'delete',
    ref: { group: '', resource: 'configmaps' },
    version: 'v1',
    namespace: 'default',
    name: 'a',
    deleteOptions: { propagationPolicy: 'Foreground' }
  })
  collect(model)
  assert.equal(names(model), ['shared', 'stays'])
  assert.equal(
    model.get(map('shared')).metadata.ownerReferences?.map(({ name }) => name),
    ['stays']
  )
})
garbage('orphans are let go', () => {
  const model = new Model()
  const a = model.put(map('a'))
  model.put(map('b', ownedBy(a)))
  model.put({ ...model.get(a), metadata: { ...model.get(a).metadata, deletionTimestamp: model.time, finalizers: ['orphan'] } })
  collect(model)
  assert.equal(names(model), ['b'])
  assert.equal(model.get(map('b')).metadata.ownerReferences, [])
})
garbage('owners of unknown kinds, and owners out of reach, are not judged', () => {
  const model = new Model()
  model.put(map('a', { ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Thing', name: 'x', uid: 'x' }] }))
  model.put({ ...node('n1'), metadata: { name: 'n1', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' }] } })
  assert.equal(shown(model.decide(garbageCollector, keyOf('a'))), [])
  assert.equal(shown(model.decide(garbageCollector, '/nodes//n1')), [])
})

const pods = suite('pod-gc')
pods('pods of a node that stays away go; a node that comes back in time keeps them', () => {
  const model = new Model()
  // Another one each time, as after a change of leaders: what it knows is in the log.
  const look = (): string[] => {
    const decision = model.decide(podGc(), 'all')
    for (const ask of decision.asks) model.perform(ask)
    return shown(decision).filter((ask) => ask.startsWith('delete'))
  }
  const n1 = model.put(node('n1'))
  model.put(pod('a', { nodeName: 'n1' }))
  model.gone(n1)
  assert.equal(look(), [])
  assert.equal(at(model.list('Pod')[0], 'status.conditions'), [
    { type: 'reckon.io/NodeGone', status: 'True', reason: 'NodeNotFound', message: 'node n1 is not there', lastTransitionTime: model.time }
  ])
  model.now += 30_000
  model.put(node('n1'))
  assert.equal(look(), [])
  assert.is(at(model.list('Pod')[0], 'status.conditions.0.status'), 'False')
  model.gone(model.get(node('n1')))
  model.now += 30_000
  assert.equal(look(), [])
  const waiting = model.decide(podGc(), 'all')
  assert.equal([shown(waiting), waiting.requeueAfterMs], [[], 20_000])
  model.now += 40_000
  assert.equal(look(), ['delete pods a'])
})
pods('a pod that goes and never had a node goes now', () => {
  const model = new Model()
  model.put({ ...pod('a'), metadata: { name: 'a', deletionTimestamp: model.time } })
  assert.is(podGc().decide(model.view, 'all', { api: builtIns, now: model.now, random: 0 }).asks[0]?.deleteOptions?.gracePeriodSeconds, 0)
})

const spaces = suite('namespaces')
const space = (meta: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'team', ...meta },
  spec: { finalizers: ['kubernetes'] }
})
spaces('one that goes takes everything along, then is finalized', () => {
  const model = new Model()
  model.put(space({ deletionTimestamp: model.time }))
  model.put(map('a', { namespace: 'team' }))
  model.put(map('b', { namespace: 'team', finalizers: ['example.com/hold'], deletionTimestamp: model.time }))
  model.put(map('c'))
  const first = model.decide(namespace, '/team')
  assert.equal([shown(first), first.requeueAfterMs], [['delete configmaps a'], 1_000])
  for (const object of model.list('ConfigMap')) if (object.metadata.namespace === 'team') model.gone(object)
  const last = model.decide(namespace, '/team')
  assert.equal(shown(last), ['update/finalize namespaces team'])
  assert.equal(at(last.asks[0]?.object, 'spec.finalizers'), [])
})
spaces('pods go before what they use', () => {
  const model = new Model()
  model.put(space({ deletionTimestamp: model.time }))
  model.put(map('a', { namespace: 'team' }))
  const running = model.put({ ...pod('web'), metadata: { name: 'web', namespace: 'team' } })
  assert.equal(shown(model.decide(namespace, '/team')), ['delete pods web'])
  model.gone(model.get(running))
  assert.equal(shown(model.decide(namespace, '/team')), ['delete configmaps a'])
})
spaces('one that is kept says by what, once', () => {
  const model = new Model()
  model.put({
    ...space({ deletionTimestamp: model.time, finalizers: ['example.com/hold'] }),
    status: { phase: 'Terminating', conditions: [{ type: 'Theirs', status: 'True' }] }
  })
  const meta = { namespace: 'team', deletionTimestamp: model.time }
  model.put({ ...pod('a'), metadata: { name: 'a', ...meta, finalizers: ['example.com/hold'] } })
  const held = model.put({ ...pod('b'), metadata: { name: 'b', ...meta, finalizers: ['example.com/hold'] } })
  const { asks, requeueAfterMs } = model.decide(namespace, '/team')
  assert.equal([shown({ asks }), requeueAfterMs], [['update/status namespaces team'], 1_000])
  const conditions = at(asks[0]?.object, 'status.conditions') as { type: string; status: string; reason?: string; message?: string }[]
  assert.equal(
    conditions.map(({ type, status, reason }) => [type, status, reason]),
    [
      ['Theirs', 'True', undefined],
      ['NamespaceDeletionDiscoveryFailure', 'False', 'ResourcesDiscovered'],
      ['NamespaceDeletionGroupVersionParsingFailure', 'False', 'ParsedGroupVersions'],
      ['NamespaceDeletionContentFailure', 'False', 'ContentDeleted'],
      ['NamespaceContentRemaining', 'True', 'SomeResourcesRemain'],
      ['NamespaceFinalizersRemaining', 'True', 'SomeFinalizersRemain']
    ]
  )
  assert.is(conditions[4]?.message, 'Some resources are remaining: pods. has 2 resource instances')
  assert.is(conditions[5]?.message, 'Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances')
  for (const ask of asks) model.perform(ask)
  model.now += 60_000
  assert.equal(shown(model.decide(namespace, '/team')), [])
  model.gone(model.get(held))
  const next = at(model.decide(namespace, '/team').asks[0]?.object, 'status.conditions') as {
    message: string
    lastTransitionTime: string
  }[]
  assert.match(next[4]?.message ?? '', 'pods. has 1 resource instances')
  assert.is(Date.parse(next[4]?.lastTransitionTime ?? ''), Math.floor((model.now - 60_000) / 1_000) * 1_000, 'it is kept since then')
})
spaces('one that stays has a default account and the CA, always', () => {
  const model = new Model()
  model.put(space())
  const ca = rootCaCertPublisher('PEM')
  model.settle(serviceaccount, 'team')
  model.settle(ca, 'team')
  assert.equal(
    model.list('ServiceAccount').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ['team/default']
  )
  const published = model.list('ConfigMap')[0] as KubeObject
  assert.equal([published.metadata.name, published['data']], ['kube-root-ca.crt', { 'ca.crt': 'PEM' }])
  model.change(published, { data: { 'ca.crt': 'other' } })
  model.settle(ca, 'team')
  assert.equal(model.get(published)['data'], { 'ca.crt': 'PEM' })
})
spaces('one that goes gets neither', () => {
  const model = new Model()
  model.put(space({ deletionTimestamp: model.time }))
  assert.equal([shown(model.decide(serviceaccount, 'team')), shown(model.decide(rootCaCertPublisher('PEM'), 'team'))], [[], []])
})
spaces('every controller has a name of its own', () => {
  const all = controllers({ clusterCA: 'PEM' }).map(({ name }) => name)
  assert.is(new Set(all).size, all.length)
})

nodes.run()
garbage.run()
pods.run()
spaces.run()
