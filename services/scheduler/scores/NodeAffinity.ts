/** Preferred node affinity: the more weight of terms a node matches, the better. */
import type { PreferredSchedulingTerm } from '#events/schema/generated/core.v1.ts'
import { matchesTerm } from '#services/scheduler/affinity.ts'
import { normalizeToHighest, type Score } from '#services/scheduler/plugin.ts'

export const NodeAffinity: Score<readonly PreferredSchedulingTerm[]> = {
  name: 'NodeAffinity',
  weight: 2,
  prepare: ({ object }) => {
    const preferred = object.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution
    return preferred === undefined || preferred.length === 0 ? undefined : preferred
  },
  score: (preferred, _, { name, labels }) => {
    let met = 0
    for (const { weight, preference } of preferred) if (matchesTerm(preference, name, labels)) met += weight
    return met
  },
  normalize: (_, scores) => normalizeToHighest(scores, false)
}
