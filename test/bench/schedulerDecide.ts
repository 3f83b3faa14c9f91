/** Claim: the scheduler decides ≥ 2,000 pods a second at 1,000 nodes: its plain part, without log or loop. */
import { asOneOf } from '#events/KubeObject.ts'
import { PODS as COLLECTION } from '#events/collections.ts'
import { performance } from 'node:perf_hooks'
import type { KubeObject } from '#events/KubeObject.ts'
import { Cluster } from '#projections/Cluster.ts'
import { Entry } from '#projections/Objects.ts'
import { schedule } from '#services/scheduler/decide.ts'
import { machine } from './support.ts'

const NODES = Number(process.argv[2] ?? 1_000)
const PODS = Number(process.argv[3] ?? 20_000)

let sequence = 0
const see = (cluster: Cluster, object: KubeObject, resource: string): void => {
  sequence += 1
  const key = { group: '', resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name as string }
  cluster.apply({
    type: 'ADDED',
    entry: new Entry(
      {
        id: '',
        type: '',
        source: '',
        time: '',
        user: '',
        correlationId: '',
        verb: '',
        stream: 'EVENTS',
        key,
        deleted: false,
        expected: 0,
        sequence
      },
      '',
      object
    ),
    previous: undefined
  })
}

const pod = (n: number, spec: Record<string, unknown>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: `pod-${n}`,
    namespace: 'default',
    uid: `uid-${n}`,
    labels: { app: `app-${n % 50}` },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `rs-${n % 50}`, uid: `rs-${n % 50}`, controller: true }]
  },
  spec: { containers: [{ name: 'web', image: 'web:1', resources: { requests: { cpu: '100m', memory: '128Mi' } } }], ...spec }
})

const SHAPES: Readonly<Record<string, { readonly spec: (n: number) => Record<string, unknown>; readonly pods: number }>> = {
  plain: { spec: () => ({}), pods: PODS },
  'tolerations and preferred node affinity': {
    spec: () => ({
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }],
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 10, preference: { matchExpressions: [{ key: 'topology.kubernetes.io/zone', operator: 'In', values: ['zone-1'] }] } }
          ]
        }
      }
    }),
    pods: PODS
  },
  'spread over zones (DoNotSchedule)': {
    spec: (n) => ({
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'topology.kubernetes.io/zone',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: { matchLabels: { app: `app-${n % 50}` } }
        }
      ]
    }),
    pods: PODS / 10
  },
  'anti-affinity by host': {
    spec: (n) => ({
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: `app-${n % 50}` } } }
          ]
        }
      }
    }),
    pods: PODS / 10
  },
  'fits nowhere': { spec: () => ({ nodeSelector: { disk: 'none' } }), pods: PODS / 10 }
}

console.log(`machine: ${machine()}`)
for (const [name, { spec, pods }] of Object.entries(SHAPES)) {
  const cluster = new Cluster()
  for (let n = 0; n < NODES; n++)
    see(
      cluster,
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: `node-${n}`, labels: { 'kubernetes.io/hostname': `node-${n}`, 'topology.kubernetes.io/zone': `zone-${n % 3}` } },
        spec: {},
        status: { allocatable: { cpu: '16', memory: '64Gi', pods: '110' } }
      },
      'nodes'
    )
  const waiting = Array.from({ length: pods }, (_, n) => pod(n, spec(n)))
  let start = 0
  let random = 0.5
  let placed = 0
  const began = performance.now()
  for (const object of waiting) {
    random = (random * 16_807.13) % 1
    const placement = schedule(cluster, `default/${object.metadata.name}`, asOneOf(COLLECTION, object), { start, random })
    start = (start + placement.examined) % NODES
    if (placement.node === undefined) continue
    placed += 1
    cluster.assume(placement.pod, placement.node)
  }
  const seconds = (performance.now() - began) / 1000
  const perNode = [...cluster.nodes.values()].map(({ pods: on }) => on.size)
  console.log(
    `${name}: ${Math.round(pods / seconds)} pods/s decided at ${NODES} nodes (${pods} pods, ${placed} placed, ${Math.min(...perNode)} to ${Math.max(...perNode)} on a node)`
  )
}
