/** What happens to pods besides their defaults: admission, and the facts their changes are. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Pod } from '#events/core/pod/Pod.ts'
import { PODS } from '#events/collections.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import type { Pod as PodObject, ServiceAccount } from '#events/schema/generated/core.v1.ts'
import { eventTypeOf } from '#events/meta/eventType.ts'
import { tolerateLoss } from '#services/apiserver/admission/defaultTolerationSeconds.ts'
import { prioritise } from '#services/apiserver/admission/priority.ts'
import { addTokenVolume, nameAccount } from '#services/apiserver/admission/serviceAccount.ts'

const pod = (spec: Record<string, unknown> = {}, status: Record<string, unknown> = {}): PodObject =>
  asOneOf(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec: { containers: [{ name: 'web', image: 'web:1' }], ...spec },
    status
  })

const admitPod = (object: PodObject): void => {
  nameAccount(object)
  prioritise(object)
  tolerateLoss(object)
}

const admission = suite('admission')
admission('adds tolerations, the account and the priority', () => {
  const object = pod({ tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }] })
  admitPod(object)
  assert.is(at(object, 'spec.serviceAccountName'), 'default')
  assert.is(at(object, 'spec.priority'), 0)
  assert.equal(at(object, 'spec.tolerations'), [
    { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
    { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }
  ])
})
admission('mounts the token, unless the pod or its account says no; twice is once', () => {
  const object = pod()
  addTokenVolume(object, 'abcde')
  addTokenVolume(object, 'fghij')
  assert.equal(
    object.spec.volumes?.map(({ name }) => name),
    ['kube-api-access-abcde']
  )
  assert.is(at(object, 'spec.containers.0.volumeMounts.length'), 1)
  Pod.default?.(object)
  assert.equal(Pod.validate?.(object), [])
  const without = pod({ automountServiceAccountToken: false })
  addTokenVolume(without, 'abcde')
  assert.is(at(without, 'spec.volumes'), undefined)
  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' },
    automountServiceAccountToken: false
  }
  addTokenVolume(without, 'abcde', account)
  assert.is(at(without, 'spec.volumes'), undefined)
})
admission.run()

const facts = suite('facts')
const container = (restartCount: number, state: Record<string, unknown> = { running: {} }): Record<string, unknown> => ({
  name: 'web',
  restartCount,
  state
})
const ready = (status: string): Record<string, unknown> => ({ conditions: [{ type: 'Ready', status }] })
const change = (before: KubeObject, after: KubeObject, subresource = 'status'): string =>
  eventTypeOf(Pod, { before, after, deleted: false, subresource })

facts('name what happened', () => {
  assert.is(eventTypeOf(Pod, { before: undefined, after: pod(), deleted: false, subresource: '' }), 'reckon.pod.created.v1')
  assert.is(change(pod(), pod({ nodeName: 'n1' }), 'binding'), 'reckon.pod.scheduled.v1')
  assert.is(
    change(pod({}, { phase: 'Pending' }), pod({}, { phase: 'Running', containerStatuses: [container(0)] })),
    'reckon.pod.started.v1'
  )
  assert.is(
    change(pod({}, { phase: 'Running', ...ready('False') }), pod({}, { phase: 'Running', ...ready('True') })),
    'reckon.pod.ready.v1'
  )
  assert.is(
    change(pod({}, { phase: 'Running', ...ready('True') }), pod({}, { phase: 'Running', ...ready('False') })),
    'reckon.pod.not-ready.v1'
  )
  assert.is(
    change(
      pod({}, { phase: 'Running', containerStatuses: [container(0)] }),
      pod({}, { phase: 'Running', containerStatuses: [container(1)] })
    ),
    'reckon.pod.container-restarted.v1'
  )
  assert.is(change(pod({}, { phase: 'Running' }), pod({}, { phase: 'Failed' })), 'reckon.pod.failed.v1')
  assert.is(change(pod(), pod({}, { message: 'x' })), 'reckon.pod.status-updated.v1')
  assert.is(change(pod(), pod({ activeDeadlineSeconds: 1 }), ''), 'reckon.pod.updated.v1')
  const going = pod()
  going.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
  assert.is(change(pod(), going, ''), 'reckon.pod.deletion-requested.v1')
  assert.is(eventTypeOf(Pod, { before: going, after: going, deleted: true, subresource: '' }), 'reckon.pod.deleted.v1')
})
facts.run()
