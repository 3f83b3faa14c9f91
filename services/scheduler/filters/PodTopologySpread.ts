/** Keeps pods spread over a topology within the allowed skew (whenUnsatisfiable: DoNotSchedule). */
import { matches } from '#events/meta/LabelSelector.ts'
import { requiredAffinityOf } from '#services/scheduler/affinity.ts'
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'
import { constraintsOf, countMatching, counts, type Constraint } from '#services/scheduler/spread.ts'

interface Counted {
  readonly constraint: Constraint
  /** Matching pods by topology value. */
  readonly totals: ReadonlyMap<string, number>
  readonly fewest: number
  /** 1 when the pod itself counts. */
  readonly self: number
}

const SKEWED: Refusal = { reasons: ["node(s) didn't match pod topology spread constraints"], unresolvable: false }
const UNLABELLED: Refusal = {
  reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
  unresolvable: true
}

export const PodTopologySpread: Filter<readonly Counted[]> = {
  name: 'PodTopologySpread',
  prepare: (pod, cluster) => {
    const constraints = constraintsOf(pod.object, 'DoNotSchedule')
    if (constraints.length === 0) return undefined
    const required = requiredAffinityOf(pod.object)
    return constraints.map((constraint) => {
      const totals = new Map<string, number>()
      for (const node of cluster.list) {
        const value = node.labels[constraint.topologyKey]
        // A node that lacks one of the labels takes part in none of the constraints.
        if (
          value !== undefined &&
          counts(constraint, node, pod, required) &&
          constraints.every(({ topologyKey }) => node.labels[topologyKey] !== undefined)
        )
          totals.set(value, 0)
      }
      countMatching(cluster, pod.info.namespace, constraint, totals, (node) => counts(constraint, node, pod, required))
      const fewest = totals.size < constraint.minDomains || totals.size === 0 ? 0 : Math.min(...totals.values())
      return { constraint, totals, fewest, self: matches(constraint.selector, pod.info.labels) ? 1 : 0 }
    })
  },
  filter: (counted, _, { labels }) => {
    for (const { constraint, totals, fewest, self } of counted) {
      const value = labels[constraint.topologyKey]
      if (value === undefined) return UNLABELLED
      if ((totals.get(value) ?? 0) + self - fewest > constraint.maxSkew) return SKEWED
    }
    return undefined
  }
}
