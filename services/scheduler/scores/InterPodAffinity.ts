/** Preferred affinity and anti-affinity between pods, in both directions: what this pod likes, and who likes it. */
import type { PodInfo } from '#projections/Cluster.ts'
import { termMatches, type AffinityTerm } from '#projections/PodAffinity.ts'
import { MAX_SCORE, type Score } from '#services/scheduler/plugin.ts'

/** Topology key → value → points. */
type Points = Map<string, Map<string, number>>

/** What being near a pod that requires this one's like is worth (upstream's hardPodAffinityWeight). */
const REQUIRED_WEIGHT = 1

export const InterPodAffinity: Score<Points> = {
  name: 'InterPodAffinity',
  weight: 2,
  prepare: ({ info }, cluster) => {
    const own = info.affinity
    const likes = own !== undefined && own.preferred.length + own.preferredAnti.length > 0
    if (!likes && cluster.affine.size === 0) return undefined
    const points: Points = new Map()
    const note = (term: AffinityTerm, meant: PodInfo, at: PodInfo, weight: number): void => {
      if (!termMatches(term, meant.namespace, meant.labels, cluster.namespaceLabels)) return
      const value = cluster.nodeOf(at.id)?.labels[term.topologyKey]
      if (value === undefined) return
      let values = points.get(term.topologyKey)
      if (values === undefined) points.set(term.topologyKey, (values = new Map()))
      values.set(value, (values.get(value) ?? 0) + weight)
    }
    if (likes)
      for (const pod of cluster.pods()) {
        for (const term of own.preferred) note(term, pod, pod, term.weight)
        for (const term of own.preferredAnti) note(term, pod, pod, -term.weight)
      }
    for (const pod of cluster.affine.values()) {
      if (pod.affinity === undefined) continue
      for (const term of pod.affinity.required) note(term, info, pod, REQUIRED_WEIGHT)
      for (const term of pod.affinity.preferred) note(term, info, pod, term.weight)
      for (const term of pod.affinity.preferredAnti) note(term, info, pod, -term.weight)
    }
    return points.size === 0 ? undefined : points
  },
  score: (points, _, { labels }) => {
    let sum = 0
    for (const [key, values] of points) {
      const value = labels[key]
      if (value !== undefined) sum += values.get(value) ?? 0
    }
    return sum
  },
  normalize: (_, scores) => {
    let least = Number.POSITIVE_INFINITY
    let most = Number.NEGATIVE_INFINITY
    for (const score of scores) {
      if (score < least) least = score
      if (score > most) most = score
    }
    for (let at = 0; at < scores.length; at++)
      scores[at] = most === least ? 0 : Math.floor((MAX_SCORE * ((scores[at] as number) - least)) / (most - least))
  }
}
