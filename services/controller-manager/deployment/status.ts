/**
 * How a deployment stands: its counts, and the conditions Available and Progressing with upstream's reasons and messages. Plain functions.
 */
import type { DeploymentCondition, DeploymentSpec, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import { timestamp } from '#events/meta/time.ts'
import { Deployment } from '#events/apps/Deployment.ts'
import { conditionIn, removeCondition, type Condition as AnyCondition } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import type { Ask } from '#services/platform/decision.ts'
import { updateStatus } from '#services/controller-manager/asks.ts'
import { availableOf, limitsOf, podsOf, replicasOf } from './rollout.ts'
import type { Situation } from './situation.ts'

type Condition = AnyCondition & Pick<DeploymentCondition, 'lastUpdateTime'>

/** A deadline as long as this is none. */
const NO_DEADLINE = 2 ** 31 - 1

interface Counts {
  readonly replicas: number
  readonly updatedReplicas: number
  readonly readyReplicas: number
  readonly availableReplicas: number
  readonly unavailableReplicas: number
}

const deadlineSeconds = (spec: DeploymentSpec): number | undefined => {
  const seconds = spec.progressDeadlineSeconds ?? 600
  return seconds >= NO_DEADLINE ? undefined : seconds
}

/** Every pod wanted is of the current set and available, and no other is there. */
export const isComplete = (deployment: Deployment, spec: DeploymentSpec, current: ReplicaSet | undefined): boolean => {
  const wanted = spec.replicas ?? 1
  return (
    current !== undefined && podsOf(current) === wanted && availableOf(current) === wanted && (deployment.status?.replicas ?? 0) === wanted
  )
}

/** When the rollout will have made no progress for too long, milliseconds. */
export const deadlineOf = ({ deployment, spec, current }: Situation): number | undefined => {
  const seconds = deadlineSeconds(spec)
  if (seconds === undefined || spec.paused === true || isComplete(deployment, spec, current)) return undefined
  const condition = conditionIn(deployment.status?.conditions, 'Progressing')
  const since = Date.parse(condition?.lastUpdateTime ?? '')
  return condition === undefined || Number.isNaN(since) || condition.reason === 'NewReplicaSetAvailable'
    ? undefined
    : since + seconds * 1000
}

const countsOf = ({ sets, current }: Situation): Counts => {
  const total = (field: 'availableReplicas' | 'readyReplicas' | 'replicas'): number =>
    sets.reduce((sum, set) => sum + (set.status?.[field] ?? 0), 0)
  const available = total('availableReplicas')
  return {
    replicas: total('replicas'),
    updatedReplicas: current === undefined ? 0 : podsOf(current),
    readyReplicas: total('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sets.reduce((sum, set) => sum + replicasOf(set), 0) - available)
  }
}

/** `collisionCount`: when the next ReplicaSet's name must differ from one that is taken. */
export const statusAsks = (it: Situation, collisionCount = it.deployment.status?.collisionCount): Ask[] => {
  const { deployment } = it
  const old = (deployment.status ?? {}) as Partial<Counts> & { conditions?: readonly Condition[] }
  const counts = countsOf(it)
  const status = {
    observedGeneration: deployment.metadata.generation,
    ...Object.fromEntries(Object.entries(counts).filter(([, value]) => value !== 0)),
    conditions: failure(it, progressing(it, available(it, old.conditions ?? [], counts), counts, old)),
    ...(collisionCount === undefined ? {} : { collisionCount })
  }
  return same(old, status) ? [] : [updateStatus(Deployment, deployment, status)]
}

/** As upstream's SetDeploymentCondition: the same status for the same reason is no change. */
const put = (conditions: readonly Condition[], condition: Condition, now: number): readonly Condition[] => {
  const present = conditionIn(conditions, condition.type)
  if (present !== undefined && present.status === condition.status && present.reason === condition.reason) return conditions
  const time = timestamp(now)
  const lastTransitionTime = present?.status === condition.status ? present.lastTransitionTime : (condition.lastTransitionTime ?? time)
  return [...removeCondition(conditions, condition.type), { ...condition, lastUpdateTime: time, lastTransitionTime }]
}

const available = ({ spec, now }: Situation, conditions: readonly Condition[], { availableReplicas }: Counts): readonly Condition[] =>
  availableReplicas >= (spec.replicas ?? 1) - limitsOf(spec).unavailable
    ? put(
        conditions,
        { type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', message: 'Deployment has minimum availability.' },
        now
      )
    : put(
        conditions,
        {
          type: 'Available',
          status: 'False',
          reason: 'MinimumReplicasUnavailable',
          message: 'Deployment does not have minimum availability.'
        },
        now
      )

/** What a set could not make, said by the current one or else by the oldest. */
const failure = ({ current, old, now }: Situation, conditions: readonly Condition[]): readonly Condition[] => {
  for (const set of current === undefined ? old : [current, ...old]) {
    const found = conditionIn(set.status?.conditions, 'ReplicaFailure')
    if (found !== undefined && replicasOf(set) > 0)
      return put(conditions, { type: found.type, status: found.status, reason: found.reason ?? '', message: found.message ?? '' }, now)
  }
  return conditionIn(conditions, 'ReplicaFailure') === undefined ? conditions : removeCondition(conditions, 'ReplicaFailure')
}

const progressing = (
  { deployment, spec, current, created, now }: Situation,
  conditions: readonly Condition[],
  counts: Counts,
  old: Partial<Counts>
): readonly Condition[] => {
  const seconds = deadlineSeconds(spec)
  if (seconds === undefined) return removeCondition(conditions, 'Progressing')
  const present = conditionIn(conditions, 'Progressing')
  const say = (status: string, reason: string, message: string, from = conditions): readonly Condition[] =>
    put(from, { type: 'Progressing', status, reason, message }, now)
  if (present?.reason !== 'ProgressDeadlineExceeded') {
    if (spec.paused === true) return say('Unknown', 'DeploymentPaused', 'Deployment is paused')
    if (present?.reason === 'DeploymentPaused') return say('Unknown', 'DeploymentResumed', 'Deployment is resumed')
  } else if (spec.paused === true) return conditions
  if (created !== undefined) return say('True', 'NewReplicaSetCreated', `Created new replica set "${created}"`)
  const wanted = spec.replicas ?? 1
  const { replicas, updatedReplicas, readyReplicas, availableReplicas } = counts
  // Once complete, losing a pod is not a rollout that could fail.
  if (replicas === updatedReplicas && present?.reason === 'NewReplicaSetAvailable') return conditions
  const subject = current === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${current.metadata.name}"`
  if (updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted)
    return say('True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`)
  const oldPods = (of: Partial<Counts>): number => (of.replicas ?? 0) - (of.updatedReplicas ?? 0)
  const moved =
    updatedReplicas > (old.updatedReplicas ?? 0) ||
    oldPods(counts) < oldPods(old) ||
    readyReplicas > (old.readyReplicas ?? 0) ||
    availableReplicas > (old.availableReplicas ?? 0)
  if (moved) {
    const since = present?.status === 'True' ? present.lastTransitionTime : undefined
    // Taken out first: every step forward begins the deadline anew.
    return put(
      removeCondition(conditions, 'Progressing'),
      {
        type: 'Progressing',
        status: 'True',
        reason: 'ReplicaSetUpdated',
        message: `${subject} is progressing.`,
        ...(since === undefined ? {} : { lastTransitionTime: since })
      },
      now
    )
  }
  if (present === undefined)
    return current === undefined ? conditions : say('True', 'FoundNewReplicaSet', `Found new replica set "${current.metadata.name}"`)
  if (present.reason === 'NewReplicaSetAvailable' || present.reason === 'ProgressDeadlineExceeded') return conditions
  const since = Date.parse(present.lastUpdateTime ?? '')
  return now > since + seconds * 1000 ? say('False', 'ProgressDeadlineExceeded', `${subject} has timed out progressing.`) : conditions
}
