/** A pod that names its node fits there and nowhere else. */
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'

const OTHER: Refusal = { reasons: ["node(s) didn't match the requested node name"], unresolvable: true }

export const NodeName: Filter<string> = {
  name: 'NodeName',
  prepare: ({ object }) => object.spec.nodeName || undefined,
  filter: (wanted, _, { name }) => (wanted === name ? undefined : OTHER)
}
