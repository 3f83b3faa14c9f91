/** What a filter and a score are. One file per upstream plugin, under its name; every filter explains itself. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { NodeInfo, Resources, Taint } from '#projections/Cluster.ts'

export interface Toleration {
  readonly key?: string
  readonly operator?: string
  readonly value?: string
  readonly effect?: string
}

/** A pod taken apart once per scheduling attempt, so that the loop over nodes only compares. */
export interface PodToPlace {
  readonly object: KubeObject
  readonly requests: Resources
  readonly ports: readonly string[]
  readonly tolerations: readonly Toleration[]
  readonly owner: string | undefined
}

export interface Filter {
  readonly name: string
  /** Undefined: the node will do. Otherwise why not, in the words `kubectl describe pod` shows. */
  filter(pod: PodToPlace, node: NodeInfo): string | undefined
}

export interface Score {
  readonly name: string
  readonly weight: number
  /** 0 (worst) to 100. */
  score(pod: PodToPlace, node: NodeInfo): number
}

export const tolerates = (tolerations: readonly Toleration[], taint: Taint): boolean =>
  tolerations.some(
    ({ key, operator, value, effect }) =>
      ((effect ?? '') === '' || effect === taint.effect) && ((key ?? '') === '' ? operator === 'Exists' : key === taint.key) && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''))
  )
