/** The Deployment controller, given a deployment and its sets, when it is looked at, then sets made and sized, and how it stands. */
import { asOneOf } from '#events/KubeObject.ts'
import { DEPLOYMENTS } from '#events/collections.ts'
import type { Deployment, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import { at, textAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Deployment as Kind } from '#events/apps/Deployment.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { deployment } from '#services/controller-manager/deployment/controller.ts'
import { replicaset } from '#services/controller-manager/replicaset/controller.ts'
import { templateHash } from '#services/controller-manager/deployment/template.ts'
import { watchesOf } from '#services/platform/decision.ts'
import { Model, notices, running, shown, withoutNotices } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

const KEY = 'default/web'
/** As the API server stores it. */
const template = (image: string) => {
  const stored = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {},
    spec: { template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image }] } } }
  }
  Kind.default?.(stored as never)
  return stored.spec.template
}
const web = (more: Record<string, unknown> = {}, meta: Record<string, unknown> = {}): Deployment =>
  asOneOf(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', uid: 'web', ...meta },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      template: template('web:1'),
      ...more
    }
  })
const given = (...objects: KubeObject[]): Model => {
  const model = new Model()
  for (const object of objects) model.put(object)
  return model
}
const the = (model: Model): Deployment => model.get(web())
const change = (model: Model, spec: Record<string, unknown>): void => {
  const now = the(model)
  model.put({ ...now, metadata: { ...now.metadata, generation: (now.metadata.generation ?? 1) + 1 }, spec: { ...now.spec, ...spec } })
}
/** `web:1=3` for each set with replicas, in the order they were made. */
const sizes = (model: Model): string[] =>
  model
    .list('ReplicaSet')
    .toSorted(
      (a, b) =>
        Number(a.metadata.annotations?.['deployment.kubernetes.io/revision']) -
        Number(b.metadata.annotations?.['deployment.kubernetes.io/revision'])
    )
    .map(({ spec }) => `${spec.template.spec.containers[0]?.image}=${spec.replicas}`)
const setOf = (model: Model, image: string): ReplicaSet =>
  model.list('ReplicaSet').find(({ spec }) => spec.template.spec.containers[0]?.image === image) as ReplicaSet
const condition = (model: Model, type: string): string => {
  const found = (at(the(model), 'status.conditions') as { type: string; status: string; reason: string; message: string }[]).find(
    (one) => one.type === type
  )
  return `${found?.status} ${found?.reason}: ${found?.message}`
}
/** Both controllers until nothing is left to ask; pods of good images become ready on the way. */
const roll = (model: Model, ready: (image: string) => boolean = () => true): void => {
  for (let round = 0; round < 60; round++) {
    const before = model.changes.length
    model.settle(deployment, KEY)
    for (const set of model.list('ReplicaSet')) model.settle(replicaset, `default/${set.metadata.name}`)
    for (const pod of model.list('Pod')) {
      if (pod.metadata.deletionTimestamp !== undefined) model.gone(pod)
      else if (at(pod, 'status.phase') === 'Pending' && ready(textAt(pod, 'spec.containers.0.image')))
        model.change(pod, { spec: { ...pod['spec'], nodeName: 'n1' }, status: running('10.0.0.1') })
    }
    if (model.changes.length === before) return
  }
  throw new Error('does not come to rest')
}

const create = suite('deployment: a new one')
create('makes its ReplicaSet, named and labelled by the template', () => {
  const model = given(web({}, { annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' } }))
  const decision = model.decide(deployment, KEY)
  const set = withoutNotices(decision).find(({ verb }) => verb === 'create')?.object as KubeObject
  const hash = templateHash(template('web:1'))
  assert.is(set.metadata.name, `web-${hash}`)
  assert.equal(set.metadata.labels, { app: 'web', 'pod-template-hash': hash })
  assert.equal(set.metadata.annotations, {
    note: 'x',
    'deployment.kubernetes.io/desired-replicas': '3',
    'deployment.kubernetes.io/max-replicas': '4',
    'deployment.kubernetes.io/revision': '1'
  })
  assert.equal(at(set, 'spec.selector'), { matchLabels: { app: 'web', 'pod-template-hash': hash } })
  assert.equal(at(set, 'spec.template.metadata.labels'), { app: 'web', 'pod-template-hash': hash })
  assert.is(at(set, 'spec.replicas'), 3)
  assert.equal(notices(decision), [`Normal ScalingReplicaSet Scaled up replica set web-${hash} from 0 to 3`])
  assert.match(
    JSON.stringify(withoutNotices(decision).find(({ subresource }) => subresource === 'status')?.object?.['status']),
    'Created new replica set'
  )
})
create('is available and complete in the end', () => {
  const model = given(web())
  roll(model)
  const name = model.list('ReplicaSet')[0]?.metadata.name
  assert.is(condition(model, 'Available'), 'True MinimumReplicasAvailable: Deployment has minimum availability.')
  assert.is(condition(model, 'Progressing'), `True NewReplicaSetAvailable: ReplicaSet "${name}" has successfully progressed.`)
  const { conditions: _, ...counts } = the(model).status ?? {}
  assert.equal(counts, { observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 })
  assert.is(the(model).metadata.annotations?.['deployment.kubernetes.io/revision'], '1')
})
create('says the revision beside the status: a generation is raised by who changes the deployment', () => {
  const model = given(web())
  for (const ask of withoutNotices(model.decide(deployment, KEY))) model.perform(ask)
  assert.equal(shown(model.decide(deployment, KEY)), ['patch/status deployments web'])
})
create('takes another name when the first is taken', () => {
  const hash = templateHash(template('web:1'))
  const model = given(web(), {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: `web-${hash}` },
    spec: { replicas: 0, selector: { matchLabels: { app: 'other' } }, template: { metadata: { labels: { app: 'other' } } } }
  })
  model.settle(deployment, KEY)
  assert.is(at(the(model), 'status.collisionCount'), 1)
  assert.ok(model.list('ReplicaSet').some(({ metadata }) => metadata.name === `web-${templateHash(template('web:1'), 1)}`))
})
create('adopts a set that matches and belongs to nobody', () => {
  const model = given(web())
  roll(model)
  const set = model.list('ReplicaSet')[0] as KubeObject
  model.put({ ...set, metadata: { ...set.metadata, ownerReferences: [] } })
  roll(model)
  assert.is(model.list('ReplicaSet').length, 1)
  assert.is(model.list('ReplicaSet')[0]?.metadata.ownerReferences?.[0]?.uid, 'web')
})
create('knows its set by name, though what is filled into templates has changed', () => {
  const model = given(web())
  roll(model)
  const set = model.list('ReplicaSet')[0] as ReplicaSet
  model.put({
    ...set,
    spec: { ...set.spec, template: { ...set.spec.template, spec: { ...set.spec.template.spec, schedulerName: 'older' } } }
  })
  roll(model)
  assert.is(model.list('ReplicaSet').length, 1)
})
create('a hash has no vowels, and depends on what matters', () => {
  assert.match(templateHash(template('a')), /^[bcdfghjklmnpqrstvwxz2456789]{10}$/)
  assert.is(templateHash({ a: 1, b: 2 }), templateHash({ b: 2, a: 1 }))
  assert.is.not(templateHash(template('a')), templateHash(template('b')))
  assert.is.not(templateHash(template('a'), 0), templateHash(template('a'), 1))
})

const rolling = suite('deployment: rolling update')
rolling('goes one up, one down', () => {
  const model = given(web())
  roll(model)
  change(model, { template: template('web:2') })
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=3', 'web:2=1'])
  roll(model)
  assert.equal(sizes(model), ['web:1=0', 'web:2=3'])
  assert.is(setOf(model, 'web:2').metadata.annotations?.['deployment.kubernetes.io/revision'], '2')
})
rolling('revisions go on from a set that is adopted, however large its own is', () => {
  const model = given(web())
  const revision = 'deployment.kubernetes.io/revision'
  const older = { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: template('web:0') }
  const annotations = { [revision]: '3546343826724305832' }
  model.put({ apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'older', labels: { app: 'web' }, annotations }, spec: older })
  roll(model)
  assert.is(setOf(model, 'web:1').metadata.annotations?.[revision], '3546343826724305833')
  assert.is(the(model).metadata.annotations?.[revision], '3546343826724305833')
})
rolling('with a bad image stops at its limits, and says so after the deadline', () => {
  const model = given(web())
  roll(model)
  change(model, { template: template('bad') })
  roll(model, (image) => image !== 'bad')
  assert.equal(sizes(model), ['web:1=3', 'bad=1'])
  const { requeueAfterMs } = model.decide(deployment, KEY)
  assert.ok(requeueAfterMs !== undefined && requeueAfterMs <= 600_100)
  model.now += 601_000
  roll(model, (image) => image !== 'bad')
  assert.is(
    condition(model, 'Progressing'),
    `False ProgressDeadlineExceeded: ReplicaSet "${setOf(model, 'bad').metadata.name}" has timed out progressing.`
  )
  assert.match(condition(model, 'Available'), /^True/)
})
rolling('undo reuses the old set, as a new revision', () => {
  const model = given(web())
  roll(model)
  change(model, { template: template('bad') })
  roll(model, (image) => image !== 'bad')
  model.now += 601_000
  roll(model, (image) => image !== 'bad')
  change(model, { template: template('web:1') })
  roll(model, (image) => image !== 'bad')
  assert.equal(sizes(model), ['bad=0', 'web:1=3'])
  const { annotations } = setOf(model, 'web:1').metadata
  assert.equal([annotations?.['deployment.kubernetes.io/revision'], annotations?.['deployment.kubernetes.io/revision-history']], ['3', '1'])
  assert.match(condition(model, 'Progressing'), /^True NewReplicaSetAvailable/)
})
rolling('pods that never worked go first', () => {
  const model = given(web({ strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } }))
  roll(model)
  change(model, { template: template('bad') })
  roll(model, (image) => image !== 'bad')
  assert.equal(sizes(model), ['web:1=2', 'bad=1'])
  change(model, { template: template('web:3') })
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=2', 'bad=0', 'web:3=1'])
})
rolling('a status from before a set was made smaller frees nobody twice', () => {
  const model = given(web({ replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 0 } } }))
  roll(model)
  change(model, { template: template('web:2') })
  model.settle(deployment, KEY)
  for (const set of model.list('ReplicaSet')) model.settle(replicaset, `default/${set.metadata.name}`)
  for (const pod of model.list('Pod'))
    if (at(pod, 'status.phase') === 'Pending') model.change(pod, { spec: { ...pod['spec'], nodeName: 'n1' }, status: running('10.0.0.1') })
  model.settle(replicaset, `default/${setOf(model, 'web:2').metadata.name}`)
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=7', 'web:2=6'])
  model.settle(replicaset, `default/${setOf(model, 'web:2').metadata.name}`)
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=7', 'web:2=6'], 'web:1 still says 10 available')
})
rolling('percentages: surge up, unavailable down; history is kept to its limit', () => {
  const model = given(
    web({
      replicas: 5,
      revisionHistoryLimit: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } }
    })
  )
  roll(model)
  change(model, { template: template('web:2') })
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=4', 'web:2=3'])
  roll(model)
  change(model, { template: template('web:3') })
  roll(model)
  assert.equal(sizes(model), ['web:2=0', 'web:3=5'])
})
rolling('keeps its sets locked to the version seen', () => {
  const model = given(web())
  roll(model)
  change(model, { template: template('web:2') })
  model.settle(deployment, KEY)
  for (const set of model.list('ReplicaSet')) model.settle(replicaset, `default/${set.metadata.name}`)
  const before = model.list('ReplicaSet')
  change(model, { replicas: 6 })
  for (const ask of withoutNotices(model.decide(deployment, KEY)))
    if (ask.ref.resource === 'replicasets')
      assert.ok(before.some(({ metadata }) => metadata.resourceVersion === ask.object?.metadata.resourceVersion))
})

const others = suite('deployment: scaling, pausing, Recreate')
others('scales the one set it has', () => {
  const model = given(web())
  roll(model)
  change(model, { replicas: 5 })
  roll(model)
  assert.equal(sizes(model), ['web:1=5'])
  change(model, { replicas: 0 })
  roll(model)
  assert.equal(sizes(model), ['web:1=0'])
  assert.match(condition(model, 'Available'), /^True/)
  change(model, { replicas: 2 })
  roll(model)
  assert.equal(sizes(model), ['web:1=2'])
})
others('in the middle of a rollout, scales in proportion', () => {
  const model = given(web({ replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } }))
  roll(model)
  change(model, { template: template('bad') })
  roll(model, (image) => image !== 'bad')
  assert.equal(sizes(model), ['web:1=8', 'bad=5'])
  change(model, { replicas: 15 })
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=11', 'bad=7'])
})
others('paused, scales but does not roll; resumed, rolls', () => {
  const model = given(web())
  roll(model)
  change(model, { paused: true, template: template('web:2'), replicas: 4 })
  roll(model)
  assert.equal(sizes(model), ['web:1=4'])
  assert.is(condition(model, 'Progressing'), 'Unknown DeploymentPaused: Deployment is paused')
  change(model, { paused: false })
  roll(model)
  assert.equal(sizes(model), ['web:1=0', 'web:2=4'])
  assert.match(condition(model, 'Progressing'), /^True NewReplicaSetAvailable/)
})
others('Recreate waits until the last old pod is gone', () => {
  const model = given(web({ strategy: { type: 'Recreate' } }))
  roll(model)
  change(model, { template: template('web:2') })
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=0'])
  model.settle(replicaset, `default/${setOf(model, 'web:1').metadata.name}`)
  assert.ok(model.list('Pod').every(({ metadata }) => metadata.deletionTimestamp !== undefined))
  model.settle(deployment, KEY)
  assert.equal(sizes(model), ['web:1=0'], 'they are told to go, but are not gone')
  const pods = model.list('Pod')
  for (const pod of pods) model.gone(pod)
  assert.equal(watchesOf(deployment, builtIns)[2]?.keys(model.changes.at(-1) as (typeof model.changes)[number], model.view, builtIns), [
    KEY
  ])
  roll(model)
  assert.equal(sizes(model), ['web:1=0', 'web:2=3'])
})
others('new annotations and minReadySeconds reach the present set', () => {
  const model = given(web())
  roll(model)
  model.put({
    ...the(model),
    metadata: { ...the(model).metadata, annotations: { ...the(model).metadata.annotations, cause: 'test' } },
    spec: { ...the(model).spec, minReadySeconds: 7 }
  })
  roll(model)
  assert.is(setOf(model, 'web:1').metadata.annotations?.['cause'], 'test')
  assert.is(at(setOf(model, 'web:1'), 'spec.minReadySeconds'), 7)
})
others('one that goes makes nothing more', () => {
  const model = given(web({}, { deletionTimestamp: '2029-12-31T23:59:59Z' }))
  assert.equal(
    shown(model.decide(deployment, KEY)).filter((ask) => ask.includes('replicasets')),
    []
  )
})

create.run()
rolling.run()
others.run()
