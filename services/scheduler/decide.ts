/** Where a pod goes: filter, score, choose; and why, either way. A plain function of the cluster as folded. */
import type { Reasons } from '#events/Event.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import type { Cluster, NodeInfo } from '#projections/Cluster.ts'
import { fitError } from './explain.ts'
import { InterPodAffinity } from './filters/InterPodAffinity.ts'
import { NodeAffinity } from './filters/NodeAffinity.ts'
import { NodeName } from './filters/NodeName.ts'
import { NodePorts } from './filters/NodePorts.ts'
import { NodeResourcesFit } from './filters/NodeResourcesFit.ts'
import { NodeUnschedulable } from './filters/NodeUnschedulable.ts'
import { PodTopologySpread } from './filters/PodTopologySpread.ts'
import { TaintToleration } from './filters/TaintToleration.ts'
import { podToPlace, type Filter, type PodToPlace, type Refusal, type Score } from './plugin.ts'
import { ImageLocality } from './scores/ImageLocality.ts'
import { InterPodAffinity as PreferredPods } from './scores/InterPodAffinity.ts'
import { NodeAffinity as PreferredNodes } from './scores/NodeAffinity.ts'
import { NodeResourcesBalancedAllocation } from './scores/NodeResourcesBalancedAllocation.ts'
import { NodeResourcesFit as LeastAllocated } from './scores/NodeResourcesFit.ts'
import { PodTopologySpread as PreferredSpread } from './scores/PodTopologySpread.ts'
import { TaintToleration as PreferredTaints } from './scores/TaintToleration.ts'

/** In upstream's order: the first that refuses a node is the one that is named. */
const FILTERS: readonly Filter[] = [
  NodeUnschedulable,
  NodeName,
  TaintToleration,
  NodeAffinity,
  NodePorts,
  NodeResourcesFit,
  PodTopologySpread,
  InterPodAffinity
]
const SCORES: readonly Score[] = [
  PreferredTaints,
  PreferredNodes,
  LeastAllocated,
  PreferredSpread,
  PreferredPods,
  NodeResourcesBalancedAllocation,
  ImageLocality
]

export type Placement = {
  /** Nodes looked at: where the next attempt begins. */
  readonly examined: number
  readonly reasons: Reasons
} & ({ readonly node: string; readonly pod: PodToPlace['info'] } | { readonly node: undefined; readonly message: string })

export interface Options {
  /** Where in the circle of nodes to begin, so that not always the same ones are looked at. */
  readonly start: number
  /** In [0, 1): breaks ties. */
  readonly random: number
}

/** Scores of how many of the best nodes are recorded with a decision. */
const RECORDED = 3
const FEWEST = 100

/** How many feasible nodes are enough to choose from (upstream's numFeasibleNodesToFind). */
export const enough = (nodes: number): number =>
  nodes < FEWEST ? nodes : Math.max(FEWEST, Math.floor((nodes * Math.max(5, 50 - Math.floor(nodes / 125))) / 100))

/** `id`: the pod's `namespace/name`. */
export const schedule = (cluster: Cluster, id: string, object: Pod, { start, random }: Options): Placement => {
  const nodes = cluster.list
  if (nodes.length === 0) return { node: undefined, message: 'no nodes available to schedule pods', examined: 0, reasons: { nodes: 0 } }
  const pod = podToPlace(id, object)
  const { feasible, refusals, examined } = filter(cluster, pod, start)
  const filtered = countReasons(refusals)
  const base = {
    nodes: nodes.length,
    examined,
    feasible: feasible.length,
    ...(filtered.size === 0 ? {} : { filtered: Object.fromEntries(filtered) })
  }
  if (feasible.length === 0)
    return { node: undefined, message: fitError(nodes.length, refusals, filtered, object), examined, reasons: base }
  const totals = score(cluster, pod, feasible)
  const chosen = choose(totals, random)
  const node = (feasible[chosen] as NodeInfo).name
  return {
    node,
    pod: pod.info,
    examined,
    reasons: { node, ...base, score: totals[chosen], ...(feasible.length === 1 ? {} : { scores: bestOf(feasible, totals) }) }
  }
}

interface Filtered {
  readonly feasible: NodeInfo[]
  /** How many nodes each refusal met. */
  readonly refusals: ReadonlyMap<Refusal, number>
  readonly examined: number
}

const filter = (cluster: Cluster, pod: PodToPlace, start: number): Filtered => {
  const nodes = cluster.list
  const filters: Filter[] = []
  const states: unknown[] = []
  for (const candidate of FILTERS) {
    const state = candidate.prepare(pod, cluster)
    if (state === undefined) continue
    filters.push(candidate)
    states.push(state)
  }
  const feasible: NodeInfo[] = []
  const refusals = new Map<Refusal, number>()
  const wanted = enough(nodes.length)
  let examined = 0
  for (; examined < nodes.length && feasible.length < wanted; examined++) {
    const node = nodes[(start + examined) % nodes.length] as NodeInfo
    let refusal: Refusal | undefined
    for (let at = 0; at < filters.length && refusal === undefined; at++) refusal = (filters[at] as Filter).filter(states[at], pod, node)
    if (refusal === undefined) feasible.push(node)
    else refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1)
  }
  return { feasible, refusals, examined }
}

const countReasons = (refusals: ReadonlyMap<Refusal, number>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const [{ reasons }, nodes] of refusals) for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + nodes)
  return counts
}

const score = (cluster: Cluster, pod: PodToPlace, nodes: readonly NodeInfo[]): Float64Array => {
  const totals = new Float64Array(nodes.length)
  if (nodes.length === 1) return totals
  const scores = new Float64Array(nodes.length)
  for (const plugin of SCORES) {
    const state = plugin.prepare(pod, cluster, nodes)
    if (state === undefined) continue
    for (let at = 0; at < nodes.length; at++) scores[at] = plugin.score(state, pod, nodes[at] as NodeInfo)
    plugin.normalize?.(state, scores)
    for (let at = 0; at < nodes.length; at++) totals[at] = (totals[at] as number) + plugin.weight * (scores[at] as number)
  }
  return totals
}

/** The place of the highest total; of several, the one `random` points at. */
const choose = (totals: Float64Array, random: number): number => {
  let highest = Number.NEGATIVE_INFINITY
  let ties = 0
  for (const total of totals) {
    if (total > highest) {
      highest = total
      ties = 1
    } else if (total === highest) ties += 1
  }
  let skip = Math.floor(random * ties)
  for (let at = 0; at < totals.length; at++) if (totals[at] === highest && skip-- === 0) return at
  return 0
}

const bestOf = (nodes: readonly NodeInfo[], totals: Float64Array): Record<string, number> => {
  const best: number[] = []
  for (let at = 0; at < totals.length; at++) {
    if (best.length === RECORDED && (totals[at] as number) <= (totals[best[RECORDED - 1] as number] as number)) continue
    best.push(at)
    best.sort((a, b) => (totals[b] as number) - (totals[a] as number))
    if (best.length > RECORDED) best.pop()
  }
  return Object.fromEntries(best.map((at) => [(nodes[at] as NodeInfo).name, totals[at] as number]))
}
