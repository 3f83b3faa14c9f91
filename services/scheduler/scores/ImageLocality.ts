/** Prefers nodes that have the pod's images already. */
import type { Score } from '../plugin.ts'

export const ImageLocality: Score = {
  name: 'ImageLocality',
  weight: 1,
  score: ({ object }, { images }) => {
    if (images.size === 0) return 0
    const containers = object['spec'].containers as readonly { image?: string }[]
    return (containers.filter(({ image }) => image !== undefined && images.has(image)).length * 100) / Math.max(1, containers.length)
  }
}
