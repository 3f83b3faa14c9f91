/** What a filter and a score are. One file per upstream plugin, under its name; every filter explains itself. */
import type { Pod, Toleration } from '#events/schema/generated/core.v1.ts'
import { podInfoOf, type Cluster, type NodeInfo, type PodInfo, type Taint } from '#projections/Cluster.ts'

export type { Toleration }

/** A pod taken apart once per scheduling attempt, so that the loop over nodes only compares. */
export interface PodToPlace {
  readonly object: Pod
  readonly info: PodInfo
  readonly tolerations: readonly Toleration[]
}

export const podToPlace = (id: string, object: Pod): PodToPlace => ({
  object,
  info: podInfoOf(id, object),
  tolerations: object.spec.tolerations ?? []
})

/** Why a node will not do, in the words `kubectl describe pod` shows. Kept as constants: the loop must not allocate. */
export interface Refusal {
  readonly reasons: readonly string[]
  /** Removing pods from the node would not change it. */
  readonly unresolvable: boolean
}

/** What holds while nothing about a pod's node changes: made once per attempt; undefined: nothing to say about this pod. */
export interface Filter<State = unknown> {
  readonly name: string
  prepare(pod: PodToPlace, cluster: Cluster): State | undefined
  /** Undefined: the node will do. */
  filter(state: State, pod: PodToPlace, node: NodeInfo): Refusal | undefined
}

export interface Score<State = unknown> {
  readonly name: string
  readonly weight: number
  /** `nodes`: those that passed the filters. */
  prepare(pod: PodToPlace, cluster: Cluster, nodes: readonly NodeInfo[]): State | undefined
  /** Any number with `normalize`, else 0 (worst) to 100. */
  score(state: State, pod: PodToPlace, node: NodeInfo): number
  /** Brings the scores, in the order of `nodes`, to 0…100 in place. */
  normalize?(state: State, scores: Float64Array): void
}

export const MAX_SCORE = 100

export const tolerates = (tolerations: readonly Toleration[], taint: Taint): boolean => {
  for (const { key = '', operator, value = '', effect = '' } of tolerations) {
    if (effect !== '' && effect !== taint.effect) continue
    if (key === '' ? operator === 'Exists' : key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''))) return true
  }
  return false
}

/** The highest becomes 100, the others in proportion; `reverse`: the highest becomes 0. */
export const normalizeToHighest = (scores: Float64Array, reverse: boolean): void => {
  let highest = 0
  for (const score of scores) if (score > highest) highest = score
  if (highest === 0) {
    if (reverse) scores.fill(MAX_SCORE)
    return
  }
  for (let at = 0; at < scores.length; at++) {
    const part = Math.floor(((scores[at] as number) * MAX_SCORE) / highest)
    scores[at] = reverse ? MAX_SCORE - part : part
  }
}
