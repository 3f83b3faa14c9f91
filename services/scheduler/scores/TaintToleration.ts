/** Prefers nodes with few PreferNoSchedule taints the pod does not tolerate. */
import { tolerates, type Score } from '../plugin.ts'

export const TaintToleration: Score = {
  name: 'TaintToleration',
  weight: 3,
  score: ({ tolerations }, { taints }) => {
    const bothering = taints.filter((taint) => taint.effect === 'PreferNoSchedule' && !tolerates(tolerations, taint)).length
    return 100 / (1 + bothering)
  }
}
