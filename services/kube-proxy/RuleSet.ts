/** Rules as data. Ids of chains are `<table> <name>`. */

export interface RuleSet {
  /** Chains whose rules have an order: replaced whole. */
  readonly chains: ReadonlyMap<string, readonly string[]>
  /** Chains whose rules exclude one another, so that their order means nothing: changed rule by rule. */
  readonly lists: ReadonlyMap<string, ReadonlySet<string>>
}

export const EMPTY: RuleSet = { chains: new Map(), lists: new Map() }

/** The union. A chain stands in one of the sets only; lists add up. */
export const union = (sets: Iterable<RuleSet>): RuleSet => {
  const chains = new Map<string, readonly string[]>()
  const lists = new Map<string, Set<string>>()
  for (const set of sets) {
    for (const [id, rules] of set.chains) chains.set(id, rules)
    for (const [id, rules] of set.lists) {
      let entries = lists.get(id)
      if (entries === undefined) lists.set(id, (entries = new Set()))
      for (const rule of rules) entries.add(rule)
    }
  }
  return { chains, lists }
}
