/** Preferred node affinity: the more weight of terms a node matches, the better. */
import { matchesTerm, type NodeSelectorTerm } from '../affinity.ts'
import type { Score } from '../plugin.ts'

interface Preferred {
  readonly weight: number
  readonly preference: NodeSelectorTerm
}

export const NodeAffinity: Score = {
  name: 'NodeAffinity',
  weight: 2,
  score: ({ object }, node) => {
    const preferred = object['spec'].affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution as readonly Preferred[] | undefined
    if (preferred === undefined || preferred.length === 0) return 0
    let all = 0
    let met = 0
    for (const { weight, preference } of preferred) {
      all += weight
      if (matchesTerm(preference, node.name, node.labels)) met += weight
    }
    return all === 0 ? 0 : (met * 100) / all
  }
}
