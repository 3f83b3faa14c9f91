/** Rule sets as texts for iptables-restore --noflush: the whole of ours, or only what differs between two of them. */
import type { Jump } from '#services/platform/iptables/RuleKeeper.ts'
import type { RuleSet } from './RuleSet.ts'

const TABLES = ['nat', 'filter'] as const

interface Section {
  /** `:chain - [0:0]`: makes the chain, or empties it. */
  readonly declare: string[]
  readonly remove: string[]
  readonly add: string[]
  /** Empties and removes chains, when nothing jumps to them any more. */
  readonly drop: string[]
}

const section = (): Section => ({ declare: [], remove: [], add: [], drop: [] })

const assemble = (sections: Readonly<Record<string, Section>>): string =>
  TABLES.map((table) => {
    const { declare, remove, add, drop } = sections[table] as Section
    const lines = [...declare, ...remove, ...add, ...drop]
    return lines.length === 0 ? '' : `*${table}\n${lines.join('\n')}\nCOMMIT\n`
  }).join('')

const split = (id: string): [table: string, name: string] => {
  const at = id.indexOf(' ')
  return [id.slice(0, at), id.slice(at + 1)]
}

const sameRules = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((rule, index) => rule === b[index])

/**
 * Everything of ours, written anew. `present`: our chains in the kernel now, as `<table> <name>`; those no longer
 * wanted are removed. `missing`: the jumps to put in front of the built-in chains.
 */
export const renderAll = (rules: RuleSet, present: Iterable<string>, missing: readonly Jump[]): string => {
  const sections: Record<string, Section> = { nat: section(), filter: section() }
  for (const [id, lines] of [...rules.chains, ...rules.lists]) {
    const [table, name] = split(id)
    const target = sections[table] as Section
    target.declare.push(`:${name} - [0:0]`)
    for (const rule of lines) target.add.push(`-A ${name} ${rule}`)
  }
  for (const id of present) {
    if (rules.chains.has(id) || rules.lists.has(id)) continue
    const [table, name] = split(id)
    const target = sections[table] as Section
    target.declare.push(`:${name} - [0:0]`)
    target.drop.push(`-X ${name}`)
  }
  // Inserted at the front one after another: the last one written stands first.
  for (const { table, chain, rule } of missing.toReversed()) (sections[table] as Section).add.push(`-I ${chain} ${rule}`)
  return assemble(sections)
}

/** What turns `before` into `after`; '' when they are equal. Touches no chain that stays as it is. */
export const renderDelta = (before: RuleSet, after: RuleSet): string => {
  const sections: Record<string, Section> = { nat: section(), filter: section() }
  for (const [id, rules] of after.chains) {
    const old = before.chains.get(id)
    if (old !== undefined && sameRules(old, rules)) continue
    const [table, name] = split(id)
    const target = sections[table] as Section
    target.declare.push(`:${name} - [0:0]`)
    for (const rule of rules) target.add.push(`-A ${name} ${rule}`)
  }
  for (const id of before.chains.keys()) {
    if (after.chains.has(id)) continue
    const [table, name] = split(id)
    const target = sections[table] as Section
    target.declare.push(`:${name} - [0:0]`)
    target.drop.push(`-X ${name}`)
  }
  for (const id of new Set([...before.lists.keys(), ...after.lists.keys()])) {
    const [table, name] = split(id)
    const target = sections[table] as Section
    const old = before.lists.get(id)
    const now = after.lists.get(id)
    for (const rule of old ?? []) if (!now?.has(rule)) target.remove.push(`-D ${name} ${rule}`)
    for (const rule of now ?? []) if (!old?.has(rule)) target.add.push(`-A ${name} ${rule}`)
  }
  return assemble(sections)
}
