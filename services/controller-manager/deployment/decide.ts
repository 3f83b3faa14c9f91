/** The Deployment controller's decision: which ReplicaSet is the new one, how large each may be, and how it stands. */
import { controllerOf, type KubeObject } from '#events/KubeObject.ts'
import { removeCondition, setCondition, conditionIn, type Condition } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { create, merge, remove, update, updateStatus } from '../asks.ts'
import { isTerminating, rfc3339 } from '../pods.ts'
import { record } from '../recorder.ts'
import { availableOf, limitsOf, newReplicas, oldReplicas, proportional, replicasOf, type DeploymentSpec } from './rollout.ts'
import { HASH_LABEL, sameTemplate, templateHash } from './template.ts'

export const NAME = 'deployment-controller'
export const DEPLOYMENTS = { group: 'apps', resource: 'deployments' }
export const REPLICASETS = { group: 'apps', resource: 'replicasets' }
const REVISION = 'deployment.kubernetes.io/revision'
const DESIRED = 'deployment.kubernetes.io/desired-replicas'
const MOST = 'deployment.kubernetes.io/max-replicas'
/** Annotations that are about the deployment's own keeping, not its users'. */
const NOT_COPIED = new Set(['kubectl.kubernetes.io/last-applied-configuration', REVISION, DESIRED, MOST, 'deprecated.deployment.rollback.to'])

const byAge = (a: KubeObject, b: KubeObject): number =>
  Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '') || ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1)
const revisionOf = (object: KubeObject): number => Number(object.metadata.annotations?.[REVISION] ?? 0) || 0

interface Situation {
  readonly view: ObjectsView
  readonly deployment: KubeObject
  readonly spec: DeploymentSpec
  readonly sets: readonly KubeObject[]
  readonly current: KubeObject | undefined
  readonly old: readonly KubeObject[]
  readonly now: number
}

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const at = key.indexOf('/')
  const entry = view.get({ ...DEPLOYMENTS, namespace: key.slice(0, at), name: key.slice(at + 1) })
  if (entry === undefined) return NOTHING
  const deployment = entry.object
  const spec = deployment['spec'] as DeploymentSpec
  const sets = [...view.collection(REPLICASETS).indexed('owner', deployment.metadata.uid as string)]
    .map(({ object }) => object)
    .filter((set) => controllerOf(set)?.uid === deployment.metadata.uid && matchesSelector(spec.selector, set.metadata.labels) && !isTerminating(set))
    .sort(byAge)
  const current = sets.find((set) => sameTemplate(set['spec'].template, spec.template))
  const old = sets.filter((set) => set !== current)
  const it: Situation = { view, deployment, spec, sets, current, old, now }
  if (isTerminating(deployment)) return { asks: statusAsks(it) }
  if (spec.paused === true || scaledSince(it)) return { asks: [...scaleAsks(it), ...statusAsks(it)] }
  if (spec.strategy?.type === 'Recreate' && old.some((set) => replicasOf(set) > 0 || podsOf(set) > 0)) return finish(it, recreateAsks(it))
  if (current === undefined) return finish(it, newSetAsks(it))
  return finish(it, [...keepCurrent(it, current), ...rolloutAsks(it, current), ...cleanUp(it)])
}

const podsOf = (set: KubeObject): number => (set['status']?.replicas as number | undefined) ?? 0

/** Adds the status, and a time to look again while a rollout can miss its deadline. */
const finish = (it: Situation, asks: readonly Ask[]): Decision => {
  const deadline = deadlineOf(it)
  return { asks: [...asks, ...statusAsks(it)], ...(deadline === undefined || deadline <= it.now ? {} : { requeueAfterMs: deadline - it.now + 100 }) }
}

const annotationsFor = ({ deployment, spec }: Situation): Record<string, string> => ({
  ...Object.fromEntries(Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !NOT_COPIED.has(name))),
  [DESIRED]: String(spec.replicas ?? 1),
  [MOST]: String((spec.replicas ?? 1) + (spec.strategy?.type === 'Recreate' ? 0 : limitsOf(spec).surge))
})

/** The user changed the replica count since the sets were last sized: that comes before any rolling. */
const scaledSince = ({ sets, spec }: Situation): boolean =>
  sets.some((set) => replicasOf(set) > 0 && set.metadata.annotations?.[DESIRED] !== undefined && Number(set.metadata.annotations[DESIRED]) !== (spec.replicas ?? 1))

const scaleAsks = (it: Situation): Ask[] => {
  const { sets, spec, current, old } = it
  const active = sets.filter((set) => replicasOf(set) > 0)
  if (active.length <= 1) {
    const only = active[0] ?? current ?? old.at(-1)
    if (only === undefined) return spec.paused === true ? [] : newSetAsks(it)
    return resize(it, only, spec.replicas ?? 1)
  }
  // A rolled-out new set stands alone: whatever old ones still have goes.
  if (current !== undefined && replicasOf(current) === (spec.replicas ?? 1) && availableOf(current) === (spec.replicas ?? 1)) return old.filter((set) => replicasOf(set) > 0).flatMap((set) => resize(it, set, 0))
  if (spec.strategy?.type === 'Recreate') return active.flatMap((set) => resize(it, set, replicasOf(set)))
  const before = Number(active[0]?.metadata.annotations?.[MOST] ?? 0) || active.reduce((sum, set) => sum + replicasOf(set), 0)
  const targets = proportional(spec, active, before)
  return active.flatMap((set) => resize(it, set, targets.get(set) ?? replicasOf(set)))
}

/** Sets a size, and the annotations that remember what for. */
const resize = (it: Situation, set: KubeObject, replicas: number): Ask[] => {
  const { [DESIRED]: desired, [MOST]: most } = annotationsFor(it)
  const annotations = { ...set.metadata.annotations, [DESIRED]: desired as string, [MOST]: most as string }
  const present = replicasOf(set)
  if (present === replicas && same(annotations, set.metadata.annotations)) return []
  const asks: Ask[] = [update({ ...set, metadata: { ...set.metadata, annotations }, spec: { ...set['spec'], replicas } })]
  if (present !== replicas)
    asks.push(record(it.view, it.deployment, NAME, 'Normal', 'ScalingReplicaSet', `Scaled ${replicas > present ? 'up' : 'down'} replica set ${set.metadata.name} from ${present} to ${replicas}`, it.now))
  return asks
}

const nextRevision = ({ sets, current }: Situation): number => {
  const highest = Math.max(0, ...sets.filter((set) => set !== current).map(revisionOf))
  return current !== undefined && revisionOf(current) > highest ? revisionOf(current) : highest + 1
}

const newSetAsks = (it: Situation): Ask[] => {
  const { view, deployment, spec, sets, now } = it
  const collisions = (deployment['status']?.collisionCount as number | undefined) ?? 0
  const hash = templateHash(spec.template, collisions)
  const name = `${(deployment.metadata.name as string).slice(0, 242)}-${hash}`
  const present = view.get({ ...REPLICASETS, namespace: deployment.metadata.namespace as string, name })
  if (present !== undefined) {
    // Ours, but not folded as ours yet (or going away): it settles by itself. Somebody else's: take another name.
    if (controllerOf(present.object)?.uid === deployment.metadata.uid) return []
    return [updateStatus(deployment, { ...deployment['status'], collisionCount: collisions + 1 })]
  }
  const labels = { ...spec.template.metadata?.labels, [HASH_LABEL]: hash }
  const set: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: deployment.metadata.namespace as string,
      labels,
      annotations: { ...annotationsFor(it), [REVISION]: String(nextRevision(it)) },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: deployment.metadata.name as string, uid: deployment.metadata.uid as string, controller: true, blockOwnerDeletion: true }]
    },
    spec: {
      ...(spec.minReadySeconds === undefined ? {} : { minReadySeconds: spec.minReadySeconds }),
      replicas: 0,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...spec.template, metadata: { ...spec.template.metadata, labels } }
    }
  }
  const replicas = newReplicas(spec, set, [...sets, set])
  const sized: KubeObject = { ...set, spec: { ...set['spec'], replicas } }
  return [create(sized), ...(replicas === 0 ? [] : [record(view, deployment, NAME, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${name} from 0 to ${replicas}`, now)])]
}

/** Revision numbers, and what the set should carry of the deployment. */
const keepCurrent = (it: Situation, current: KubeObject): Ask[] => {
  const { deployment, spec } = it
  const revision = String(nextRevision(it))
  const asks: Ask[] = []
  const wanted = { ...current.metadata.annotations, ...annotationsFor(it), [REVISION]: revision }
  // Sizes are resized below; here only what differs besides.
  if (!same(wanted, current.metadata.annotations) || (current['spec'].minReadySeconds ?? 0) !== (spec.minReadySeconds ?? 0))
    asks.push(merge(current, { metadata: { annotations: wanted }, ...((spec.minReadySeconds ?? 0) === (current['spec'].minReadySeconds ?? 0) ? {} : { spec: { minReadySeconds: spec.minReadySeconds ?? 0 } }) }))
  if (deployment.metadata.annotations?.[REVISION] !== revision) asks.push(merge(deployment, { metadata: { annotations: { [REVISION]: revision } } }))
  return asks
}

const rolloutAsks = (it: Situation, current: KubeObject): Ask[] => {
  const { spec, old, sets } = it
  const target = newReplicas(spec, current, sets)
  // Up first, then (when that is folded and the pods are there) down: two halves of one rollout never overlap.
  if (target !== replicasOf(current)) return patchSize(it, current, target)
  const asks: Ask[] = []
  for (const [set, replicas] of oldReplicas(spec, current, old)) if (replicas !== replicasOf(set)) asks.push(...patchSize(it, set, replicas))
  return asks
}

/** As resize, but as a patch with a lock on the version: annotations may have been asked for in the same decision. */
const patchSize = (it: Situation, set: KubeObject, replicas: number): Ask[] => {
  const present = replicasOf(set)
  const { [DESIRED]: desired, [MOST]: most } = annotationsFor(it)
  return [
    merge(set, { metadata: { uid: set.metadata.uid, annotations: { [DESIRED]: desired, [MOST]: most } }, spec: { replicas } }),
    record(it.view, it.deployment, NAME, 'Normal', 'ScalingReplicaSet', `Scaled ${replicas > present ? 'up' : 'down'} replica set ${set.metadata.name} from ${present} to ${replicas}`, it.now)
  ]
}

const recreateAsks = (it: Situation): Ask[] => it.old.filter((set) => replicasOf(set) > 0).flatMap((set) => patchSize(it, set, 0))

/** Old sets beyond the history limit, once everything is rolled out. */
const cleanUp = ({ old, spec, current, deployment }: Situation): Ask[] => {
  if (!isComplete(deployment, spec, current)) return []
  const empty = old.filter((set) => replicasOf(set) === 0 && podsOf(set) === 0 && set['status']?.observedGeneration === set.metadata.generation)
  const surplus = empty.length - (spec.revisionHistoryLimit ?? 10)
  return surplus <= 0 ? [] : empty.toSorted((a, b) => revisionOf(a) - revisionOf(b)).slice(0, surplus).map((set) => remove(set))
}

const isComplete = (deployment: KubeObject, spec: DeploymentSpec, current: KubeObject | undefined): boolean => {
  const wanted = spec.replicas ?? 1
  const status = (deployment['status'] ?? {}) as Record<string, number | undefined>
  return current !== undefined && podsOf(current) === wanted && availableOf(current) === wanted && (status['replicas'] ?? 0) === wanted
}

const progressing = (deployment: KubeObject): Condition | undefined => conditionIn(deployment['status']?.conditions, 'Progressing')

/** When the rollout will have made no progress for too long. */
const deadlineOf = ({ deployment, spec, current }: Situation): number | undefined => {
  const seconds = spec.progressDeadlineSeconds ?? 600
  if (seconds >= 2 ** 31 - 1 || isComplete(deployment, spec, current)) return undefined
  const condition = progressing(deployment)
  const since = Date.parse((condition?.['lastUpdateTime'] as string | undefined) ?? '')
  return condition === undefined || Number.isNaN(since) || condition.reason === 'NewReplicaSetAvailable' ? undefined : since + seconds * 1000
}

const statusAsks = (it: Situation): Ask[] => {
  const { deployment, spec, sets, current, now } = it
  const old = (deployment['status'] ?? {}) as Record<string, unknown> & { conditions?: Condition[]; collisionCount?: number; updatedReplicas?: number; readyReplicas?: number; availableReplicas?: number; replicas?: number }
  const total = (field: string): number => sets.reduce((sum, set) => sum + ((set['status']?.[field] as number | undefined) ?? 0), 0)
  const wanted = spec.replicas ?? 1
  const available = total('availableReplicas')
  const counts = {
    observedGeneration: deployment.metadata.generation,
    replicas: total('replicas'),
    updatedReplicas: current === undefined ? 0 : podsOf(current),
    readyReplicas: total('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sets.reduce((sum, set) => sum + replicasOf(set), 0) - available)
  }
  const time = rfc3339(now)
  const put = (conditions: readonly Condition[], condition: Condition): readonly Condition[] => {
    const next = setCondition(conditions, condition, time)
    if (next === conditions) return conditions
    return next.map((item) => (item.type === condition.type ? { ...item, lastUpdateTime: time } : item))
  }
  let conditions: readonly Condition[] = old.conditions ?? []
  const enough = available >= wanted - limitsOf(spec).unavailable
  conditions = put(conditions, {
    type: 'Available',
    status: enough ? 'True' : 'False',
    reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: enough ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.'
  })
  conditions = progressCondition(it, conditions, counts, old, put)
  const status = {
    ...Object.fromEntries(Object.entries(counts).filter(([field, value]) => field === 'observedGeneration' || value !== 0)),
    conditions,
    ...(old.collisionCount === undefined ? {} : { collisionCount: old.collisionCount })
  }
  return same(old, status) ? [] : [updateStatus(deployment, status)]
}

type Counts = Readonly<Record<'replicas' | 'updatedReplicas' | 'readyReplicas' | 'availableReplicas', number>>

const progressCondition = (
  { deployment, spec, current, old: oldSets, now }: Situation,
  conditions: readonly Condition[],
  counts: Counts,
  old: Partial<Counts>,
  put: (conditions: readonly Condition[], condition: Condition) => readonly Condition[]
): readonly Condition[] => {
  if (spec.paused === true) {
    return put(conditions, { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' })
  }
  const wanted = spec.replicas ?? 1
  const name = current === undefined ? '' : (current.metadata.name as string)
  const done = current !== undefined && counts.updatedReplicas === wanted && counts.replicas === wanted && counts.availableReplicas === wanted
  if (done) return put(conditions, { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message: `ReplicaSet "${name}" has successfully progressed.` })
  const present = conditionIn(conditions, 'Progressing')
  const fewerOld = counts.replicas - counts.updatedReplicas < (old.replicas ?? 0) - (old.updatedReplicas ?? 0)
  const moved = counts.updatedReplicas > (old.updatedReplicas ?? 0) || fewerOld || counts.readyReplicas > (old.readyReplicas ?? 0) || counts.availableReplicas > (old.availableReplicas ?? 0)
  const condition: Condition =
    current === undefined
      ? { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message: 'Created new replica set' }
      : { type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message: `ReplicaSet "${name}" is progressing.` }
  // A deployment that was complete and only lost a pod is not a rollout that can fail.
  const rolling = oldSets.some((set) => replicasOf(set) > 0) || counts.updatedReplicas < wanted || present?.reason !== 'NewReplicaSetAvailable'
  if (present === undefined || moved || present.reason === 'DeploymentPaused' || (rolling && present.reason === 'NewReplicaSetAvailable' && current !== undefined && !present.message?.includes(`"${name}"`))) {
    return put(removeCondition(conditions, 'Progressing'), condition)
  }
  if (present.reason === 'NewReplicaSetAvailable') return conditions
  const since = Date.parse((present['lastUpdateTime'] as string | undefined) ?? '')
  const late = present.reason === 'ProgressDeadlineExceeded' || now >= since + (spec.progressDeadlineSeconds ?? 600) * 1000
  if (late) return put(conditions, { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: `ReplicaSet "${name === '' ? (deployment.metadata.name as string) : name}" has timed out progressing.` })
  return present.reason === condition.reason && present.message === condition.message ? conditions : put(conditions, condition)
}
