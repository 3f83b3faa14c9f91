/** Prefers nodes that have the pod's images already: large ones, and those that are spread, count more. */
import { imageName, type Cluster } from '#projections/Cluster.ts'
import { MAX_SCORE, type Score } from '#services/scheduler/plugin.ts'

interface Images {
  readonly names: readonly string[]
  readonly cluster: Cluster
}

const MB = 1024 * 1024
const LEAST = 23 * MB
const MOST_PER_CONTAINER = 1000 * MB

export const ImageLocality: Score<Images> = {
  name: 'ImageLocality',
  weight: 1,
  prepare: ({ object }, cluster) => {
    const containers = [...(object.spec.initContainers ?? []), ...(object.spec.containers ?? [])]
    const names = containers.map(({ image = '' }) => imageName(image))
    return names.some((name) => cluster.imageNodes.has(name)) ? { names, cluster } : undefined
  },
  score: ({ names, cluster }, _, { images }) => {
    let sum = 0
    for (const name of names) {
      const size = images.get(name)
      // A node that alone has an image must not draw every pod of it.
      if (size !== undefined) sum += Math.floor((size * (cluster.imageNodes.get(name) ?? 0)) / cluster.list.length)
    }
    const most = MOST_PER_CONTAINER * names.length
    return Math.floor((MAX_SCORE * (Math.min(Math.max(sum, LEAST), most) - LEAST)) / (most - LEAST))
  }
}
