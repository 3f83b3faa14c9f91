/** LeastAllocated: prefers nodes with much left. */
import { MAX_SCORE, type Score } from '#services/scheduler/plugin.ts'

const left = (capacity: number, used: number): number => (used > capacity ? 0 : Math.floor(((capacity - used) * MAX_SCORE) / capacity))

export const NodeResourcesFit: Score<true> = {
  name: 'NodeResourcesFit',
  weight: 1,
  prepare: () => true,
  score: (_, { info }, { allocatable, usual }) => {
    const cpu = allocatable['cpu'] ?? 0
    const memory = allocatable['memory'] ?? 0
    // Pods that ask for nothing still use something: counted as upstream counts them.
    let sum = 0
    let resources = 0
    if (cpu > 0) {
      sum += left(cpu, usual.cpu + info.usual.cpu)
      resources += 1
    }
    if (memory > 0) {
      sum += left(memory, usual.memory + info.usual.memory)
      resources += 1
    }
    return resources === 0 ? 0 : Math.floor(sum / resources)
  }
}
