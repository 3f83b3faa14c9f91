/** The scheduler, given a cluster, when a pod waits, then a node for it; or why there is none, in upstream's words. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { Cluster } from '#projections/Cluster.ts'
import { enough, schedule } from '#services/scheduler/decide.ts'
import { Model, node, pod } from '#test/support/model.ts'

const clusterOf = (...objects: KubeObject[]): Cluster => {
  const model = new Model()
  const cluster = new Cluster()
  for (const object of objects) model.put(object)
  for (const change of model.changes) cluster.apply(change)
  return cluster
}
const place = (cluster: Cluster, object: Pod, random = 0) =>
  schedule(cluster, `default/${object.metadata.name}`, object, { start: 0, random })
const nodeFor = (cluster: Cluster, object: Pod): string | undefined => place(cluster, object).node
const messageFor = (cluster: Cluster, object: Pod): string => {
  const placement = place(cluster, object)
  if (placement.node !== undefined) throw new Error(`fits on ${placement.node}`)
  return placement.message
}
const bound = (
  name: string,
  to: string,
  more: Record<string, unknown> = {},
  requests?: Record<string, string>,
  labels?: Record<string, string>
): Pod => pod(name, { nodeName: to, ...more }, requests, labels)
const zone = (name: string, value: string) => node(name, undefined, { labels: { zone: value } })

const filters = suite('filters')
filters('no nodes', () => {
  assert.is(messageFor(clusterOf(), pod('a')), 'no nodes available to schedule pods')
})
filters('resources that are short are all named', () => {
  const cluster = clusterOf(node('n1', { cpu: '1', memory: '1Gi', pods: '110' }), node('n2', { cpu: '4', memory: '1Gi', pods: '110' }))
  assert.is(
    messageFor(cluster, pod('a', {}, { cpu: '2', memory: '2Gi' })),
    '0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.'
  )
})
filters('what other pods hold is not there', () => {
  const cluster = clusterOf(node('n1', { cpu: '2', memory: '8Gi', pods: '110' }), bound('b', 'n1', {}, { cpu: '1500m' }))
  assert.is(nodeFor(cluster, pod('a', {}, { cpu: '500m' })), 'n1')
  assert.is(
    messageFor(cluster, pod('a', {}, { cpu: '501m' })),
    '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.'
  )
})
filters('extended resources and ephemeral storage', () => {
  const cluster = clusterOf(node('n1', { cpu: '2', memory: '8Gi', pods: '110', 'ephemeral-storage': '1Gi', 'example.com/gpu': '1' }))
  assert.is(nodeFor(cluster, pod('a', {}, { 'example.com/gpu': '1' })), 'n1')
  assert.match(
    messageFor(cluster, pod('a', {}, { 'example.com/gpu': '2', 'ephemeral-storage': '2Gi' })),
    '1 Insufficient ephemeral-storage, 1 Insufficient example.com/gpu.'
  )
})
filters('pods of a node are counted', () => {
  assert.match(
    messageFor(clusterOf(node('n1', { cpu: '2', memory: '8Gi', pods: '1' }), bound('b', 'n1')), pod('a')),
    '0/1 nodes are available: 1 Too many pods. preemption'
  )
})
filters('finished pods hold nothing', () => {
  const done = { ...bound('b', 'n1', {}, { cpu: '2' }), status: { phase: 'Succeeded' } }
  assert.is(nodeFor(clusterOf(node('n1', { cpu: '2', memory: '8Gi', pods: '110' }), done), pod('a', {}, { cpu: '2' })), 'n1')
})
filters('taints, cordons and selectors, in one message', () => {
  const cluster = clusterOf(
    node('n1', undefined, { spec: { unschedulable: true } }),
    node('n2', undefined, { spec: { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] } }),
    node('n3')
  )
  assert.is(
    messageFor(cluster, pod('a', { nodeSelector: { disk: 'ssd' } })),
    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {dedicated: db}, 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
  )
  assert.is(nodeFor(cluster, pod('a')), 'n3')
})
filters('a tolerated taint is none', () => {
  const cluster = clusterOf(node('n1', undefined, { spec: { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] } }))
  assert.is(nodeFor(cluster, pod('a', { tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }] })), 'n1')
  assert.is(nodeFor(cluster, pod('a', { tolerations: [{ operator: 'Exists' }] })), 'n1')
  assert.is(nodeFor(cluster, pod('a', { tolerations: [{ key: 'dedicated', value: 'web', effect: 'NoSchedule' }] })), undefined)
  assert.is(nodeFor(cluster, pod('a', { tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoExecute' }] })), undefined)
})
filters('required node affinity', () => {
  const cluster = clusterOf(zone('n1', 'a'), zone('n2', 'b'))
  const wants = (operator: string, values?: string[]) =>
    pod('a', {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator, values }] }] }
        }
      }
    })
  assert.is(nodeFor(cluster, wants('In', ['b'])), 'n2')
  assert.is(nodeFor(cluster, wants('NotIn', ['b'])), 'n1')
  assert.is(nodeFor(cluster, wants('DoesNotExist')), undefined)
})
filters('host ports', () => {
  const ports = (hostIP?: string) => ({
    containers: [
      { name: 'main', image: 'web:1', ports: [{ containerPort: 80, hostPort: 80, ...(hostIP === undefined ? {} : { hostIP }) }] }
    ]
  })
  const cluster = clusterOf(node('n1'), bound('b', 'n1', ports('10.0.0.1')))
  assert.is(
    messageFor(cluster, pod('a', ports())),
    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
  )
  assert.is(nodeFor(cluster, pod('a', ports('10.0.0.2'))), 'n1')
})
filters('an init container, and a sidecar beside it', () => {
  const spec = {
    initContainers: [
      { name: 'side', restartPolicy: 'Always', resources: { requests: { cpu: '500m' } } },
      { name: 'init', resources: { requests: { cpu: '1' } } }
    ]
  }
  const roomy = clusterOf(node('n1', { cpu: '1500m', memory: '1Gi', pods: '9' }))
  const tight = clusterOf(node('n1', { cpu: '1400m', memory: '1Gi', pods: '9' }))
  assert.is(nodeFor(roomy, pod('a', spec, { cpu: '100m' })), 'n1')
  assert.is(nodeFor(tight, pod('a', spec, { cpu: '100m' })), undefined)
})
filters('never preempting is said', () => {
  assert.match(
    messageFor(clusterOf(node('n1')), pod('a', { preemptionPolicy: 'Never' }, { cpu: '9' })),
    /preemption: not eligible due to preemptionPolicy=Never\.$/
  )
})

const others = suite('filters on other pods')
const podAffinity = (kind: 'podAffinity' | 'podAntiAffinity', term: Record<string, unknown>) => ({
  affinity: { [kind]: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', ...term }] } }
})
const likes = (app: string, kind: 'podAffinity' | 'podAntiAffinity' = 'podAffinity') =>
  podAffinity(kind, { labelSelector: { matchLabels: { app } } })
others('affinity goes where the other is', () => {
  const cluster = clusterOf(zone('n1', 'a'), zone('n2', 'b'), zone('n3', 'b'), bound('db', 'n3', {}, undefined, { app: 'db' }))
  assert.ok(['n2', 'n3'].includes(nodeFor(cluster, pod('a', likes('db'))) as string))
  assert.is(
    messageFor(cluster, pod('a', likes('cache'))),
    "0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
  )
})
others('the first of those that like each other goes anywhere', () => {
  assert.is(nodeFor(clusterOf(zone('n1', 'a')), pod('a', likes('web'))), 'n1')
})
others('anti-affinity goes where the other is not', () => {
  const cluster = clusterOf(zone('n1', 'a'), zone('n2', 'b'), bound('w', 'n1'))
  assert.is(nodeFor(cluster, pod('a', likes('web', 'podAntiAffinity'))), 'n2')
  const full = clusterOf(zone('n1', 'a'), bound('w', 'n1'))
  assert.match(
    messageFor(full, pod('a', likes('web', 'podAntiAffinity'))),
    "1 node(s) didn't match pod anti-affinity rules. preemption: 0/1 nodes are available: 1 No preemption victims found"
  )
})
others('those that want nobody near are left alone', () => {
  const cluster = clusterOf(zone('n1', 'a'), bound('loner', 'n1', likes('web', 'podAntiAffinity'), undefined, { app: 'loner' }))
  assert.match(messageFor(cluster, pod('a')), "1 node(s) didn't satisfy existing pods anti-affinity rules.")
  assert.is(nodeFor(cluster, pod('b', {}, undefined, { app: 'other' })), 'n1')
})
others('terms reach other namespaces when they say so', () => {
  const db = { ...bound('db', 'n1', {}, undefined, { app: 'db' }), metadata: { name: 'db', namespace: 'data', labels: { app: 'db' } } }
  const cluster = clusterOf({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'data', labels: { team: 'x' } } }, zone('n1', 'a'), db)
  const term = { labelSelector: { matchLabels: { app: 'db' } } }
  assert.is(nodeFor(cluster, pod('a', podAffinity('podAffinity', term))), undefined)
  assert.is(nodeFor(cluster, pod('a', podAffinity('podAffinity', { ...term, namespaces: ['data'] }))), 'n1')
  assert.is(nodeFor(cluster, pod('a', podAffinity('podAffinity', { ...term, namespaceSelector: { matchLabels: { team: 'x' } } }))), 'n1')
  assert.is(
    nodeFor(cluster, pod('a', podAffinity('podAffinity', { ...term, namespaceSelector: { matchLabels: { team: 'y' } } }))),
    undefined
  )
  assert.is(nodeFor(cluster, pod('a', podAffinity('podAffinity', { ...term, namespaceSelector: {} }))), 'n1')
})
const spread = (more: Record<string, unknown> = {}) => ({
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'web' } }, ...more }
  ]
})
others('spreading keeps within the skew', () => {
  const cluster = clusterOf(zone('n1', 'a'), zone('n2', 'b'), bound('w', 'n1'))
  assert.is(nodeFor(cluster, pod('a', spread())), 'n2')
  const full = clusterOf(
    zone('n1', 'a'),
    node('n2', { cpu: '0', memory: '1', pods: '0' }, { labels: { zone: 'b' } }),
    node('n3'),
    bound('w', 'n1')
  )
  assert.is(
    messageFor(full, pod('a', spread())),
    "0/3 nodes are available: 1 Too many pods, 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label). preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
  )
})
others('spreading over fewer domains than wanted counts from zero', () => {
  const cluster = clusterOf(zone('n1', 'a'), bound('w', 'n1'))
  assert.is(nodeFor(cluster, pod('a', spread())), 'n1')
  assert.is(nodeFor(cluster, pod('a', spread({ minDomains: 2 }))), undefined)
})
others('matchLabelKeys spreads each revision alone', () => {
  const cluster = clusterOf(
    zone('n1', 'a'),
    zone('n2', 'b'),
    bound('old', 'n2', {}, undefined, { app: 'web', hash: '1' }),
    bound('new', 'n1', {}, undefined, { app: 'web', hash: '2' })
  )
  assert.is(nodeFor(cluster, pod('a', spread({ matchLabelKeys: ['hash'] }), undefined, { app: 'web', hash: '2' })), 'n2')
})

const scores = suite('scores')
scores('the emptier node', () => {
  assert.is(
    nodeFor(
      clusterOf(node('n1'), node('n2'), bound('b', 'n1', {}, { cpu: '2', memory: '4Gi' })),
      pod('a', {}, { cpu: '100m', memory: '100Mi' })
    ),
    'n2'
  )
})
scores('pods that ask for nothing do not pile up', () => {
  assert.is(nodeFor(clusterOf(node('n1'), node('n2'), bound('b', 'n1')), pod('a')), 'n2')
})
scores('PreferNoSchedule is avoided, not refused', () => {
  const avoided = node('n1', undefined, { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } })
  assert.is(nodeFor(clusterOf(avoided, node('n2', { cpu: '1', memory: '1Gi', pods: '9' })), pod('a')), 'n2')
  assert.is(nodeFor(clusterOf(avoided), pod('a')), 'n1')
})
scores('preferred node affinity', () => {
  const wants = pod('a', {
    affinity: {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 1, preference: { matchExpressions: [{ key: 'zone', operator: 'In', values: ['b'] }] } }
        ]
      }
    }
  })
  assert.is(nodeFor(clusterOf(zone('n1', 'a'), zone('n2', 'b')), wants), 'n2')
})
scores('preferred pods, in both directions', () => {
  const near = {
    affinity: {
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 100, podAffinityTerm: { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'web' } } } }
        ]
      }
    }
  }
  assert.is(nodeFor(clusterOf(zone('n1', 'a'), zone('n2', 'b'), bound('w', 'n2')), pod('a', near)), 'n2')
  assert.is(nodeFor(clusterOf(zone('n1', 'a'), zone('n2', 'b'), bound('fan', 'n2', near, undefined, { app: 'fan' })), pod('a')), 'n2')
})
scores('pods of one controller are spread', () => {
  const owned = (object: Pod): Pod => ({
    ...object,
    metadata: {
      ...object.metadata,
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'rs', controller: true }]
    }
  })
  assert.is(
    nodeFor(
      clusterOf(node('n1', { cpu: '64', memory: '256Gi', pods: '110' }), node('n2'), owned(bound('b', 'n1', {}, { cpu: '1m' }))),
      owned(pod('a', {}, { cpu: '1m' }))
    ),
    'n2'
  )
})
scores('soft spreading', () => {
  const soft = spread({ whenUnsatisfiable: 'ScheduleAnyway' })
  assert.is(nodeFor(clusterOf(zone('n1', 'a'), zone('n2', 'b'), bound('w', 'n1')), pod('a', soft)), 'n2')
  assert.is(nodeFor(clusterOf(zone('n1', 'a'), bound('w', 'n1')), pod('a', soft)), 'n1')
})
scores('where the image is', () => {
  const images = { images: [{ names: ['web:1'], sizeBytes: 900_000_000 }] }
  assert.is(nodeFor(clusterOf(node('n1'), node('n2', undefined, { status: images })), pod('a')), 'n2')
})
scores('ties are broken by the random argument', () => {
  const cluster = clusterOf(node('n1'), node('n2'), node('n3'))
  assert.equal(
    [0, 0.34, 0.67].map((random) => place(cluster, pod('a'), random).node),
    ['n1', 'n2', 'n3']
  )
})
scores('large clusters are sampled', () => {
  assert.equal([50, 100, 1_000, 5_000, 10_000].map(enough), [50, 100, 420, 500, 500])
  const cluster = clusterOf(...Array.from({ length: 300 }, (_, n) => node(`n${n}`)))
  assert.is(place(cluster, pod('a')).examined, 144)
})
scores('reasons say what was looked at', () => {
  const { reasons } = place(clusterOf(node('n1'), node('n2'), node('n3', undefined, { spec: { unschedulable: true } })), pod('a'))
  assert.equal(reasons['filtered'], { 'node(s) were unschedulable': 1 })
  assert.equal([reasons['node'], reasons['nodes'], reasons['feasible']], ['n1', 3, 2])
})

filters.run()
others.run()
scores.run()
