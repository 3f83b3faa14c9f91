/** Topology spread constraints of a pod, parsed, and how many pods like it each part of the topology holds (KEP-895). Plain functions. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { matches, selectorOf, type Selector } from '#events/meta/LabelSelector.ts'
import type { Cluster, NodeInfo } from '#projections/Cluster.ts'
import { withLabelKeys } from '#projections/PodAffinity.ts'
import { matchesRequired, type RequiredAffinity } from './affinity.ts'
import { tolerates, type PodToPlace } from './plugin.ts'

export interface Constraint {
  readonly maxSkew: number
  readonly topologyKey: string
  readonly selector: Selector
  readonly minDomains: number
  readonly honorAffinity: boolean
  readonly honorTaints: boolean
}

export const constraintsOf = (pod: Pod, whenUnsatisfiable: 'DoNotSchedule' | 'ScheduleAnyway'): Constraint[] =>
  (pod.spec.topologySpreadConstraints ?? [])
    .filter((raw) => raw.whenUnsatisfiable === whenUnsatisfiable)
    .map((raw) => ({
      maxSkew: raw.maxSkew,
      topologyKey: raw.topologyKey,
      selector: withLabelKeys(selectorOf(raw.labelSelector), pod.metadata.labels ?? {}, raw.matchLabelKeys),
      minDomains: raw.minDomains ?? 1,
      honorAffinity: (raw.nodeAffinityPolicy ?? 'Honor') === 'Honor',
      honorTaints: raw.nodeTaintsPolicy === 'Honor'
    }))

/** Is the node one the constraint counts on? */
export const counts = (
  { honorAffinity, honorTaints }: Constraint,
  node: NodeInfo,
  { tolerations }: PodToPlace,
  required: RequiredAffinity | undefined
): boolean =>
  !(honorAffinity && required !== undefined && !matchesRequired(required, node.name, node.labels)) &&
  !(honorTaints && node.taints.some((taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(tolerations, taint)))

/** Adds the matching pods of the namespace to the parts (topology values) in `totals`; parts not in it are not counted. */
export const countMatching = (
  cluster: Cluster,
  namespace: string,
  { topologyKey, selector }: Constraint,
  totals: Map<string, number>,
  counted: (node: NodeInfo) => boolean
): void => {
  for (const pod of cluster.podsIn(namespace)) {
    if (pod.terminating || !matches(selector, pod.labels)) continue
    const node = cluster.nodeOf(pod.id)
    const value = node?.labels[topologyKey]
    if (node === undefined || value === undefined) continue
    const total = totals.get(value)
    if (total !== undefined && counted(node)) totals.set(value, total + 1)
  }
}
