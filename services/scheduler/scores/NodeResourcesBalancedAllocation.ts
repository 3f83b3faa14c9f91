/** Prefers nodes on which CPU and memory would be used to a like degree. */
import { MAX_SCORE, type Score } from '#services/scheduler/plugin.ts'

interface Wanted {
  readonly cpu: number
  readonly memory: number
}

export const NodeResourcesBalancedAllocation: Score<Wanted> = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  // A pod that asks for nothing changes no balance.
  prepare: ({ info: { requests } }) => {
    const { cpu = 0, memory = 0 } = requests
    return cpu === 0 && memory === 0 ? undefined : { cpu, memory }
  },
  score: (wanted, _, { allocatable, requested }) => {
    const cpu = allocatable['cpu'] ?? 0
    const memory = allocatable['memory'] ?? 0
    if (cpu === 0 || memory === 0) return MAX_SCORE
    const a = Math.min(1, ((requested['cpu'] ?? 0) + wanted.cpu) / cpu)
    const b = Math.min(1, ((requested['memory'] ?? 0) + wanted.memory) / memory)
    // The standard deviation of two numbers is half their distance.
    return Math.floor((1 - Math.abs(a - b) / 2) * MAX_SCORE)
  }
}
