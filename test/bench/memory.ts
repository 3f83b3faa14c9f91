/**
 * Claim: what a view holds is little more than its objects' text. 150,000 pods as an API server holds them; 10,000 Services with
 * their EndpointSlices as kube-proxy and the DNS on a node do. Over the log's twin in memory, which holds nothing itself here.
 */
import { encodeEvent } from '#events/Event.ts'
import type { ObjectKey } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log, LogEntry } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { narrowedToEndpoints } from '#projections/Proxy.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { View } from '#services/platform/View.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { machine } from './support.ts'

const manager = (manager: string, fields: object) => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-01-01T00:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1: fields
})

const pod = (n: number): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: `pod-${n}`,
    namespace: `team-${n % 100}`,
    uid: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { app: `app-${n % 1000}`, 'pod-template-hash': `hash-${n % 15_000}` },
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `rs-${n % 15_000}`, uid: `rs-uid-${n % 15_000}`, controller: true }
    ]
  },
  spec: {
    nodeName: `node-${n % 1000}`,
    containers: [
      {
        name: 'web',
        image: 'reckon/demo:1',
        resources: { requests: { cpu: '10m', memory: '8Mi' } },
        ports: [{ containerPort: 8080, protocol: 'TCP' }]
      }
    ],
    tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }]
  },
  status: {
    phase: 'Running',
    podIP: '10.244.0.7',
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    containerStatuses: [
      { name: 'web', ready: true, restartCount: 0, image: 'reckon/demo:1', state: { running: { startedAt: '2026-01-01T00:00:00Z' } } }
    ]
  }
})
const service = (n: number): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name: `svc-${n}`,
    namespace: `team-${n % 100}`,
    uid: `svc-uid-${n}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { app: `app-${n}` },
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(400) },
    managedFields: [manager('kubectl', { 'f:spec': { 'f:ports': {}, 'f:selector': {} } })] as never
  },
  spec: {
    type: 'ClusterIP',
    clusterIP: `10.96.${n >> 8}.${n & 255}`,
    clusterIPs: [`10.96.${n >> 8}.${n & 255}`],
    selector: { app: `app-${n}` },
    ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }]
  },
  status: { loadBalancer: {} }
})
const slice = (n: number): KubeObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: `svc-${n}-abcde`,
    namespace: `team-${n % 100}`,
    uid: `slice-uid-${n}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { 'kubernetes.io/service-name': `svc-${n}`, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: `svc-${n}`, uid: `svc-uid-${n}`, controller: true }]
  },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: Array.from({ length: 10 }, (_, at) => ({
    addresses: [`10.244.${n >> 8}.${at}`],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `node-${(n + at) % 1000}`,
    targetRef: {
      kind: 'Pod',
      namespace: `team-${n % 100}`,
      name: `pod-${n}-${at}`,
      uid: `00000000-0000-4000-8000-${String(n * 10 + at).padStart(12, '0')}`
    }
  }))
})

/** A log whose entries are made as they are read. */
const logOf = (count: number, made: (n: number) => readonly [ObjectKey, KubeObject]): Log => {
  const state = { first: 1, last: count, messages: count, bytes: 0, sealedFrom: 1, epoch: 0, losses: [], quarantined: [], floor: 0 }
  const entry = (n: number): LogEntry => {
    const [key, object] = made(n)
    const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
    const { headers, text } = encodeEvent({
      stream: 'EVENTS',
      key,
      id,
      type: 'reckon.thing.updated.v1',
      source: 'kubelet/node-1',
      time: '2026-01-01T00:00:00.000Z',
      user: 'system:node:node-1',
      correlationId: `root-${id}`,
      causationId: `cause-${id}`,
      causationRef: `EVENTS:${n}`,
      verb: 'update/status',
      reasons: { filtered: 'x'.repeat(300) },
      deleted: false,
      expected: n,
      object
    })
    // As they come from a message: all cut from one text.
    const lines = Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\r\n')
    return {
      subject: subjectOf('EVENTS', key),
      sequence: n,
      headers: Object.fromEntries(lines.split('\r\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)])),
      text,
      time: 0
    }
  }
  return {
    state: async () => state,
    follow: ({ onEntries, onCaughtUp }: Parameters<Log['follow']>[0]) => {
      queueMicrotask(() => {
        for (let n = 1; n <= count; n += 500) onEntries(Array.from({ length: Math.min(500, count - n + 1) }, (_, at) => entry(n + at)))
        onCaughtUp?.(count)
      })
      return { close: () => {} }
    }
  } as unknown as Log
}

const heap = (): number => {
  for (let n = 0; n < 3; n++) global.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

const measure = async (
  what: string,
  log: Log,
  node: { narrow?: (object: KubeObject) => KubeObject; parsedBytes?: number } = {}
): Promise<void> => {
  const before = heap()
  const view = new View('EVENTS', log, systemClock, { api: builtIns, ...node })
  await view.start()
  const started = heap() - before
  let text = 0
  for (const collection of view.objects.collections())
    for (const entry of collection.list()) if (entry.object.metadata.name !== '') text += entry.text.length
  console.log(
    `${what}: ${started.toFixed(0)} MiB of heap when it is ready, ${(heap() - before).toFixed(0)} MiB after all were read; their text is ${(text / 2 ** 20).toFixed(0)} MiB`
  )
  view.close()
}

if (global.gc === undefined) throw new Error('run it with --expose-gc')
console.log(`machine: ${machine()}`)
const endpoints = (n: number): readonly [ObjectKey, KubeObject] => {
  const at = n >> 1
  const object = n % 2 === 0 ? service(at) : slice(at)
  const ref = n % 2 === 0 ? { group: '', resource: 'services' } : { group: 'discovery.k8s.io', resource: 'endpointslices' }
  return [{ ...ref, namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '' }, object]
}
await measure('10,000 Services and their slices, whole', logOf(20_000, endpoints))
await measure('10,000 Services and their slices, as a node holds them', logOf(20_000, endpoints), {
  narrow: narrowedToEndpoints,
  parsedBytes: 1024 * 1024
})
await measure(
  '150,000 pods',
  logOf(150_000, (n) => [{ group: '', resource: 'pods', namespace: `team-${n % 100}`, name: `pod-${n}` }, pod(n)])
)
process.exit(0)
