/** DefaultTolerationSeconds: a pod stays five minutes on a node that is lost, unless it says otherwise. */
import { PODS } from '#events/collections.ts'
import type { Pod, PodSpec, Toleration } from '#events/schema/generated/core.v1.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import { asOneOf } from '#events/KubeObject.ts'
import type { AdmissionPlugin } from '#services/apiserver/decision.ts'

const LOST = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
const LOST_SECONDS = 300

const tolerates = (toleration: Toleration, key: string): boolean =>
  (toleration.key === key || (!toleration.key && toleration.operator === 'Exists')) &&
  (toleration.effect === 'NoExecute' || !toleration.effect)

/** In place. As upstream, on updates as well: who sends back the pod as they once wrote it means to take no toleration away. */
export const tolerateLoss = (pod: Pod): void => {
  const spec = (pod.spec ??= {} as PodSpec)
  const missing = LOST.filter((key) => !spec.tolerations?.some((toleration) => tolerates(toleration, key)))
  if (missing.length > 0)
    spec.tolerations = [
      ...(spec.tolerations ?? []),
      ...missing.map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: LOST_SECONDS }))
    ]
}

export const DefaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  handles: (operation, { group, resource }, subresource) =>
    operation !== 'DELETE' && group === '' && resource === 'pods' && subresource === '',
  admit({ object }) {
    if (object !== undefined && object.metadata.annotations?.[MIRROR] === undefined) tolerateLoss(asOneOf(PODS, object))
  }
}
