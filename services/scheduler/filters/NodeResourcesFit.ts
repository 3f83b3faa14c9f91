/** Keeps the sum of requests within what a node can allocate: CPU, memory, ephemeral storage, extended resources, pods. */
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'

interface Wanted {
  readonly names: readonly string[]
  readonly amounts: readonly number[]
  /** Refusals made so far, by what is missing. */
  readonly known: Map<string, Refusal>
}

const TOO_MANY = 'Too many pods'

/** In the order upstream looks: CPU, memory, ephemeral storage, then the others. */
const ORDER: Readonly<Record<string, number>> = { cpu: 0, memory: 1, 'ephemeral-storage': 2 }

const refusalFor = (known: Wanted['known'], reasons: readonly string[], unresolvable: boolean): Refusal => {
  const key = `${reasons.join('\n')}${unresolvable}`
  let refusal = known.get(key)
  if (refusal === undefined) known.set(key, (refusal = { reasons, unresolvable }))
  return refusal
}

export const NodeResourcesFit: Filter<Wanted> = {
  name: 'NodeResourcesFit',
  prepare: ({ info: { requests } }) => {
    const names = Object.keys(requests)
      .filter((name) => (requests[name] as number) > 0)
      .sort((a, b) => (ORDER[a] ?? 3) - (ORDER[b] ?? 3) || (a < b ? -1 : 1))
    return { names, amounts: names.map((name) => requests[name] as number), known: new Map() }
  },
  filter: ({ names, amounts, known }, _, { allocatable, requested, pods }) => {
    const full = allocatable['pods'] !== undefined && pods.size + 1 > allocatable['pods']
    let short = full
    for (let at = 0; !short && at < names.length; at++) {
      const name = names[at] as string
      short = (amounts[at] as number) > (allocatable[name] ?? 0) - (requested[name] ?? 0)
    }
    if (!short) return undefined
    const missing = names.filter((name, at) => (amounts[at] as number) > (allocatable[name] ?? 0) - (requested[name] ?? 0))
    const reasons = [...(full ? [TOO_MANY] : []), ...missing.map((name) => `Insufficient ${name}`)]
    // More than the whole node has: nobody's leaving would help.
    return refusalFor(
      known,
      reasons,
      names.some((name, at) => (amounts[at] as number) > (allocatable[name] ?? 0))
    )
  }
}
