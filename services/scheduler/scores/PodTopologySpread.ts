/**
 * Prefers parts of the topology with few pods like this one: by the constraints that may be broken (ScheduleAnyway), or by
 * hostname and zone for the pods of one controller when a pod has no constraints at all.
 */
import type { NodeInfo } from '#projections/Cluster.ts'
import { requiredAffinityOf } from '#services/scheduler/affinity.ts'
import { MAX_SCORE, type Score } from '#services/scheduler/plugin.ts'
import { constraintsOf, countMatching, counts } from '#services/scheduler/spread.ts'

const HOSTNAME = 'kubernetes.io/hostname'
const ZONE = 'topology.kubernetes.io/zone'
const ALIKE = [
  { topologyKey: HOSTNAME, maxSkew: 3 },
  { topologyKey: ZONE, maxSkew: 5 }
] as const

interface Part {
  readonly topologyKey: string
  readonly maxSkew: number
  /** Grows with the number of parts, so that few zones do not drown many hosts. */
  readonly weight: number
  /** Matching pods by topology value; undefined: counted by the owner on the node itself. */
  readonly totals: ReadonlyMap<string, number> | undefined
}

interface State {
  readonly parts: readonly Part[]
  readonly owner: string | undefined
  /** Nodes that lack a constraint's label: last choice. */
  readonly ignored: ReadonlySet<NodeInfo>
  /** The nodes in the order they are scored. */
  readonly nodes: readonly NodeInfo[]
}

const weightOf = (parts: number): number => Math.log(parts + 2)

export const PodTopologySpread: Score<State> = {
  name: 'PodTopologySpread',
  weight: 2,
  prepare: (pod, cluster, nodes) => {
    const { owner, namespace } = pod.info
    const given = pod.object.spec.topologySpreadConstraints ?? []
    if (given.length === 0) {
      if (owner === undefined) return undefined
      const parts: Part[] = []
      for (const { topologyKey, maxSkew } of ALIKE) {
        if (topologyKey === HOSTNAME) {
          parts.push({ topologyKey, maxSkew, weight: weightOf(nodes.length), totals: undefined })
          continue
        }
        const totals = new Map<string, number>()
        for (const { labels } of nodes) if (labels[topologyKey] !== undefined) totals.set(labels[topologyKey], 0)
        if (totals.size === 0) continue
        for (const { labels, owners } of cluster.list) {
          const total = totals.get(labels[topologyKey] ?? '')
          if (total !== undefined) totals.set(labels[topologyKey] as string, total + (owners.get(owner) ?? 0))
        }
        parts.push({ topologyKey, maxSkew, weight: weightOf(totals.size), totals })
      }
      return { parts, owner, ignored: new Set(), nodes }
    }
    const constraints = constraintsOf(pod.object, 'ScheduleAnyway')
    if (constraints.length === 0) return undefined
    const required = requiredAffinityOf(pod.object)
    const ignored = new Set(nodes.filter(({ labels }) => constraints.some(({ topologyKey }) => labels[topologyKey] === undefined)))
    const parts = constraints.map((constraint): Part => {
      const totals = new Map<string, number>()
      for (const node of nodes) if (!ignored.has(node)) totals.set(node.labels[constraint.topologyKey] as string, 0)
      countMatching(cluster, namespace, constraint, totals, (node) => counts(constraint, node, pod, required))
      return { topologyKey: constraint.topologyKey, maxSkew: constraint.maxSkew, weight: weightOf(totals.size), totals }
    })
    return { parts, owner, ignored, nodes }
  },
  score: ({ parts, owner, ignored }, _, node) => {
    if (ignored.size > 0 && ignored.has(node)) return 0
    let sum = 0
    for (const { topologyKey, maxSkew, weight, totals } of parts) {
      const value = node.labels[topologyKey]
      const count =
        totals === undefined ? (node.owners.get(owner as string) ?? 0) : value === undefined ? undefined : (totals.get(value) ?? 0)
      if (count !== undefined) sum += count * weight + (maxSkew - 1)
    }
    return Math.round(sum)
  },
  normalize: ({ ignored, nodes }, scores) => {
    let least = Number.POSITIVE_INFINITY
    let most = 0
    for (let at = 0; at < scores.length; at++) {
      if (ignored.size > 0 && ignored.has(nodes[at] as NodeInfo)) continue
      const score = scores[at] as number
      if (score < least) least = score
      if (score > most) most = score
    }
    for (let at = 0; at < scores.length; at++)
      scores[at] =
        ignored.size > 0 && ignored.has(nodes[at] as NodeInfo)
          ? 0
          : most === 0
            ? MAX_SCORE
            : Math.floor((MAX_SCORE * (most + least - (scores[at] as number))) / most)
  }
}
