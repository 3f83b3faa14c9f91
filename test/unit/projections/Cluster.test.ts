/** The scheduler's view of nodes: what is requested of them, through bindings, assumptions, and nodes that come and go. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { Cluster, imageName, podInfoOf, requestsOf, type Help } from '#projections/Cluster.ts'
import { Model, node, pod } from '#test/support/model.ts'

const world = () => {
  const model = new Model()
  const cluster = new Cluster()
  let seen = 0
  /** Folds what happened since; the help of the last change. */
  const fold = (): Help => {
    let help: Help = 'none'
    for (; seen < model.changes.length; seen++) help = cluster.apply(model.changes[seen] as (typeof model.changes)[number])
    return help
  }
  return { model, cluster, fold, cpuOf: (name: string) => cluster.nodes.get(name)?.requested['cpu'] ?? 0 }
}
const small = (name: string, more: Record<string, unknown> = {}): Pod => pod(name, more, { cpu: '100m' })

const cluster = suite('Cluster')
cluster('bound pods are counted, deleted and finished ones not', () => {
  const { model, fold, cpuOf } = world()
  model.put(node('n1'))
  const a = model.put(small('a', { nodeName: 'n1' }))
  const b = model.put(small('b', { nodeName: 'n1' }))
  fold()
  assert.is(cpuOf('n1'), 200)
  model.gone(a)
  assert.is(fold(), 'room')
  assert.is(cpuOf('n1'), 100)
  model.change(b, { status: { phase: 'Failed' } })
  assert.is(fold(), 'room')
  assert.is(cpuOf('n1'), 0)
})
cluster('an assumption becomes the binding, and counts once', () => {
  const { model, cluster: view, fold, cpuOf } = world()
  model.put(node('n1'))
  const a = model.put(small('a'))
  fold()
  view.assume(podInfoOf('default/a', a), 'n1')
  assert.is(cpuOf('n1'), 100)
  model.change(a, { status: { phase: 'Pending', conditions: [] } })
  fold()
  assert.is(cpuOf('n1'), 100, 'its own status does not take the assumption back')
  model.change(a, { spec: { ...a.spec, nodeName: 'n1' } })
  fold()
  assert.is(cpuOf('n1'), 100)
})
cluster('an assumption that turns out otherwise moves', () => {
  const { model, cluster: view, fold, cpuOf } = world()
  model.put(node('n1'))
  model.put(node('n2'))
  const a = model.put(small('a'))
  fold()
  view.assume(podInfoOf('default/a', a), 'n1')
  model.change(a, { spec: { ...a.spec, nodeName: 'n2' } })
  fold()
  assert.equal([cpuOf('n1'), cpuOf('n2')], [0, 100])
})
cluster('only the pod an assumption is about takes it back', () => {
  const { model, cluster: view, fold, cpuOf } = world()
  model.put(node('n1'))
  const old = model.put(small('a'))
  fold()
  view.assume(podInfoOf('default/a', old), 'n1')
  model.gone(old)
  fold()
  assert.is(cpuOf('n1'), 0)
  const again = model.put(small('a'))
  fold()
  view.assume(podInfoOf('default/a', again), 'n1')
  view.forget('default/a', old.metadata.uid as string)
  assert.is(cpuOf('n1'), 100)
  view.forget('default/a', again.metadata.uid as string)
  assert.is(cpuOf('n1'), 0)
})
cluster('pods of a node that comes later, or again, are counted', () => {
  const { model, fold, cpuOf } = world()
  model.put(small('a', { nodeName: 'n1' }))
  const n1 = model.put(node('n1'))
  fold()
  assert.is(cpuOf('n1'), 100)
  model.gone(n1)
  assert.is(fold(), 'room')
  const b = model.put(small('b', { nodeName: 'n1' }))
  model.put(node('n1'))
  fold()
  assert.is(cpuOf('n1'), 200)
  model.gone(b)
  fold()
  assert.is(cpuOf('n1'), 100)
})
cluster('a heartbeat is no help, room is', () => {
  const { model, fold } = world()
  const n1 = model.put(node('n1'))
  assert.is(fold(), 'room')
  model.change(n1, { status: { ...n1['status'], conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: 'later' }] } })
  assert.is(fold(), 'none')
  model.change(n1, { status: { ...n1['status'], allocatable: { cpu: '8', memory: '8Gi', pods: '110' } } })
  assert.is(fold(), 'room')
})
cluster('a pod that comes is company', () => {
  const { model, fold } = world()
  model.put(node('n1'))
  const a = model.put(small('a'))
  assert.is(fold(), 'none')
  model.change(a, { spec: { ...a.spec, nodeName: 'n1' } })
  assert.is(fold(), 'company')
  model.change(a, { status: { phase: 'Running' } })
  assert.is(fold(), 'none')
})
cluster('requests: sidecars with the containers, or the largest init container', () => {
  const of = (spec: Record<string, unknown>) => requestsOf(pod('a', spec, { cpu: '100m', memory: '1Mi' }))
  assert.equal(of({}), { cpu: 100, memory: 1_048_576 })
  assert.equal(of({ initContainers: [{ resources: { requests: { cpu: '2' } } }], overhead: { cpu: '50m' } }), {
    cpu: 2050,
    memory: 1_048_576
  })
  assert.equal(
    of({
      initContainers: [{ restartPolicy: 'Always', resources: { requests: { cpu: '300m' } } }, { resources: { requests: { cpu: '200m' } } }]
    }),
    { cpu: 500, memory: 1_048_576 }
  )
})
cluster('images have a tag', () => {
  assert.equal(['web', 'web:1', 'host:5000/web', 'web@sha256:0'].map(imageName), [
    'web:latest',
    'web:1',
    'host:5000/web:latest',
    'web@sha256:0'
  ])
})
cluster.run()
