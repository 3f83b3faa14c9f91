/** Deployment: replaces pods of one template by pods of another, a few at a time. */
import type * as apps from '#events/schema/generated/apps.v1.ts'
import type { DeploymentSpec } from '#events/schema/generated/apps.v1.ts'
import type { Kind } from '#events/Kind.ts'
import { badValue, forbiddenField, immutable, nonNegative, same, unsupported } from '#events/meta/faults.ts'
import { keepOtherHalfAndLabels } from '#events/meta/halves.ts'
import { checkCountOrPercent, percentOf, type IntOrString } from '#events/meta/IntOrString.ts'
import { age, AGE, integer, NAME, text } from '#events/meta/Table.ts'
import { ALL_VERBS, SCALE, STATUS } from '#events/meta/verbs.ts'
import type { FieldError } from '#events/Refusal.ts'
import { defaultTemplate, SCALING, TEMPLATE_COLUMNS, templateCells, validateSelectorAndTemplate } from './template.ts'

const COUNTS = ['replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas', 'unavailableReplicas'] as const

const isZero = (value: IntOrString | undefined): boolean => value === 0 || (value !== undefined && percentOf(value) === 0)

const validateStrategy = (strategy: NonNullable<DeploymentSpec['strategy']>, errors: FieldError[]): void => {
  const path = 'spec.strategy'
  const rolling = strategy.rollingUpdate
  switch (strategy.type) {
    case 'Recreate':
      if (rolling !== undefined && rolling !== null)
        errors.push(forbiddenField(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"))
      break
    case 'RollingUpdate': {
      const { maxUnavailable, maxSurge } = (rolling ?? {}) as { maxUnavailable?: IntOrString; maxSurge?: IntOrString }
      checkCountOrPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors)
      checkCountOrPercent(maxSurge, `${path}.rollingUpdate.maxSurge`, errors)
      if (isZero(maxUnavailable) && isZero(maxSurge))
        errors.push(badValue(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0'))
      if (maxUnavailable !== undefined && (percentOf(maxUnavailable) ?? 0) > 100)
        errors.push(badValue(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, 'must not be greater than 100%'))
      break
    }
    default:
      errors.push(unsupported(`${path}.type`, strategy.type ?? '', ['Recreate', 'RollingUpdate']))
  }
}

/** By the container's name, so that an order is no change; robust against templates of old events. */
const imagesOf = ({ template }: Partial<DeploymentSpec>): Record<string, unknown> =>
  Object.fromEntries(
    [...(template?.spec?.initContainers ?? []), ...(template?.spec?.containers ?? [])].map(({ name, image }) => [name, image])
  )

export type Deployment = apps.Deployment
export const Deployment: Kind<apps.Deployment> = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  resource: 'deployments',
  singular: 'deployment',
  namespaced: true,
  shortNames: ['deploy'],
  categories: ['all'],
  verbs: ALL_VERBS,
  subresources: [SCALE, STATUS],
  stream: 'EVENTS',
  hasStatus: true,
  hasGeneration: true,
  generationCountsAnnotations: true,
  scale: SCALING,
  default(deployment) {
    const spec: Partial<DeploymentSpec> = (deployment.spec ??= {} as DeploymentSpec)
    spec.replicas ??= 1
    const strategy = (spec.strategy ??= {})
    strategy.type ||= 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate ??= {}
      strategy.rollingUpdate.maxUnavailable ??= '25%'
      strategy.rollingUpdate.maxSurge ??= '25%'
    }
    spec.revisionHistoryLimit ??= 10
    spec.progressDeadlineSeconds ??= 600
    defaultTemplate(spec)
    deployment.status ??= {}
  },
  prepareForCreate(deployment) {
    deployment.status = {}
  },
  prepareForUpdate: keepOtherHalfAndLabels,
  validate(deployment: apps.Deployment) {
    const errors: FieldError[] = []
    const spec: Partial<DeploymentSpec> = deployment.spec ?? {}
    nonNegative(spec.replicas, 'spec.replicas', errors)
    validateSelectorAndTemplate(deployment, errors)
    validateStrategy(spec.strategy ?? {}, errors)
    nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
    nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
    nonNegative(spec.progressDeadlineSeconds, 'spec.progressDeadlineSeconds', errors)
    if (spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0))
      errors.push(badValue('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, 'must be greater than minReadySeconds'))
    return errors
  },
  validateUpdate(deployment, old, subresource) {
    const errors: FieldError[] = []
    if (subresource === 'status') for (const count of COUNTS) nonNegative(deployment.status?.[count], `status.${count}`, errors)
    else immutable(deployment.spec?.selector, old.spec?.selector, 'spec.selector', errors)
    return errors
  },
  columns: [
    NAME,
    text('Ready', 'Number of ready pods out of those wanted.'),
    integer('Up-to-date', 'Number of pods of the current template.'),
    integer('Available', 'Number of pods ready for at least minReadySeconds.'),
    AGE,
    ...TEMPLATE_COLUMNS
  ],
  row: (deployment, now) => [
    deployment.metadata.name ?? '',
    `${deployment.status?.readyReplicas ?? 0}/${deployment.spec?.replicas ?? 0}`,
    deployment.status?.updatedReplicas ?? 0,
    deployment.status?.availableReplicas ?? 0,
    age(deployment, now),
    ...templateCells(deployment)
  ],
  eventType({ before, after, deleted, subresource }) {
    if (deleted || before === undefined) return undefined
    if (subresource === 'status') return 'reckon.deployment.progressed.v1'
    const [was, is] = [before.spec ?? {}, after.spec ?? {}]
    if (!same(was.template, is.template))
      return same(imagesOf(was), imagesOf(is)) ? 'reckon.deployment.template-changed.v1' : 'reckon.deployment.image-changed.v1'
    if (was.replicas !== is.replicas) return 'reckon.deployment.scaled.v1'
    if ((was.paused ?? false) !== (is.paused ?? false)) return is.paused ? 'reckon.deployment.paused.v1' : 'reckon.deployment.resumed.v1'
    return undefined
  }
}
