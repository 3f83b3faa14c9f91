/** Claim: ≥ 2,000 pods a second are scheduled onto 1,000 nodes, each binding on disk, as in a cluster's one process. */
import { at } from '#test/support/kinds.ts'
import { performance } from 'node:perf_hooks'
import type { KubeObject } from '#events/KubeObject.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { JetStreamLog } from '#services/platform/jetstream/JetStreamLog.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { ADMIN } from '#test/support/api.ts'
import { startNats } from '#test/support/nats.ts'
import { machine } from './support.ts'

const NODES = 1_000
const PODS = 10_000

const nats = await startNats()
console.log(`machine: ${machine()}`)
try {
  const connection = await nats.as('apiserver')
  const list = (['EVENTS', 'NOTICES', 'PULSE'] as const).map(
    (stream) => new View(stream, new JetStreamLog(connection, stream, { gapless: stream !== 'PULSE' }), systemClock, { api: builtIns })
  )
  for (const view of list) await view.start()
  const views = new Views(list, builtIns)
  const decider = new ApiDecider({ views, clock: systemClock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } })
  await bootstrap({
    views,
    decider,
    clock: systemClock,
    apiAddress: '10.244.0.1',
    apiPort: 6443,
    serviceCIDR: '10.96.0.0/16',
    kubernetesIP: '10.96.0.1',
    dnsIP: '10.96.0.10',
    dnsAddress: '10.244.0.1',
    dnsPort: 10053
  })
  const submit = async (object: KubeObject, resource: string, namespace: string, subresource?: string): Promise<void> => {
    const result = await decider.submit(
      {
        id: systemClock.uuid(),
        verb: subresource === undefined ? 'create' : 'update',
        ref: { group: '', resource },
        version: 'v1',
        namespace,
        name: object.metadata.name as string,
        object,
        source: 'bench',
        ...(subresource === undefined ? {} : { subresource })
      },
      ADMIN
    )
    if (!result.ok) throw new Error(result.status.message)
  }
  await submit(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } },
    'serviceaccounts',
    'default'
  )
  await Promise.all(
    Array.from({ length: NODES }, async (_, n) => {
      const node = (rest: Record<string, unknown>): KubeObject => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: `node-${n}`, labels: { 'kubernetes.io/hostname': `node-${n}` } },
        ...rest
      })
      await submit(node({}), 'nodes', '')
      await submit(
        node({ status: { allocatable: { cpu: '16', memory: '64Gi', pods: '110' }, conditions: [{ type: 'Ready', status: 'True' }] } }),
        'nodes',
        '',
        'status'
      )
    })
  )
  for (let from = 0; from < PODS; from += 1_000)
    await Promise.all(
      Array.from({ length: 1_000 }, (_, n) =>
        submit(
          {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: { name: `pod-${from + n}`, namespace: 'default', labels: { app: `app-${n % 50}` } },
            spec: { containers: [{ name: 'web', image: 'web:1', resources: { requests: { cpu: '100m', memory: '128Mi' } } }] }
          },
          'pods',
          'default'
        )
      )
    )
  let bound = 0
  const done = new Promise<void>((resolve) => {
    views.of({ group: '', resource: 'pods' }).subscribe(({ entry, previous }) => {
      if (entry.key.resource !== 'pods' || previous === undefined) return
      if ((at(previous.object, 'spec.nodeName') ?? '') === '' && (at(entry.object, 'spec.nodeName') ?? '') !== '' && ++bound === PODS)
        resolve()
    })
  })
  const scheduler = new Scheduler(
    views,
    { submit: (intent) => decider.submit(intent, { username: 'system:kube-scheduler', groups: ['system:authenticated'] }) },
    systemClock,
    (error) => console.error(error)
  )
  const began = performance.now()
  scheduler.start()
  await done
  const seconds = (performance.now() - began) / 1000
  const perNode = new Map<string, number>()
  for (const { object } of views.collection({ group: '', resource: 'pods' }).values())
    perNode.set(at(object, 'spec.nodeName') as string, (perNode.get(at(object, 'spec.nodeName') as string) ?? 0) + 1)
  console.log(
    `${PODS} pods on ${NODES} nodes: ${Math.round(PODS / seconds)} pods/s (${seconds.toFixed(2)} s), ${perNode.size} nodes used, at most ${Math.max(...perNode.values())} on one; every pod also got its Scheduled notice`
  )
  scheduler.stop()
} finally {
  await nats.stop()
}
process.exit(0)
