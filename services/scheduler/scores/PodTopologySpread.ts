/** Default spreading: prefers nodes with few pods of the same owner. */
import type { Score } from '../plugin.ts'

export const PodTopologySpread: Score = {
  name: 'PodTopologySpread',
  weight: 2,
  score: ({ owner }, { pods }) => {
    if (owner === undefined) return 0
    let same = 0
    for (const pod of pods.values()) if (pod.owner === owner) same += 1
    return 100 / (1 + same)
  }
}
