/** The faults of what steers scheduling: tolerations, affinity, topology spread. */
import type { NodeSelectorTerm, PodAffinityTerm, PodSpec, Toleration } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, duplicate, required, unsupported } from '#events/meta/faults.ts'
import { validateLabels, validateLabelSelector } from '#events/meta/LabelSelector.ts'
import { labelValue, qualifiedName } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

const validateToleration = (toleration: Toleration, at: string, errors: FieldError[]): void => {
  if (toleration.key) errors.push(...badValues(`${at}.key`, toleration.key, qualifiedName(toleration.key)))
  else if (toleration.operator !== 'Exists')
    errors.push(
      badValue(
        `${at}.operator`,
        toleration.operator ?? '',
        'operator must be Exists when `key` is empty, which means "match all values and all keys"'
      )
    )
  if (toleration.tolerationSeconds !== undefined && toleration.effect !== 'NoExecute')
    errors.push(badValue(`${at}.effect`, toleration.effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"))
  switch (toleration.operator ?? '') {
    case '':
    case 'Equal':
      errors.push(...badValues(`${at}.operator`, toleration.value ?? '', labelValue(toleration.value ?? '')))
      break
    case 'Exists':
      if (toleration.value) errors.push(badValue(`${at}.operator`, toleration, "value must be empty when `operator` is 'Exists'"))
      break
    default:
      errors.push(unsupported(`${at}.operator`, toleration.operator, ['Equal', 'Exists']))
  }
  if (toleration.effect && !EFFECTS.includes(toleration.effect)) errors.push(unsupported(`${at}.effect`, toleration.effect, EFFECTS))
}

const validateNodeTerm = (term: NodeSelectorTerm, path: string, errors: FieldError[]): void => {
  for (const half of ['matchExpressions', 'matchFields'] as const)
    term[half]?.forEach((requirement, index) => {
      const at = `${path}.${half}[${index}]`
      const count = requirement.values?.length ?? 0
      switch (requirement.operator) {
        case 'In':
        case 'NotIn':
          if (count === 0) errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
          break
        case 'Exists':
        case 'DoesNotExist':
          if (count > 0)
            errors.push({
              type: 'Forbidden',
              field: `${at}.values`,
              detail: "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            })
          break
        case 'Gt':
        case 'Lt':
          if (count !== 1) errors.push(required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
          break
        default:
          errors.push(badValue(`${at}.operator`, requirement.operator ?? '', 'not a valid selector operator'))
      }
      if (half === 'matchExpressions') errors.push(...badValues(`${at}.key`, requirement.key ?? '', qualifiedName(requirement.key ?? '')))
      else if (requirement.key !== 'metadata.name')
        errors.push(badValue(`${at}.key`, requirement.key ?? '', 'not a valid field selector key'))
    })
}

const validateWeight = (weight: number | undefined, field: string, errors: FieldError[]): void => {
  if ((weight ?? 0) < 1 || (weight ?? 0) > 100) errors.push(badValue(field, weight ?? 0, 'must be in the range 1-100'))
}

const validatePodTerm = (term: PodAffinityTerm | undefined, at: string, errors: FieldError[]): void => {
  validateLabelSelector(term?.labelSelector as Parameters<typeof validateLabelSelector>[0], `${at}.labelSelector`, errors)
  if (!term?.topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'))
  else errors.push(...badValues(`${at}.topologyKey`, term.topologyKey, qualifiedName(term.topologyKey)))
}

const validateAffinity = (affinity: NonNullable<PodSpec['affinity']>, path: string, errors: FieldError[]): void => {
  const { nodeAffinity } = affinity
  const needed = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (needed !== undefined) {
    const at = `${path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`
    if (!needed.nodeSelectorTerms?.length) errors.push(required(at, 'must have at least one node selector term'))
    needed.nodeSelectorTerms?.forEach((term, index) => validateNodeTerm(term, `${at}[${index}]`, errors))
  }
  nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((term, index) => {
    const at = `${path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
    validateWeight(term.weight, `${at}.weight`, errors)
    validateNodeTerm(term.preference ?? {}, `${at}.preference`, errors)
  })
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    affinity[kind]?.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, index) =>
      validatePodTerm(term, `${path}.${kind}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`, errors)
    )
    affinity[kind]?.preferredDuringSchedulingIgnoredDuringExecution?.forEach((term, index) => {
      const at = `${path}.${kind}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
      validateWeight(term.weight, `${at}.weight`, errors)
      validatePodTerm(term.podAffinityTerm, `${at}.podAffinityTerm`, errors)
    })
  }
}

const validateSpread = (constraints: NonNullable<PodSpec['topologySpreadConstraints']>, path: string, errors: FieldError[]): void => {
  const seen = new Set<string>()
  constraints.forEach((constraint, index) => {
    const at = `${path}[${index}]`
    if ((constraint.maxSkew ?? 0) <= 0) errors.push(badValue(`${at}.maxSkew`, constraint.maxSkew ?? 0, 'must be greater than zero'))
    if (!constraint.topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'))
    else errors.push(...badValues(`${at}.topologyKey`, constraint.topologyKey, qualifiedName(constraint.topologyKey)))
    if (!['DoNotSchedule', 'ScheduleAnyway'].includes(constraint.whenUnsatisfiable))
      errors.push(unsupported(`${at}.whenUnsatisfiable`, constraint.whenUnsatisfiable ?? '', ['DoNotSchedule', 'ScheduleAnyway']))
    const id = `${constraint.topologyKey}, ${constraint.whenUnsatisfiable}`
    if (seen.has(id)) errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${id}}`))
    seen.add(id)
    validateLabelSelector(constraint.labelSelector as Parameters<typeof validateLabelSelector>[0], `${at}.labelSelector`, errors)
  })
}

export const validateScheduling = (spec: PodSpec, path: string, errors: FieldError[]): void => {
  if (spec.nodeSelector !== undefined) validateLabels(spec.nodeSelector as Record<string, string>, `${path}.nodeSelector`, errors)
  spec.tolerations?.forEach((toleration, index) => validateToleration(toleration, `${path}.tolerations[${index}]`, errors))
  if (spec.affinity !== undefined) validateAffinity(spec.affinity, `${path}.affinity`, errors)
  if (spec.topologySpreadConstraints?.length) validateSpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`, errors)
}
