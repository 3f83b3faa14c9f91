/** A pod that names its node fits there and nowhere else. */
import type { Filter } from '../plugin.ts'

export const NodeName: Filter = {
  name: 'NodeName',
  filter: ({ object }, node) => {
    const wanted = object['spec'].nodeName as string | undefined
    return wanted === undefined || wanted === '' || wanted === node.name ? undefined : "node(s) didn't match the requested node name"
  }
}
