/** Who writes a status may change metadata by it, as upstream: none of our own writers takes any away, or overwrites what is newer. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Node } from '#events/core/Node.ts'
import { Pod } from '#events/core/pod/Pod.ts'
import { NODES, PODS } from '#events/collections.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { PodReport } from '#events/node/messages.ts'
import { intentOfPodReport } from '#services/apiserver/nodes/decide.ts'
import { updateStatus } from '#services/controller-manager/asks.ts'
import { podScheduledCondition } from '#services/scheduler/explain.ts'
import { accepted, refused, startTestApi, type TestApi } from '#test/support/api.ts'

const POD = { apiVersion: 'v1', kind: 'Pod', name: 'web', namespace: 'default' } as const
const LABELS = { app: 'web' }
const ANNOTATIONS = { 'example.com/note': 'mine' }
const FINALIZERS = ['example.com/hold']

const lab = async (): Promise<TestApi> => {
  const api = await startTestApi()
  accepted(await api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', labels: LABELS, annotations: ANNOTATIONS } }))
  accepted(
    await api.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default', labels: LABELS, annotations: ANNOTATIONS, finalizers: FINALIZERS },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] }
    })
  )
  return api
}

type Draft = Parameters<TestApi['submit']>[0]

const report = (uid: string | undefined): PodReport => ({ uid, status: { phase: 'Running' } }) as unknown as PodReport

const WRITERS: readonly (readonly [who: string, write: (api: TestApi) => Draft | undefined])[] = [
  [
    'the scheduler',
    (api) => ({
      verb: 'update',
      ref: PODS,
      namespace: 'default',
      name: 'web',
      subresource: 'status',
      object: podScheduledCondition(api.get(POD) as never, 'no room', 0) as KubeObject
    })
  ],
  ['a node that reports', (api) => intentOfPodReport(api.views, 'n1', 'default', 'web', report(api.get(POD)?.metadata.uid))],
  ['a controller', (api) => updateStatus(Pod, api.get(POD) as KubeObject, { phase: 'Failed' })]
]

const statusWrites = suite('writers of status')

for (const [who, write] of WRITERS) {
  statusWrites(`${who} leaves the metadata as it is`, async () => {
    const api = await lab()
    accepted(await api.submit(write(api) as Draft))
    const { labels, annotations, finalizers } = api.get(POD)?.metadata ?? {}
    assert.equal({ labels, annotations, finalizers }, { labels: LABELS, annotations: ANNOTATIONS, finalizers: FINALIZERS })
  })
  statusWrites(`${who} does not undo what was written since it looked`, async () => {
    const api = await lab()
    const draft = write(api) as Draft
    const body = { metadata: { labels: { more: 'labels' } } }
    const patch = { type: 'application/merge-patch+json', body } as const
    accepted(await api.submit({ verb: 'patch', ref: PODS, namespace: 'default', name: 'web', patch }))
    assert.match(refused(await api.submit(draft)), /^409 Conflict/)
    assert.equal(api.get(POD)?.metadata.labels, { ...LABELS, more: 'labels' })
  })
}

statusWrites('a controller leaves the metadata of a Node as it is', async () => {
  const api = await lab()
  const node = api.views.get({ ...NODES, namespace: '', name: 'n1' })?.object as KubeObject
  accepted(await api.submit(updateStatus(Node, node, { phase: 'Running' })))
  const { labels, annotations } = api.get({ apiVersion: 'v1', kind: 'Node', name: 'n1' })?.metadata ?? {}
  assert.equal({ labels, annotations }, { labels: LABELS, annotations: ANNOTATIONS })
})

statusWrites.run()
