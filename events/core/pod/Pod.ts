/** Pod: containers that live and die together on one node. */
import type * as types from '#events/schema/generated/core.v1.ts'
import type { PodSpec } from '#events/schema/generated/core.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { keepOtherHalf } from '#events/meta/halves.ts'
import { ALL_VERBS, STATUS } from '#events/meta/verbs.ts'
import { appArmorFields, validateAppArmorAnnotations, validateAppArmorUpdate } from './appArmor.ts'
import { defaultPod } from './default.ts'
import { podEventType } from './facts.ts'
import { validateMirror, validateMirrorUpdate } from './mirror.ts'
import { COLUMNS, podRow, podRowConditions } from './table.ts'
import { validatePodSpec } from './validate.ts'
import { validatePodUpdate } from './validateUpdate.ts'

const specField =
  (name: keyof PodSpec) =>
  (pod: types.Pod): string =>
    String((pod.spec as PodSpec | undefined)?.[name] ?? '')

export const Pod: Kind<types.Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  resource: 'pods',
  singular: 'pod',
  namespaced: true,
  shortNames: ['po'],
  categories: ['all'],
  verbs: ALL_VERBS,
  subresources: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] },
    { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
    { name: 'log', verbs: ['get'] },
    STATUS
  ],
  stream: 'EVENTS',
  hasStatus: true,
  returnsDeleted: true,
  hasGeneration: true,
  default: defaultPod,
  prepareForCreate(pod) {
    // qosClass follows from the defaulted resources, so defaulting sets it.
    pod.status = { phase: 'Pending' }
    appArmorFields(pod)
  },
  prepareForUpdate(pod, old, subresource) {
    keepOtherHalf(pod, old, subresource)
    if (subresource !== 'status') return
    // Whose a pod is, is nothing its status could say.
    if (old.metadata.ownerReferences === undefined) delete pod.metadata.ownerReferences
    else pod.metadata.ownerReferences = old.metadata.ownerReferences
  },
  validate: (pod) => [...validateAppArmorAnnotations(pod), ...validateMirror(pod), ...validatePodSpec(pod.spec ?? {}, 'spec')],
  validateUpdate: (pod, old, subresource) => [
    ...(subresource === '' ? validateAppArmorUpdate(pod, old) : []),
    ...validateMirrorUpdate(pod, old),
    ...validatePodUpdate(pod, old, subresource)
  ],
  fields: {
    'spec.nodeName': specField('nodeName'),
    'spec.restartPolicy': specField('restartPolicy'),
    'spec.schedulerName': specField('schedulerName'),
    'spec.serviceAccountName': specField('serviceAccountName'),
    'spec.hostNetwork': (pod) => String(pod.spec?.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIP ?? '',
    'status.podIPs': (pod) => pod.status?.podIP ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? ''
  },
  ownFields: ['status.podIP', 'status.podIPs'],
  indexes: { node: (pod) => (pod.spec?.nodeName ? [pod.spec.nodeName as string] : []) },
  // Nothing runs of a pod that has no node, or is done: there is nobody to give time to.
  gracePeriodSeconds: (pod) =>
    (pod.spec?.nodeName ?? '') === '' || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
      ? 0
      : (pod.spec?.terminationGracePeriodSeconds ?? 30),
  columns: COLUMNS,
  row: podRow,
  rowConditions: podRowConditions,
  eventType: podEventType
}
