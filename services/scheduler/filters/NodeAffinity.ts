/** nodeSelector and required node affinity. */
import { requiredAffinityOf, matchesRequired, type RequiredAffinity } from '#services/scheduler/affinity.ts'
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'

const MISMATCH: Refusal = { reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true }

export const NodeAffinity: Filter<RequiredAffinity> = {
  name: 'NodeAffinity',
  prepare: ({ object }) => requiredAffinityOf(object),
  filter: (required, _, { name, labels }) => (matchesRequired(required, name, labels) ? undefined : MISMATCH)
}
