/** A pod's wishes about other pods, parsed once: inter-pod affinity and anti-affinity terms, and what they match. */
import type { Pod, PodAffinityTerm, PodAffinity as Wishes } from '#events/schema/generated/core.v1.ts'
import { EVERYTHING, matches, selectorOf, type Labels, type Selector } from '#events/meta/LabelSelector.ts'

export interface AffinityTerm {
  readonly topologyKey: string
  readonly selector: Selector
  readonly namespaces: ReadonlySet<string>
  /** Namespaces by their labels, besides those named. */
  readonly namespaceSelector: Selector | undefined
}

export interface WeightedTerm extends AffinityTerm {
  /** 1 to 100. */
  readonly weight: number
}

export interface PodAffinity {
  readonly required: readonly AffinityTerm[]
  readonly requiredAnti: readonly AffinityTerm[]
  readonly preferred: readonly WeightedTerm[]
  readonly preferredAnti: readonly WeightedTerm[]
}

/** `matchLabelKeys` stand for the pod's own values of those labels. */
export const withLabelKeys = (
  selector: Selector,
  labels: Labels,
  same: readonly string[] = [],
  other: readonly string[] = []
): Selector => {
  if (same.length === 0 && other.length === 0) return selector
  const known = (key: string): boolean => labels[key] !== undefined
  return [
    ...selector,
    ...same.filter(known).map((key) => ({ key, operator: 'in' as const, values: [labels[key] as string] })),
    ...other.filter(known).map((key) => ({ key, operator: 'notin' as const, values: [labels[key] as string] }))
  ]
}

/** Undefined for the many pods that have no such wishes. */
export const affinityOf = (pod: Pod): PodAffinity | undefined => {
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {}
  if (podAffinity === undefined && podAntiAffinity === undefined) return undefined
  const labels = pod.metadata.labels ?? {}
  const termOf = (raw: PodAffinityTerm): AffinityTerm => ({
    topologyKey: raw.topologyKey,
    selector: withLabelKeys(selectorOf(raw.labelSelector), labels, raw.matchLabelKeys, raw.mismatchLabelKeys),
    // Neither named nor selected: the pod's own.
    namespaces: new Set(
      (raw.namespaces?.length ?? 0) > 0 || raw.namespaceSelector !== undefined ? raw.namespaces : [pod.metadata.namespace ?? '']
    ),
    namespaceSelector: raw.namespaceSelector === undefined ? undefined : selectorOf(raw.namespaceSelector)
  })
  const required = (affinity: Wishes | undefined): AffinityTerm[] =>
    (affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(termOf)
  const preferred = (affinity: Wishes | undefined): WeightedTerm[] =>
    (affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({
      ...termOf(podAffinityTerm),
      weight
    }))
  const parsed = {
    required: required(podAffinity),
    requiredAnti: required(podAntiAffinity),
    preferred: preferred(podAffinity),
    preferredAnti: preferred(podAntiAffinity)
  }
  return Object.values(parsed).every((terms) => terms.length === 0) ? undefined : parsed
}

/** Does the term mean a pod of that namespace with those labels? */
export const termMatches = (
  term: AffinityTerm,
  namespace: string,
  labels: Labels,
  namespaceLabels: (namespace: string) => Labels
): boolean => {
  const { namespaces, namespaceSelector, selector } = term
  if (
    !namespaces.has(namespace) &&
    (namespaceSelector === undefined || (namespaceSelector !== EVERYTHING && !matches(namespaceSelector, namespaceLabels(namespace))))
  )
    return false
  return matches(selector, labels)
}
