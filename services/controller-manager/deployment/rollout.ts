/** How far a rollout may go now: the new ReplicaSet up and the old ones down, within maxSurge and maxUnavailable. */
import { scaledValue, type IntOrString } from '#events/meta/IntOrString.ts'
import type { KubeObject } from '#events/KubeObject.ts'

export interface DeploymentSpec {
  readonly replicas?: number
  readonly paused?: boolean
  readonly minReadySeconds?: number
  readonly revisionHistoryLimit?: number
  readonly progressDeadlineSeconds?: number
  readonly selector: { readonly matchLabels?: Readonly<Record<string, string>> }
  readonly template: { readonly metadata?: KubeObject['metadata']; readonly spec: Record<string, unknown> }
  readonly strategy?: { readonly type?: string; readonly rollingUpdate?: { readonly maxSurge?: IntOrString; readonly maxUnavailable?: IntOrString } }
}

export interface Limits {
  readonly surge: number
  readonly unavailable: number
}

/** Surge rounds up, unavailable rounds down; both zero would never move, so one may be missing then. */
export const limitsOf = ({ replicas = 1, strategy }: DeploymentSpec): Limits => {
  if (strategy?.type === 'Recreate') return { surge: 0, unavailable: replicas }
  const surge = scaledValue(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, 'up') ?? 0
  const unavailable = scaledValue(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, 'down') ?? 0
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : Math.min(unavailable, replicas) }
}

export const replicasOf = (set: KubeObject): number => (set['spec'].replicas as number | undefined) ?? 1
const statusOf = (set: KubeObject, field: string): number => (set['status']?.[field] as number | undefined) ?? 0
export const availableOf = (set: KubeObject): number => statusOf(set, 'availableReplicas')

/** What the new ReplicaSet may be scaled to. */
export const newReplicas = (spec: DeploymentSpec, current: KubeObject, all: readonly KubeObject[]): number => {
  const wanted = spec.replicas ?? 1
  const present = replicasOf(current)
  if (spec.strategy?.type === 'Recreate' || present >= wanted) return wanted
  const total = all.reduce((sum, set) => sum + replicasOf(set), 0)
  const most = wanted + limitsOf(spec).surge
  if (total >= most) return present
  return Math.min(wanted, present + most - total)
}

/** What the old ReplicaSets may be scaled to: first those whose pods do not work, then the rest, oldest first. */
export const oldReplicas = (spec: DeploymentSpec, current: KubeObject, old: readonly KubeObject[]): ReadonlyMap<KubeObject, number> => {
  const targets = new Map<KubeObject, number>()
  const wanted = spec.replicas ?? 1
  const least = wanted - limitsOf(spec).unavailable
  const all = [...old, current]
  const total = all.reduce((sum, set) => sum + replicasOf(set), 0)
  // Pods of the new set that are not available yet can't replace anybody.
  const newUnavailable = replicasOf(current) - availableOf(current)
  let spare = total - least - newUnavailable
  if (spare <= 0) return targets
  const ordered = old.toSorted((a, b) => Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? ''))
  for (const set of ordered) {
    const broken = replicasOf(set) - availableOf(set)
    // A status that is not up to date says nothing about what works.
    if (broken <= 0 || set['status']?.observedGeneration !== set.metadata.generation) continue
    const cut = Math.min(spare, broken)
    if (cut <= 0) break
    targets.set(set, replicasOf(set) - cut)
    spare -= cut
  }
  let removable = all.reduce((sum, set) => sum + availableOf(set), 0) - least
  for (const set of ordered) {
    if (removable <= 0) break
    const present = targets.get(set) ?? replicasOf(set)
    const cut = Math.min(present, removable)
    if (cut <= 0) continue
    targets.set(set, present - cut)
    removable -= cut
  }
  return targets
}

/** Scaling while several sets are up: the difference is shared in proportion, the largest first (upstream's `scale`). */
export const proportional = (spec: DeploymentSpec, active: readonly KubeObject[], before: number): ReadonlyMap<KubeObject, number> => {
  const wanted = spec.replicas ?? 1
  const allowed = wanted > 0 ? wanted + (spec.strategy?.type === 'Recreate' ? 0 : limitsOf(spec).surge) : 0
  const total = active.reduce((sum, set) => sum + replicasOf(set), 0)
  let left = allowed - total
  const targets = new Map<KubeObject, number>()
  const sorted = active.toSorted((a, b) => replicasOf(b) - replicasOf(a) || (left > 0 ? -1 : 1) * (Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '')))
  for (const set of sorted) {
    if (left === 0) break
    const share = before === 0 ? 0 : Math.round((replicasOf(set) * allowed) / before) - replicasOf(set)
    const change = left > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left))
    targets.set(set, replicasOf(set) + change)
    left -= change
  }
  const first = sorted[0]
  if (left !== 0 && first !== undefined) targets.set(first, Math.max(0, (targets.get(first) ?? replicasOf(first)) + left))
  return targets
}
