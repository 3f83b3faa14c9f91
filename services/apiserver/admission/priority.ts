/** Priority: a pod without a priority class has priority 0 and may preempt those below. */
import { PODS } from '#events/collections.ts'
import type { Pod, PodSpec } from '#events/schema/generated/core.v1.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import { asOneOf } from '#events/KubeObject.ts'
import type { AdmissionPlugin } from '#services/apiserver/decision.ts'

/** In place. */
export const prioritise = (pod: Pod): void => {
  const spec = (pod.spec ??= {} as PodSpec)
  spec.priority ??= 0
  spec.preemptionPolicy ??= 'PreemptLowerPriority'
}

export const Priority: AdmissionPlugin = {
  name: 'Priority',
  handles: (operation, { group, resource }, subresource) =>
    operation === 'CREATE' && group === '' && resource === 'pods' && subresource === '',
  admit({ object }) {
    if (object !== undefined && object.metadata.annotations?.[MIRROR] === undefined) prioritise(asOneOf(PODS, object))
  }
}
