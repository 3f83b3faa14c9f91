/** What of a pod may change once it exists. */
import type { Pod, PodSpec, Toleration } from '#events/schema/generated/core.v1.ts'
import { badValue, forbiddenField, same } from '#events/meta/faults.ts'
import type { FieldError } from '#events/Refusal.ts'

const ONLY =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

const validateTolerations = (tolerations: readonly Toleration[], old: readonly Toleration[], errors: FieldError[]): void => {
  const idOf = ({ key, operator, value, effect }: Toleration): string => JSON.stringify([key, operator, value, effect])
  const present = new Set(tolerations.map(idOf))
  for (const before of old)
    if (!present.has(idOf(before))) {
      errors.push(forbiddenField('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'))
      return
    }
}

const validateDeadline = (now: number | undefined, before: number | undefined, errors: FieldError[]): void => {
  if (before === undefined || now === before) return
  if (now === undefined) errors.push(badValue('spec.activeDeadlineSeconds', null, 'must not update from a positive integer to nil value'))
  else if (now > before) errors.push(badValue('spec.activeDeadlineSeconds', now, 'must be less than or equal to previous value'))
}

/** The spec with everything that may change as it was before. */
const withoutChangeable = (spec: PodSpec, old: PodSpec): PodSpec => {
  const images = (containers: PodSpec['containers'] | undefined, before: PodSpec['containers'] | undefined) =>
    containers?.map((container, index) => ({ ...container, image: before?.[index]?.image ?? '' }))
  return {
    ...spec,
    containers: images(spec.containers, old.containers) ?? [],
    initContainers: images(spec.initContainers, old.initContainers) as PodSpec['containers'],
    activeDeadlineSeconds: old.activeDeadlineSeconds as number,
    tolerations: old.tolerations as Toleration[],
    terminationGracePeriodSeconds:
      (old.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1
        ? (old.terminationGracePeriodSeconds as number)
        : (spec.terminationGracePeriodSeconds as number)
  }
}

export const validatePodUpdate = (pod: Pod, before: Pod, subresource: string): FieldError[] => {
  if (subresource !== '') return []
  const spec = pod.spec ?? {}
  const old = before.spec ?? {}
  if (spec === old) return []
  if (spec.containers?.length !== old.containers?.length)
    return [forbiddenField('spec.containers', 'pod updates may not add or remove containers')]
  if ((spec.initContainers?.length ?? 0) !== (old.initContainers?.length ?? 0))
    return [forbiddenField('spec.initContainers', 'pod updates may not add or remove containers')]
  const errors: FieldError[] = []
  validateDeadline(spec.activeDeadlineSeconds, old.activeDeadlineSeconds, errors)
  validateTolerations(spec.tolerations ?? [], old.tolerations ?? [], errors)
  if (errors.length > 0) return errors
  if (
    !same(withoutChangeable(spec, old), {
      ...old,
      containers: old.containers.map((container) => ({ ...container, image: container.image ?? '' })),
      initContainers: old.initContainers?.map((container) => ({ ...container, image: container.image ?? '' }))
    })
  )
    errors.push(forbiddenField('spec', ONLY))
  return errors
}
