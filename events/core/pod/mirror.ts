/** Mirror pods: how a node shows the pods it runs of its own accord. The annotation says so for the pod's whole life. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { badValue, forbiddenField } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'

export const MIRROR = 'kubernetes.io/config.mirror'

const PATH = `metadata.annotations[${MIRROR}]`

export const validateMirror = (pod: Pod): FieldError[] => {
  const value = pod.metadata.annotations?.[MIRROR]
  return value === undefined || (pod.spec?.nodeName ?? '') !== ''
    ? []
    : [badValue(PATH, value, 'must set spec.nodeName if mirror pod annotation is set')]
}

export const validateMirrorUpdate = (pod: Pod, old: Pod): FieldError[] => {
  const [now, before] = [pod.metadata.annotations?.[MIRROR], old.metadata.annotations?.[MIRROR]]
  return now === before
    ? []
    : [forbiddenField(PATH, before === undefined ? 'may not add mirror pod annotation' : 'may not remove or update mirror pod annotation')]
}
