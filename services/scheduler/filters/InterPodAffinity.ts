/** Required affinity and anti-affinity between pods: the pod's own wishes, and those of pods already placed. */
import { termMatches, type AffinityTerm } from '#projections/PodAffinity.ts'
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'

/** Values of a topology key where the term finds a pod. */
interface Found {
  readonly key: string
  readonly values: Set<string>
}

interface State {
  readonly wanted: readonly Found[]
  /** No pod at all is meant by the affinity terms, and the pod means itself: it may be the first. */
  readonly first: boolean
  readonly unwanted: readonly Found[]
  /** Where pods that want nothing to do with this one are. */
  readonly unwelcome: readonly Found[]
}

const AFFINITY: Refusal = { reasons: ["node(s) didn't match pod affinity rules"], unresolvable: true }
const ANTI_AFFINITY: Refusal = { reasons: ["node(s) didn't match pod anti-affinity rules"], unresolvable: false }
const EXISTING: Refusal = { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"], unresolvable: false }

const NONE: readonly AffinityTerm[] = []

export const InterPodAffinity: Filter<State> = {
  name: 'InterPodAffinity',
  prepare: ({ info }, cluster) => {
    const { required = NONE, requiredAnti = NONE } = info.affinity ?? {}
    if (required.length === 0 && requiredAnti.length === 0 && cluster.antiAffine.size === 0) return undefined
    const emptyFor = (terms: readonly AffinityTerm[]): Found[] => terms.map(({ topologyKey }) => ({ key: topologyKey, values: new Set() }))
    const wanted = emptyFor(required)
    const unwanted = emptyFor(requiredAnti)
    const unwelcome = new Map<string, Found>()
    const hits = (term: AffinityTerm, pod: typeof info): boolean => termMatches(term, pod.namespace, pod.labels, cluster.namespaceLabels)
    const note = (found: Found, labels: Readonly<Record<string, string>> | undefined): void => {
      const value = labels?.[found.key]
      if (value !== undefined) found.values.add(value)
    }
    if (required.length > 0 || requiredAnti.length > 0)
      for (const pod of cluster.pods()) {
        // A pod counts for affinity when it is meant by all of the terms.
        const all = required.length > 0 && required.every((term) => hits(term, pod))
        const labels = cluster.nodeOf(pod.id)?.labels
        if (all) for (const found of wanted) note(found, labels)
        requiredAnti.forEach((term, at) => hits(term, pod) && note(unwanted[at] as Found, labels))
      }
    for (const pod of cluster.antiAffine.values())
      for (const term of pod.affinity?.requiredAnti ?? NONE) {
        if (!hits(term, info)) continue
        let found = unwelcome.get(term.topologyKey)
        if (found === undefined) unwelcome.set(term.topologyKey, (found = { key: term.topologyKey, values: new Set() }))
        note(found, cluster.nodeOf(pod.id)?.labels)
      }
    const first = required.length > 0 && wanted.every(({ values }) => values.size === 0) && required.every((term) => hits(term, info))
    return { wanted, first, unwanted, unwelcome: [...unwelcome.values()] }
  },
  filter: ({ wanted, first, unwanted, unwelcome }, _, { labels }) => {
    for (const { key, values } of wanted) {
      const value = labels[key]
      if (value === undefined || (!first && !values.has(value))) return AFFINITY
    }
    for (const { key, values } of unwanted) if (labels[key] !== undefined && values.has(labels[key])) return ANTI_AFFINITY
    for (const { key, values } of unwelcome) if (labels[key] !== undefined && values.has(labels[key])) return EXISTING
    return undefined
  }
}
