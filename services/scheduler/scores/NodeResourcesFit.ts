/** LeastAllocated: prefers nodes with much left. */
import type { Score } from '../plugin.ts'

const DEFAULT_REQUEST: Readonly<Record<string, number>> = { cpu: 100, memory: 200 * 1024 * 1024 }

export const NodeResourcesFit: Score = {
  name: 'NodeResourcesFit',
  weight: 1,
  score: ({ requests }, { allocatable, requested }) => {
    let sum = 0
    for (const resource of ['cpu', 'memory'] as const) {
      const capacity = allocatable[resource] ?? 0
      // Pods that ask for nothing still use something: counted as upstream counts them.
      const used = (requested[resource] ?? 0) + (requests[resource] ?? (DEFAULT_REQUEST[resource] as number))
      sum += capacity === 0 || used > capacity ? 0 : ((capacity - used) * 100) / capacity
    }
    return sum / 2
  }
}
