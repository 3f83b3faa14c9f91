/** Keeps pods off nodes with a taint they do not tolerate. */
import type { Taint } from '#projections/Cluster.ts'
import { tolerates, type Filter, type Refusal } from '#services/scheduler/plugin.ts'

/** One per taint: nodes of a sort share their taints. */
type Refusals = Map<string, Refusal>

const refusalFor = (known: Refusals, { key, value = '' }: Taint): Refusal => {
  const text = `node(s) had untolerated taint {${key}: ${value}}`
  let refusal = known.get(text)
  if (refusal === undefined) known.set(text, (refusal = { reasons: [text], unresolvable: true }))
  return refusal
}

export const TaintToleration: Filter<Refusals> = {
  name: 'TaintToleration',
  prepare: () => new Map(),
  filter: (known, { tolerations }, { taints }) => {
    for (const taint of taints) if (taint.effect !== 'PreferNoSchedule' && !tolerates(tolerations, taint)) return refusalFor(known, taint)
    return undefined
  }
}
