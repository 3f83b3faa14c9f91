/**
 * Deployment to endpoints through the real decider: every controller and the scheduler on one log in memory, a kubelet played by the test.
 */
import { REPLICASETS } from '#events/collections.ts'
import type { DeploymentStatus, ReplicaSetStatus } from '#events/schema/generated/apps.v1.ts'
import { at, textAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { Controller, Outrun } from '#services/platform/Controller.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'
import { node, running } from '#test/support/model.ts'

const api: TestApi = await startTestApi()
const errors: unknown[] = []
const onError = (error: unknown): void => void (error instanceof Outrun || errors.push(error))
const loops = controllers({ clusterCA: 'PEM' }).map(
  (definition) =>
    new Controller(
      definition,
      api.views,
      { submit: (intent: Intent) => api.decider.submit(intent, userOf(definition.name)) },
      systemClock,
      ({ error }) => onError(error)
    )
)
const scheduler = new Scheduler(
  api.views,
  { submit: (intent: Intent) => api.decider.submit(intent, { username: 'system:kube-scheduler', groups: ['system:authenticated'] }) },
  systemClock,
  onError
)

const PODS = { group: '', resource: 'pods' }
const pods = (): KubeObject[] =>
  api.views
    .collection(PODS)
    .list('default')
    .map(({ object }) => object)
/** Resolves when the condition holds; it is asked after every change. */
const until = (what: string, holds: () => boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    if (holds()) return resolve()
    const limit = systemClock.after(10_000, () =>
      reject(
        new Error(
          `not within 10 s: ${what}; ${JSON.stringify(pods().map(({ metadata, status }) => [metadata.name, status]))}; ${errors.join()}`
        )
      )
    )
    const subscription = api.views.of(PODS).subscribe(() => {
      if (!holds()) return
      limit.cancel()
      subscription.close()
      resolve()
    })
  })
let addresses = 0
/** Starts what is bound, ends what is told to go. */
const kubelet = api.views.of(PODS).subscribe(({ type, entry }) => {
  const { object } = entry
  if (entry.key.resource !== 'pods' || type === 'DELETED' || (at(object, 'spec.nodeName') ?? '') === '') return
  const about = { ref: PODS, namespace: entry.key.namespace, name: entry.key.name }
  if (object.metadata.deletionTimestamp !== undefined) {
    void api.submit({ ...about, verb: 'delete', deleteOptions: { gracePeriodSeconds: 0 } })
    return
  }
  if (at(object, 'status.phase') === 'Pending' && !textAt(object, 'spec.containers.0.image').startsWith('bad'))
    void api.submit({
      ...about,
      verb: 'update',
      subresource: 'status',
      object: { ...object, metadata: { ...object.metadata, resourceVersion: '' }, status: running(`10.244.0.${++addresses}`) }
    })
})
const web = (image: string, replicas = 3): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image }] } }
  }
})
const patch = (body: unknown) =>
  api.submit({
    verb: 'patch',
    ref: { group: 'apps', resource: 'deployments' },
    namespace: 'default',
    name: 'web',
    patch: { type: 'application/strategic-merge-patch+json', body }
  })
const status = (): DeploymentStatus => api.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' })?.status ?? {}
const complete = (replicas: number): boolean => {
  const { availableReplicas, updatedReplicas, replicas: all, observedGeneration, conditions } = status()
  return (
    observedGeneration === api.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' })?.metadata.generation &&
    [availableReplicas, updatedReplicas, all].every((count) => count === replicas) &&
    conditions?.find(({ type }) => type === 'Progressing')?.reason === 'NewReplicaSetAvailable'
  )
}
const endpointIPs = (): string[] =>
  [...api.views.collection({ group: 'discovery.k8s.io', resource: 'endpointslices' }).indexed('label', 'kubernetes.io/service-name=web')]
    .flatMap(({ object }) =>
      (object['endpoints'] as { addresses: string[]; conditions: { ready: boolean } }[])
        .filter(({ conditions }) => conditions.ready)
        .flatMap(({ addresses: found }) => found)
    )
    .toSorted()
const podIPs = (): string[] =>
  pods()
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((pod) => at(pod, 'status.podIP') as string)
    .toSorted()
const settled = (): boolean => JSON.stringify(endpointIPs()) === JSON.stringify(podIPs())

const loop = suite('all controllers together')
loop.before(async () => {
  const { status: ready, ...rest } = node('n1', { cpu: '16', memory: '64Gi', pods: '110' })
  accepted(await api.create(rest))
  accepted(
    await api.submit({
      verb: 'update',
      subresource: 'status',
      ref: { group: '', resource: 'nodes' },
      name: 'n1',
      object: {
        ...rest,
        status: {
          ...ready,
          conditions: [
            { type: 'Ready', status: 'True', lastHeartbeatTime: '2199-01-01T00:00:00Z', lastTransitionTime: '2199-01-01T00:00:00Z' }
          ]
        }
      }
    })
  )
  for (const one of loops) one.start()
  scheduler.start()
})
loop.after(() => {
  for (const one of loops) one.stop()
  scheduler.stop()
  kubelet.close()
})
loop('a deployment becomes pods behind a service', async () => {
  accepted(
    await api.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] }
    })
  )
  accepted(await api.create(web('web:1')))
  await until('complete', () => complete(3) && endpointIPs().length === 3 && settled())
})
loop('a pod that is deleted is replaced', async () => {
  const [first] = pods()
  accepted(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: first?.metadata.name as string }))
  await until(
    'replaced',
    () => complete(3) && pods().length === 3 && !pods().some(({ metadata }) => metadata.uid === first?.metadata.uid) && settled()
  )
})
loop('a bad image stops at its limits, and undo restores it', async () => {
  accepted(await patch({ spec: { template: { spec: { containers: [{ name: 'main', image: 'bad:1' }] } } } }))
  await until('stopped', () => pods().length === 4 && status()['updatedReplicas'] === 1 && status()['availableReplicas'] === 3)
  accepted(await patch({ spec: { template: { spec: { containers: [{ name: 'main', image: 'web:1' }] } } } }))
  await until('restored', () => complete(3) && pods().length === 3 && settled())
  assert.is(
    api.get({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' })?.metadata.annotations?.['deployment.kubernetes.io/revision'],
    '3'
  )
})
loop('a new image rolls out, and it scales', async () => {
  accepted(await patch({ spec: { replicas: 6, template: { spec: { containers: [{ name: 'main', image: 'web:2' }] } } } }))
  await until('rolled', () => complete(6) && pods().length === 6 && settled())
  assert.ok(pods().every((pod) => at(pod, 'spec.containers.0.image') === 'web:2'))
})
loop('pods that may not be made: the set and the deployment say why, and recover', async () => {
  const account = { ref: { group: '', resource: 'serviceaccounts' }, namespace: 'default', name: 'special' }
  const sets = () =>
    api.views
      .collection(REPLICASETS)
      .list('default')
      .map(({ object }) => object)
  const failure = (object: DeploymentStatus | ReplicaSetStatus | undefined) =>
    object?.conditions?.find(({ type }) => type === 'ReplicaFailure')
  accepted(await patch({ spec: { template: { spec: { serviceAccountName: 'special' } } } }))
  await until('said', () => failure(status()) !== undefined)
  assert.is(failure(status())?.reason, 'FailedCreate')
  assert.match(failure(status())?.message ?? '', 'serviceaccount "special" not found')
  const event = api.views
    .collection({ group: '', resource: 'events' })
    .list('default')
    .find(({ object }) => object['reason'] === 'FailedCreate')?.object
  assert.match(textAt(event, 'message'), /^Error creating: pods "web-.*" is forbidden: error looking up service account default\/special/)
  accepted(await api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account.name } }))
  await until(
    'recovered',
    () => complete(6) && settled() && failure(status()) === undefined && sets().every(({ status: of }) => failure(of) === undefined)
  )
  assert.ok(errors.length > 0)
  errors.length = 0
})
loop('deleted, it takes everything along', async () => {
  accepted(
    await api.submit({
      verb: 'delete',
      ref: { group: 'apps', resource: 'deployments' },
      namespace: 'default',
      name: 'web',
      deleteOptions: { propagationPolicy: 'Background' }
    })
  )
  await until(
    'gone',
    () =>
      pods().length === 0 &&
      api.views.collection({ group: 'apps', resource: 'replicasets' }).list('default').length === 0 &&
      endpointIPs().length === 0
  )
})
loop('a namespace that goes takes its objects along', async () => {
  accepted(await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } }))
  await until(
    'furnished',
    () =>
      api.get({ apiVersion: 'v1', kind: 'ConfigMap', name: 'kube-root-ca.crt', namespace: 'team' }) !== undefined &&
      api.get({ apiVersion: 'v1', kind: 'ServiceAccount', name: 'default', namespace: 'team' }) !== undefined
  )
  accepted(await api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'team' } }))
  accepted(await api.submit({ verb: 'delete', ref: { group: '', resource: 'namespaces' }, name: 'team' }))
  await until('gone', () => api.get({ apiVersion: 'v1', kind: 'Namespace', name: 'team' }) === undefined)
  assert.equal(errors, [])
})
loop.run()
