/** The ReplicaSet controller's decision: as many pods as asked for, no more; and a status that says how it stands. */
import type { KubeObject } from '#events/KubeObject.ts'
import { controllerOf } from '#events/KubeObject.ts'
import { matchesSelector } from '#events/meta/LabelSelector.ts'
import { same } from '#events/meta/faults.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '../../platform/Controller.ts'
import { create, merge, remove, updateStatus } from '../asks.ts'
import { availableIn, isActive, isReady, isTerminating } from '../pods.ts'
import { record } from '../recorder.ts'

export const NAME = 'replicaset-controller'
const PODS = { group: '', resource: 'pods' }
export const REPLICASETS = { group: 'apps', resource: 'replicasets' }
/** Pods made or deleted in one decision; the next follows when these are folded. */
const BURST = 500
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'

interface ReplicaSetSpec {
  readonly replicas?: number
  readonly minReadySeconds?: number
  readonly selector: Parameters<typeof matchesSelector>[0]
  readonly template: { readonly metadata?: KubeObject['metadata']; readonly spec: Record<string, unknown> }
}

export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const at = key.indexOf('/')
  const entry = view.get({ ...REPLICASETS, namespace: key.slice(0, at), name: key.slice(at + 1) })
  if (entry === undefined) return NOTHING
  const set = entry.object
  const spec = set['spec'] as ReplicaSetSpec
  const pods = view.collection(PODS)
  const owned = [...pods.indexed('owner', set.metadata.uid as string)].map(({ object }) => object).filter((pod) => controllerOf(pod)?.uid === set.metadata.uid)
  if (isTerminating(set)) return { asks: statusAsk(set, spec, owned.filter(isActive), now) }
  const asks: Ask[] = []
  // Pods that match and belong to nobody are adopted; pods of ours that match no longer are let go.
  const mine: KubeObject[] = []
  for (const pod of owned) {
    if (matchesSelector(spec.selector, pod.metadata.labels)) mine.push(pod)
    else if (!isTerminating(pod)) asks.push(merge(pod, { metadata: { uid: pod.metadata.uid, ownerReferences: pod.metadata.ownerReferences?.filter(({ uid }) => uid !== set.metadata.uid) ?? null } }))
  }
  for (const pod of orphans(view, set, spec)) {
    asks.push(merge(pod, { metadata: { uid: pod.metadata.uid, ownerReferences: [...(pod.metadata.ownerReferences ?? []), ownerOf(set)] } }))
    mine.push(pod)
  }
  const active = mine.filter(isActive)
  const missing = (spec.replicas ?? 1) - active.length
  if (missing > 0) {
    const count = Math.min(missing, BURST)
    for (let n = 0; n < count; n++) asks.push(create(podOf(set, spec)))
    asks.push(record(view, set, NAME, 'Normal', 'SuccessfulCreate', `Created ${count} pod${count === 1 ? '' : 's'} from the template`, now))
  } else if (missing < 0) {
    const goers = active.toSorted((a, b) => rank(a, b, now)).slice(0, Math.min(-missing, BURST))
    for (const pod of goers) asks.push(remove(pod))
    for (const pod of goers.slice(0, 8)) asks.push(record(view, set, NAME, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, now))
  }
  const waits = active.map((pod) => availableIn(pod, spec.minReadySeconds ?? 0, now)).filter((ms): ms is number => ms !== undefined && ms > 0)
  return { asks: [...asks, ...statusAsk(set, spec, active, now)], ...(waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) + 10 }) }
}

const orphans = (view: ObjectsView, set: KubeObject, spec: ReplicaSetSpec): KubeObject[] => {
  const first = Object.entries(spec.selector?.matchLabels ?? {})[0]
  const pods = view.collection(PODS)
  const candidates: Iterable<Entry> = first === undefined ? pods.list(set.metadata.namespace) : pods.indexed('label', `${first[0]}=${first[1]}`)
  return [...candidates]
    .map(({ object }) => object)
    .filter((pod) => pod.metadata.namespace === set.metadata.namespace && controllerOf(pod) === undefined && isActive(pod) && matchesSelector(spec.selector, pod.metadata.labels))
}

const ownerOf = (set: KubeObject): NonNullable<KubeObject['metadata']['ownerReferences']>[number] => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: set.metadata.name as string,
  uid: set.metadata.uid as string,
  controller: true,
  blockOwnerDeletion: true
})

const podOf = (set: KubeObject, { template }: ReplicaSetSpec): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    generateName: `${set.metadata.name}-`,
    namespace: set.metadata.namespace as string,
    ...(template.metadata?.labels === undefined ? {} : { labels: template.metadata.labels }),
    ...(template.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
    ...(template.metadata?.finalizers === undefined ? {} : { finalizers: template.metadata.finalizers }),
    ownerReferences: [ownerOf(set)]
  },
  spec: structuredClone(template.spec)
})

const restarts = (pod: KubeObject): number => ((pod['status']?.containerStatuses ?? []) as { restartCount?: number }[]).reduce((most, { restartCount = 0 }) => Math.max(most, restartCount), 0)
const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

/** Who goes first when there are too many: those that lose least (upstream's ActivePodsWithRanks). */
const rank = (a: KubeObject, b: KubeObject, now: number): number => {
  const bound = (pod: KubeObject): number => ((pod['spec'].nodeName ?? '') === '' ? 0 : 1)
  const phase = (pod: KubeObject): number => PHASES[(pod['status']?.phase as string | undefined) ?? 'Pending'] ?? 0
  const cost = (pod: KubeObject): number => Number(pod.metadata.annotations?.[DELETION_COST] ?? 0) || 0
  const readyFor = (pod: KubeObject): number => availableIn(pod, Number.MAX_SAFE_INTEGER / 2000, now) ?? 0
  const age = (pod: KubeObject): number => -Date.parse(pod.metadata.creationTimestamp ?? '')
  return (
    bound(a) - bound(b) ||
    phase(a) - phase(b) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    cost(a) - cost(b) ||
    readyFor(b) - readyFor(a) ||
    restarts(b) - restarts(a) ||
    age(a) - age(b) ||
    ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1)
  )
}

const statusAsk = (set: KubeObject, spec: ReplicaSetSpec, active: readonly KubeObject[], now: number): Ask[] => {
  const labels = Object.entries(spec.template.metadata?.labels ?? {})
  const old = (set['status'] ?? {}) as Record<string, unknown>
  const status = {
    ...old,
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => labels.every(([name, value]) => pod.metadata.labels?.[name] === value)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => availableIn(pod, spec.minReadySeconds ?? 0, now) === 0).length,
    observedGeneration: set.metadata.generation
  }
  return same(withZeros(old), status) ? [] : [updateStatus(set, status)]
}

/** Counts that are zero may be absent. */
const withZeros = (status: Record<string, unknown>): Record<string, unknown> => ({ fullyLabeledReplicas: 0, readyReplicas: 0, availableReplicas: 0, ...status })
