/** The ReplicaSet controller's decision: as many pods as asked for, no more; and a status that says how it stands. */
import type { ReplicaSetSpec } from '#events/schema/generated/apps.v1.ts'
import { PODS, REPLICASETS } from '#events/collections.ts'
import { timestamp } from '#events/meta/time.ts'
import { ReplicaSet } from '#events/apps/ReplicaSet.ts'
import { Pod } from '#events/core/pod/Pod.ts'
import type { Pod as PodType } from '#events/schema/generated/core.v1.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { controllerOf } from '#events/KubeObject.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import { conditionOf, removeCondition, setCondition, type Condition } from '#events/meta/Conditions.ts'
import { same } from '#events/meta/faults.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision, type Refused } from '#services/platform/decision.ts'
import { create, merge, remove, updateStatus } from '#services/controller-manager/asks.ts'
import { suffixOf } from '#services/controller-manager/names.ts'
import { availableIn, isActive, isReady, isTerminating } from '#services/controller-manager/pods.ts'
import { record } from '#services/controller-manager/recorder.ts'

export const NAME = 'replicaset-controller'
/** Pods made or deleted in one decision; the next follows when these are folded. */
const BURST = 500
/** Of one decision, as many are told about (upstream's burst for one object). */
const NOTICES = 25
const FAILURE = 'ReplicaFailure'
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const at = key.indexOf('/')
  const entry = view.get({ ...REPLICASETS, namespace: key.slice(0, at), name: key.slice(at + 1) })
  if (entry === undefined) return NOTHING
  const set = entry.object
  const spec = set.spec
  const pods = view.collection(PODS)
  const owned = [...pods.indexed('owner', set.metadata.uid as string)]
    .map(({ object }) => object)
    .filter((pod) => controllerOf(pod)?.uid === set.metadata.uid)
  if (isTerminating(set)) return { asks: statusAsk(set, spec, owned.filter(isActive), now) }
  const claims: Ask[] = []
  // Pods that match and belong to nobody are adopted; pods of ours that match no longer are let go.
  const mine: PodType[] = []
  for (const pod of owned) {
    if (matchesSelector(spec.selector, pod.metadata.labels)) mine.push(pod)
    else if (!isTerminating(pod))
      claims.push(claim(pod, pod.metadata.ownerReferences?.filter(({ uid }) => uid !== set.metadata.uid) ?? null))
  }
  for (const pod of orphans(view, set, spec)) {
    claims.push(claim(pod, [...(pod.metadata.ownerReferences ?? []), ownerOf(set)]))
    mine.push(pod)
  }
  const active = mine.filter(isActive)
  const missing = (spec.replicas ?? 1) - active.length
  const waits = active
    .map((pod) => availableIn(pod, spec.minReadySeconds ?? 0, now))
    .filter((ms): ms is number => ms !== undefined && ms > 0)
  return {
    // The status first: whoever waits to see the spec observed does not wait for pods that can't be made.
    asks: [
      ...statusAsk(set, spec, active, now),
      ...claims,
      ...(missing > 0 ? createAsks(view, set, spec, mine, missing, now) : missing < 0 ? deleteAsks(view, set, active, -missing, now) : [])
    ],
    ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) + 10 })
  }
}

/** A pod that may not be made: users see why on the set, and its deployment. */
export const refused = (view: ObjectsView, key: string, { ask, message }: Refused, { now }: DecideContext): readonly Ask[] => {
  if (ask.verb !== 'create' || ask.ref.resource !== PODS.resource) return []
  const at = key.indexOf('/')
  const set = view.get({ ...REPLICASETS, namespace: key.slice(0, at), name: key.slice(at + 1) })?.object
  if (set === undefined) return []
  const notice = record(view, set, NAME, 'Warning', 'FailedCreate', `Error creating: ${message}`, now)
  // Once it is said it stays, as upstream's does. The message names the pod, and the pod is named after the set's version:
  // each new message would make a version, whose pod makes the next message, and the set would be tried again at once, for ever.
  if (conditionOf(set, FAILURE)?.status === 'True') return [notice]
  const failure: Condition = { type: FAILURE, status: 'True', reason: 'FailedCreate', message }
  return [
    notice,
    updateStatus(ReplicaSet, set, {
      ...set.status,
      conditions: setCondition(set.status?.conditions as readonly Condition[] | undefined, failure, timestamp(now))
    })
  ]
}

const claim = (pod: PodType, ownerReferences: unknown): Ask =>
  merge(Pod, pod, { metadata: { uid: pod.metadata.uid, resourceVersion: pod.metadata.resourceVersion, ownerReferences } })

/**
 * Pods are named after the state they are made for: an ask that is delivered twice makes one pod, and a pod that follows
 * another has another name.
 */
const createAsks = (
  view: ObjectsView,
  set: ReplicaSet,
  spec: ReplicaSetSpec,
  mine: readonly PodType[],
  missing: number,
  now: number
): Ask[] => {
  const state = `${set.metadata.uid}/${set.metadata.resourceVersion}/${mine
    .map(({ metadata }) => metadata.uid)
    .toSorted()
    .join(',')}`
  const pods = Array.from({ length: Math.min(missing, BURST) }, (_, n) => podOf(set, spec, suffixOf(`${state}/${n}`)))
  return [
    ...pods.map((pod) => create(Pod, pod)),
    ...pods.slice(0, NOTICES).map((pod) => record(view, set, NAME, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`, now))
  ]
}

const deleteAsks = (view: ObjectsView, set: ReplicaSet, active: readonly PodType[], surplus: number, now: number): Ask[] => {
  const crowd = crowds(view, set)
  const goers = active.toSorted((a, b) => rank(a, b, crowd)).slice(0, Math.min(surplus, BURST))
  return [
    ...goers.map((pod) => remove(Pod, pod)),
    ...goers.slice(0, NOTICES).map((pod) => record(view, set, NAME, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, now))
  ]
}

const orphans = (view: ObjectsView, set: ReplicaSet, spec: ReplicaSetSpec): PodType[] => {
  const first = Object.entries(spec.selector?.matchLabels ?? {})[0]
  const pods = view.collection(PODS)
  const candidates: Iterable<Entry<PodType>> =
    first === undefined ? pods.list(set.metadata.namespace) : pods.indexed('label', `${first[0]}=${first[1]}`)
  return [...candidates]
    .map(({ object }) => object)
    .filter(
      (pod) =>
        pod.metadata.namespace === set.metadata.namespace &&
        controllerOf(pod) === undefined &&
        isActive(pod) &&
        matchesSelector(spec.selector, pod.metadata.labels)
    )
}

const ownerOf = (set: ReplicaSet): NonNullable<KubeObject['metadata']['ownerReferences']>[number] => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: set.metadata.name as string,
  uid: set.metadata.uid as string,
  controller: true,
  blockOwnerDeletion: true
})

const LONGEST_BASE = 58

const podOf = (set: ReplicaSet, { template }: ReplicaSetSpec, suffix: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: `${`${set.metadata.name}-`.slice(0, LONGEST_BASE)}${suffix}`,
    generateName: `${set.metadata.name}-`,
    namespace: set.metadata.namespace as string,
    ...(template.metadata?.labels === undefined ? {} : { labels: template.metadata.labels }),
    ...(template.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
    ...(template.metadata?.finalizers === undefined ? {} : { finalizers: template.metadata.finalizers }),
    ownerReferences: [ownerOf(set)]
  },
  spec: structuredClone(template.spec)
})

const restarts = (pod: PodType): number =>
  (pod.status?.containerStatuses ?? []).reduce((most, { restartCount = 0 }) => Math.max(most, restartCount), 0)
const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

/** How many active pods of the set, and of sets with the same controller, each node has. */
const crowds = (view: ObjectsView, set: ReplicaSet): ReadonlyMap<string, number> => {
  const controller = controllerOf(set)?.uid
  const sets = controller === undefined ? [set] : [...view.collection(REPLICASETS).indexed('owner', controller)].map(({ object }) => object)
  const counts = new Map<string, number>()
  for (const { metadata } of sets)
    for (const { object: pod } of view.collection(PODS).indexed('owner', metadata.uid as string)) {
      const node = pod.spec.nodeName ?? ''
      if (node !== '' && isActive(pod)) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
  return counts
}

/** Who goes first when there are too many: those that lose least (upstream's ActivePodsWithRanks). */
const rank = (a: PodType, b: PodType, crowd: ReadonlyMap<string, number>): number => {
  const node = (pod: PodType): string => pod.spec.nodeName ?? ''
  const phase = (pod: PodType): number => PHASES[pod.status?.phase ?? 'Pending'] ?? 0
  const cost = (pod: PodType): number => Number(pod.metadata.annotations?.[DELETION_COST] ?? 0) || 0
  const readySince = (pod: PodType): number => (isReady(pod) ? Date.parse(conditionOf(pod, 'Ready')?.lastTransitionTime ?? '') || 0 : 0)
  const created = (pod: PodType): number => Date.parse(pod.metadata.creationTimestamp ?? '') || 0
  return (
    Math.min(node(a).length, 1) - Math.min(node(b).length, 1) ||
    phase(a) - phase(b) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    cost(a) - cost(b) ||
    (crowd.get(node(b)) ?? 0) - (crowd.get(node(a)) ?? 0) ||
    readySince(b) - readySince(a) ||
    restarts(b) - restarts(a) ||
    created(b) - created(a) ||
    ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1)
  )
}

const statusAsk = (set: ReplicaSet, spec: ReplicaSetSpec, active: readonly PodType[], now: number): Ask[] => {
  const labels = Object.entries(spec.template.metadata?.labels ?? {})
  const {
    fullyLabeledReplicas: _,
    readyReplicas: __,
    availableReplicas: ___,
    conditions: present,
    ...rest
  } = (set.status ?? {}) as Record<string, unknown> & { conditions?: readonly Condition[] }
  // What could not be made is there, or wanted no more.
  const conditions = active.length < (spec.replicas ?? 1) ? (present ?? []) : removeCondition(present, FAILURE)
  const counts = {
    fullyLabeledReplicas: active.filter((pod) => labels.every(([name, value]) => pod.metadata.labels?.[name] === value)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => availableIn(pod, spec.minReadySeconds ?? 0, now) === 0).length
  }
  // Counts that are zero are left out, as upstream does.
  const status = {
    ...rest,
    replicas: active.length,
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    ...(conditions.length === 0 ? {} : { conditions }),
    observedGeneration: set.metadata.generation
  }
  return same(set.status ?? {}, status) ? [] : [updateStatus(ReplicaSet, set, status)]
}
