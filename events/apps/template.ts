/** What Deployment and ReplicaSet share: a selector, a pod template, and how both read in a table. */
import type { Deployment, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import type { PodSpec, PodTemplateSpec } from '#events/schema/generated/core.v1.ts'
import type { Column } from '#events/Kind.ts'
import { defaultPodSpec } from '#events/core/pod/default.ts'
import { validatePodSpec } from '#events/core/pod/validate.ts'
import { badValue, forbiddenField, required, unsupported } from '#events/meta/faults.ts'
import {
  formatLabelSelector,
  formatSelector,
  matches,
  selectorOf,
  validateLabels,
  validateLabelSelector
} from '#events/meta/LabelSelector.ts'
import { validateAnnotations } from '#events/meta/ObjectMeta.ts'
import { text } from '#events/meta/Table.ts'
import type { FieldError } from '#events/Refusal.ts'

type Workload = Deployment | ReplicaSet

export const defaultTemplate = (spec: { template?: Partial<PodTemplateSpec> }): void => {
  const template = (spec.template ??= {})
  template.metadata ??= {}
  defaultPodSpec((template.spec ??= {} as PodSpec))
}

export const validateSelectorAndTemplate = (object: Workload, errors: FieldError[]): void => {
  const { selector, template }: Partial<Workload['spec']> = object.spec ?? {}
  if (selector === undefined) errors.push(required('spec.selector'))
  else {
    validateLabelSelector(selector, 'spec.selector', errors)
    if (selectorOf(selector).length === 0)
      errors.push(
        badValue('spec.selector', selector, `empty selector is invalid for ${object.kind === 'Deployment' ? 'deployment' : 'replicaset'}`)
      )
  }
  if (template === undefined) {
    errors.push(required('spec.template'))
    return
  }
  const labels = template.metadata?.labels
  if (!matches(selectorOf(selector), labels))
    errors.push(badValue('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`'))
  validateLabels(labels, 'spec.template.metadata.labels', errors)
  validateAnnotations(template.metadata?.annotations, 'spec.template.metadata.annotations', errors)
  const pod = template.spec
  errors.push(...validatePodSpec(pod ?? {}, 'spec.template.spec'))
  if (pod?.restartPolicy && pod.restartPolicy !== 'Always' && (pod.restartPolicy === 'Never' || pod.restartPolicy === 'OnFailure'))
    errors.push(unsupported('spec.template.spec.restartPolicy', pod.restartPolicy, ['Always']))
  if (pod?.activeDeadlineSeconds !== undefined)
    errors.push(forbiddenField('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in ReplicaSet is not Supported'))
}

export const TEMPLATE_COLUMNS: readonly Column[] = [
  { ...text('Containers', 'Names of each container in the template.'), priority: 1 },
  { ...text('Images', 'Images referenced by each container in the template.'), priority: 1 },
  { ...text('Selector', 'Label selector of the pods it owns.'), priority: 1 }
]

export const templateCells = (object: Workload): string[] => {
  const containers = object.spec?.template?.spec?.containers ?? []
  return [
    containers.map(({ name }) => name).join(','),
    containers.map(({ image }) => image ?? '').join(','),
    formatLabelSelector(object.spec?.selector)
  ]
}

/** For the scale subresource. */
export const SCALING = {
  specReplicas: '.spec.replicas',
  statusReplicas: '.status.replicas',
  selector: (object: Workload): string => formatSelector(selectorOf(object.spec?.selector))
} as const
