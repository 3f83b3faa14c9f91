/** Prefers nodes on which CPU and memory would be used to a like degree. */
import type { Score } from '../plugin.ts'

export const NodeResourcesBalancedAllocation: Score = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  score: ({ requests }, { allocatable, requested }) => {
    const part = (resource: string): number => {
      const capacity = allocatable[resource] ?? 0
      return capacity === 0 ? 1 : Math.min(1, ((requested[resource] ?? 0) + (requests[resource] ?? 0)) / capacity)
    }
    return (1 - Math.abs(part('cpu') - part('memory')) / 2) * 100
  }
}
