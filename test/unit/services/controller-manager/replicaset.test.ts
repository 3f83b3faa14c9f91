/** The ReplicaSet controller, given a set and pods, when it is looked at, then pods made, deleted, adopted, and a status. */
import { asOneOf } from '#events/KubeObject.ts'
import { PODS, REPLICASETS } from '#events/collections.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import type { ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { replicaset } from '#services/controller-manager/replicaset/controller.ts'
import { forbidden } from '#events/Refusal.ts'
import { Refused, type Ask } from '#services/platform/decision.ts'
import { watchesOf } from '#services/platform/decision.ts'
import { Model, notices, running, shown, withoutNotices } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

const KEY = 'default/web'
const set = (replicas: number, more: Record<string, unknown> = {}): ReplicaSet =>
  asOneOf(REPLICASETS, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web', uid: 'set' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' }, annotations: { note: 'x' } },
        spec: { containers: [{ name: 'main', image: 'web:1' }] }
      },
      ...more
    }
  })
const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'set', controller: true, blockOwnerDeletion: true }
const podOf = (
  name: string,
  status: Record<string, unknown> = running('10.0.0.1'),
  meta: Record<string, unknown> = {},
  spec: Record<string, unknown> = { nodeName: 'n1' }
): Pod =>
  asOneOf(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'web' }, ownerReferences: [owner], ...meta },
    spec: { containers: [], ...spec },
    status
  })
const given = (...objects: KubeObject[]): Model => {
  const model = new Model()
  for (const object of objects) model.put(object)
  return model
}

const rs = suite('replicaset')
rs('makes the pods that are missing, after its template', () => {
  const model = given(set(3))
  const decision = model.decide(replicaset, KEY)
  const creates = withoutNotices(decision).filter(({ verb }) => verb === 'create')
  assert.is(creates.length, 3)
  const { metadata, spec } = creates[0]?.object as KubeObject
  assert.match(metadata.name ?? '', /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.is(metadata.generateName, 'web-')
  assert.equal([metadata.labels, metadata.annotations, metadata.ownerReferences], [{ app: 'web' }, { note: 'x' }, [owner]])
  assert.equal(at(spec, 'containers'), [{ name: 'main', image: 'web:1' }])
  assert.equal(
    notices(decision),
    creates.map(({ object }) => `Normal SuccessfulCreate Created pod: ${object?.metadata.name}`)
  )
})
rs('decided twice on one state, names the same pods', () => {
  const model = given(set(2))
  assert.equal(shown(model.decide(replicaset, KEY)), shown(model.decide(replicaset, KEY)))
})
rs('a pod that is refused again and again is asked for by one name, and changes the set once', () => {
  const model = given(set(1))
  const attempt = () => {
    const ask = withoutNotices(model.decide(replicaset, KEY)).find(({ verb }) => verb === 'create') as Ask
    const name = ask.object?.metadata.name ?? ''
    const refusal = new Refused(ask, forbidden(ask.ref, name, 'violates PodSecurity').status)
    const told = replicaset.refused?.(model.objects, KEY, refusal, { api: builtIns, now: model.now, random: 0 }) ?? []
    const update = told.find(({ subresource }) => subresource === 'status')?.object
    if (update !== undefined) model.put(update)
    return { name, message: at(update, 'status.conditions.0.message') as string | undefined, notices: notices({ asks: told }) }
  }
  const [first, ...later] = [attempt(), attempt(), attempt(), attempt()]
  assert.is(first?.message, `pods "${first?.name}" is forbidden: violates PodSecurity`)
  assert.equal(
    later.map(({ message }) => message),
    [undefined, undefined, undefined]
  )
  assert.is(new Set(later.map(({ name }) => name)).size, 1)
  assert.is(new Set(later.flatMap((one) => one.notices)).size, 1)
})
rs('makes a fresh name for a pod that follows another', () => {
  const model = given(set(1))
  model.settle(replicaset, KEY)
  const first = model.list('Pod')[0] as KubeObject
  model.gone(first)
  model.settle(replicaset, KEY)
  assert.is.not(model.list('Pod')[0]?.metadata.name, first.metadata.name)
})
rs('settles, with a status', () => {
  const model = given(set(3))
  model.settle(replicaset, KEY)
  assert.is(model.list('Pod').length, 3)
  for (const pod of model.list('Pod').slice(0, 2))
    model.change(pod, { spec: { ...pod['spec'], nodeName: 'n1' }, status: running('10.0.0.1') })
  model.settle(replicaset, KEY)
  assert.equal(model.get(set(3))['status'], {
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 2,
    availableReplicas: 2,
    observedGeneration: 1
  })
})
rs('at most 500 in one decision', () => {
  const decision = given(set(700)).decide(replicaset, KEY)
  assert.is(withoutNotices(decision).filter(({ verb }) => verb === 'create').length, 500)
  assert.is(notices(decision).length, 25)
})
rs('pods that are done or going do not count', () => {
  const model = given(
    set(2),
    podOf('a'),
    podOf('b', { phase: 'Failed' }),
    podOf('c', running('10.0.0.2'), { deletionTimestamp: '2029-12-31T23:59:59Z' })
  )
  assert.is(shown(model.decide(replicaset, KEY)).filter((ask) => ask.startsWith('create')).length, 1)
})
rs('deletes the surplus: unbound, pending, not ready, cheap, crowded, young', () => {
  const older = '2029-12-31T22:00:00Z'
  const model = given(
    set(0),
    podOf('g-old', running('1', true, older), { creationTimestamp: older }, { nodeName: 'n2' }),
    podOf('f-young', running('1', true, older), { creationTimestamp: '2029-12-31T23:30:00Z' }, { nodeName: 'n2' }),
    podOf('e-ready-later', running('1'), {}, { nodeName: 'n2' }),
    podOf(
      'd-cheap',
      running('1', true, older),
      { annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-1' } },
      { nodeName: 'n3' }
    ),
    podOf('c-not-ready', running('1', false)),
    podOf('b-pending', { phase: 'Pending' }),
    podOf('a-unbound', { phase: 'Pending' }, {}, {})
  )
  const order: string[] = []
  for (let replicas = 6; replicas >= 0; replicas--) {
    model.change(model.get(set(0)), { spec: { ...set(replicas).spec } })
    const asks = withoutNotices(model.decide(replicaset, KEY)).filter(({ verb }) => verb === 'delete')
    assert.is(asks.length, 1)
    order.push(asks[0]?.name as string)
    model.gone(model.get({ apiVersion: 'v1', kind: 'Pod', metadata: { name: asks[0]?.name as string } }))
  }
  assert.equal(order, ['a-unbound', 'b-pending', 'c-not-ready', 'd-cheap', 'e-ready-later', 'f-young', 'g-old'])
})
rs('of pods alike, one from the fullest node goes', () => {
  const model = given(
    set(2),
    podOf('a'),
    podOf('b', running('2'), {}, { nodeName: 'n2' }),
    podOf('c', running('3'), {}, { nodeName: 'n2' })
  )
  const decision = model.decide(replicaset, KEY)
  assert.ok(shown(decision).includes('delete pods b'))
  assert.equal(notices(decision), ['Normal SuccessfulDelete Deleted pod: b'])
})
rs('adopts pods that match and belong to nobody, and lets those go that match no longer', () => {
  const model = given(
    set(1),
    podOf('stray', running('1'), { labels: { app: 'other' } }),
    podOf('orphan', running('2'), { ownerReferences: [] })
  )
  model.settle(replicaset, KEY)
  const named = (name: string): KubeObject => model.get({ apiVersion: 'v1', kind: 'Pod', metadata: { name } })
  assert.equal(named('stray').metadata.ownerReferences, [])
  assert.equal(named('orphan').metadata.ownerReferences, [owner])
  assert.is(model.list('Pod').length, 2)
})
rs('leaves pods of others, of other namespaces and of nobody that are done', () => {
  const model = given(
    set(0),
    podOf('theirs', running('1'), { ownerReferences: [{ ...owner, uid: 'other' }] }),
    podOf('far', running('1'), { ownerReferences: [], namespace: 'far' }),
    podOf('done', { phase: 'Succeeded' }, { ownerReferences: [] })
  )
  assert.equal(shown(model.decide(replicaset, KEY)), ['update/status replicasets web'])
})
rs('counts a pod as available once it is ready for minReadySeconds, and looks again then', () => {
  const model = given(set(1, { minReadySeconds: 30 }), podOf('a', running('1', true, '2029-12-31T23:59:50Z')))
  const { requeueAfterMs } = model.decide(replicaset, KEY)
  assert.is(requeueAfterMs, 20_010)
  model.settle(replicaset, KEY)
  assert.equal([at(model.get(set(1)), 'status.readyReplicas'), at(model.get(set(1)), 'status.availableReplicas')], [1, undefined])
  model.now += 20_010
  model.settle(replicaset, KEY)
  assert.is(at(model.get(set(1)), 'status.availableReplicas'), 1)
})
rs('makes nothing while it goes', () => {
  assert.equal(
    shown(
      given({
        ...set(3),
        metadata: { name: 'web', uid: 'set', deletionTimestamp: '2029-12-31T23:59:59Z' },
        status: { replicas: 0, observedGeneration: 1 }
      }).decide(replicaset, KEY)
    ),
    []
  )
})
rs('is looked at when a pod of its, or one it would adopt, changes', () => {
  const model = given(
    set(1),
    podOf('a'),
    podOf('orphan', running('1'), { ownerReferences: [] }),
    podOf('no', running('1'), { ownerReferences: [], labels: { app: 'no' } })
  )
  const keys = watchesOf(replicaset, builtIns)[1]?.keys
  assert.equal(
    model.changes.slice(1).map((change) => keys?.(change, model.view, builtIns)),
    [[KEY], [KEY], []]
  )
})
rs.run()
