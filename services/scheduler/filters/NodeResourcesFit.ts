/** Keeps the sum of requests within what a node can allocate. */
import type { Filter } from '../plugin.ts'

export const NodeResourcesFit: Filter = {
  name: 'NodeResourcesFit',
  filter: ({ requests }, { allocatable, requested, pods }) => {
    if (allocatable['pods'] !== undefined && pods.size + 1 > allocatable['pods']) return 'Too many pods'
    for (const resource in requests) {
      const wanted = requests[resource] as number
      if (wanted > 0 && wanted > (allocatable[resource] ?? 0) - (requested[resource] ?? 0)) return `Insufficient ${resource}`
    }
    return undefined
  }
}
