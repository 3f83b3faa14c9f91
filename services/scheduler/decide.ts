/** Where a pod goes: filter, score, choose; and why, either way. A plain function of the cluster as folded. */
import type { Reasons } from '#events/Event.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { hostPortsOf, requestsOf, type Cluster, type NodeInfo } from '#projections/Cluster.ts'
import { NodeAffinity } from './filters/NodeAffinity.ts'
import { NodeName } from './filters/NodeName.ts'
import { NodePorts } from './filters/NodePorts.ts'
import { NodeResourcesFit } from './filters/NodeResourcesFit.ts'
import { NodeUnschedulable } from './filters/NodeUnschedulable.ts'
import { TaintToleration } from './filters/TaintToleration.ts'
import type { Filter, PodToPlace, Score, Toleration } from './plugin.ts'
import { ImageLocality } from './scores/ImageLocality.ts'
import { NodeAffinity as PreferredAffinity } from './scores/NodeAffinity.ts'
import { NodeResourcesBalancedAllocation } from './scores/NodeResourcesBalancedAllocation.ts'
import { NodeResourcesFit as LeastAllocated } from './scores/NodeResourcesFit.ts'
import { PodTopologySpread } from './scores/PodTopologySpread.ts'
import { TaintToleration as PreferredTaints } from './scores/TaintToleration.ts'

/** In upstream's order: the cheap ones, and those that settle it, first. */
export const FILTERS: readonly Filter[] = [NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit]
export const SCORES: readonly Score[] = [LeastAllocated, NodeResourcesBalancedAllocation, PodTopologySpread, PreferredTaints, PreferredAffinity, ImageLocality]

export type Placement =
  | { readonly node: string; readonly reasons: Reasons }
  | { readonly node: undefined; readonly message: string; readonly reasons: Reasons }

export interface Options {
  /** Where in the circle of nodes to begin, so that not always the same ones are looked at. */
  readonly start: number
  /** In [0, 1): breaks ties. */
  readonly random: number
}

/** Scores of how many of the best nodes are recorded with a decision. */
const RECORDED = 5
const FEWEST = 100

/** How many feasible nodes are enough to choose from (upstream's numFeasibleNodesToFind). */
export const enough = (nodes: number): number => (nodes < FEWEST ? nodes : Math.max(FEWEST, Math.floor((nodes * Math.max(5, 50 - nodes / 125)) / 100)))

export const schedule = (cluster: Cluster, object: KubeObject, { start, random }: Options): Placement => {
  const pod: PodToPlace = {
    object,
    requests: requestsOf(object),
    ports: hostPortsOf(object),
    tolerations: (object['spec'].tolerations ?? []) as readonly Toleration[],
    owner: object.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid
  }
  const { names } = cluster
  if (names.length === 0) return { node: undefined, message: 'no nodes available to schedule pods', reasons: { nodes: 0 } }
  const refusals = new Map<string, number>()
  const feasible: NodeInfo[] = []
  const wanted = enough(names.length)
  for (let step = 0; step < names.length && feasible.length < wanted; step++) {
    const node = cluster.nodes.get(names[(start + step) % names.length] as string) as NodeInfo
    const why = refusal(pod, node)
    if (why === undefined) feasible.push(node)
    else refusals.set(why, (refusals.get(why) ?? 0) + 1)
  }
  const filtered = Object.fromEntries(refusals)
  if (feasible.length === 0) return { node: undefined, message: explain(names.length, refusals), reasons: { nodes: names.length, filtered } }
  let best: NodeInfo[] = []
  let highest = Number.NEGATIVE_INFINITY
  const totals: [string, number][] = []
  for (const node of feasible) {
    let total = 0
    for (const score of SCORES) total += score.weight * score.score(pod, node)
    if (feasible.length <= RECORDED) totals.push([node.name, Math.round(total)])
    if (total > highest) {
      highest = total
      best = [node]
    } else if (total === highest) best.push(node)
  }
  const chosen = best[Math.floor(random * best.length)] as NodeInfo
  return { node: chosen.name, reasons: { node: chosen.name, nodes: names.length, feasible: feasible.length, filtered, score: Math.round(highest), ...(totals.length > 1 ? { scores: Object.fromEntries(totals) } : {}) } }
}

const refusal = (pod: PodToPlace, node: NodeInfo): string | undefined => {
  for (const filter of FILTERS) {
    const why = filter.filter(pod, node)
    if (why !== undefined) return why
  }
  return undefined
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
const explain = (nodes: number, refusals: ReadonlyMap<string, number>): string => {
  const reasons = [...refusals].map(([why, count]) => `${count} ${why}`).toSorted()
  return `0/${nodes} nodes are available: ${reasons.join(', ')}. preemption: 0/${nodes} nodes are available: ${nodes} Preemption is not helpful for scheduling.`
}
