/** The faults of a pod's spec, for pods and pod templates. */
import type { PodSpec } from 'kubernetes-types/core/v1'
import { oneOf, required } from '../../meta/faults.ts'
import type { FieldError } from '../../Refusal.ts'

export const validatePodSpec = (spec: PodSpec, path: string): FieldError[] => {
  const errors: FieldError[] = []
  if (!spec.containers?.length) errors.push(required(`${path}.containers`))
  oneOf(spec.restartPolicy, `${path}.restartPolicy`, ['Always', 'OnFailure', 'Never'], errors)
  return errors
}
