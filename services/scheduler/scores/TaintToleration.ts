/** Prefers nodes with few PreferNoSchedule taints the pod does not tolerate. */
import { normalizeToHighest, tolerates, type Score } from '#services/scheduler/plugin.ts'

export const TaintToleration: Score<true> = {
  name: 'TaintToleration',
  weight: 3,
  // Where no node discourages anybody, all are alike.
  prepare: (_, __, nodes) => (nodes.some(({ taints }) => taints.some(({ effect }) => effect === 'PreferNoSchedule')) ? true : undefined),
  score: (_, { tolerations }, { taints }) => {
    let bothering = 0
    for (const taint of taints) if (taint.effect === 'PreferNoSchedule' && !tolerates(tolerations, taint)) bothering += 1
    return bothering
  },
  normalize: (_, scores) => normalizeToHighest(scores, true)
}
