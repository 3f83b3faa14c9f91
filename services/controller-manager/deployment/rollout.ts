/** How far a rollout may go now: the new ReplicaSet up and the old ones down, within maxSurge and maxUnavailable. */
import type { DeploymentSpec, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import { scaledValue } from '#events/meta/IntOrString.ts'
import { MOST } from './situation.ts'

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

export const replicasOf = (set: ReplicaSet): number => set.spec.replicas ?? 1
export const podsOf = (set: ReplicaSet): number => set.status?.replicas ?? 0
/** Of the pods it may keep, as many are available at most: its status may be from before it was made smaller. */
export const availableOf = (set: ReplicaSet): number => Math.min(replicasOf(set), set.status?.availableReplicas ?? 0)

/** What the new ReplicaSet may be scaled to. */
export const newReplicas = (spec: DeploymentSpec, current: ReplicaSet, all: readonly ReplicaSet[]): number => {
  const wanted = spec.replicas ?? 1
  const present = replicasOf(current)
  if (spec.strategy?.type === 'Recreate' || present >= wanted) return wanted
  const total = all.reduce((sum, set) => sum + replicasOf(set), 0)
  const most = wanted + limitsOf(spec).surge
  if (total >= most) return present
  return Math.min(wanted, present + most - total)
}

/** What the old ReplicaSets may be scaled to: first those whose pods do not work, then the rest, oldest first. */
export const oldReplicas = (spec: DeploymentSpec, current: ReplicaSet, old: readonly ReplicaSet[]): ReadonlyMap<ReplicaSet, number> => {
  const targets = new Map<ReplicaSet, number>()
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
    if (broken <= 0 || set.status?.observedGeneration !== set.metadata.generation) continue
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
export const proportional = (spec: DeploymentSpec, active: readonly ReplicaSet[]): ReadonlyMap<ReplicaSet, number> => {
  const wanted = spec.replicas ?? 1
  const allowed = wanted > 0 ? wanted + limitsOf(spec).surge : 0
  const total = active.reduce((sum, set) => sum + replicasOf(set), 0)
  const more = allowed - total
  const newerFirst = more > 0 ? -1 : 1
  const sorted = active.toSorted(
    (a, b) =>
      replicasOf(b) - replicasOf(a) ||
      newerFirst * (Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '')) ||
      ((a.metadata.name as string) < (b.metadata.name as string) ? -1 : 1)
  )
  const targets = new Map<ReplicaSet, number>()
  let left = more
  for (const set of sorted) {
    // What the set was sized for, when that is remembered.
    const before = Number(set.metadata.annotations?.[MOST] ?? 0) || total
    const share = wanted === 0 ? -replicasOf(set) : Math.round((replicasOf(set) * allowed) / before) - replicasOf(set)
    const change = more > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left))
    targets.set(set, replicasOf(set) + change)
    left -= change
  }
  const first = sorted[0]
  if (left !== 0 && first !== undefined) targets.set(first, Math.max(0, (targets.get(first) as number) + left))
  return targets
}
