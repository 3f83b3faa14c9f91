/** The packet filter in memory: understands the texts reckon writes, refuses what the real tools would refuse. */
import type { Subscription } from '#events/Log.ts'
import type { Iptables, Table } from '#services/platform/Iptables.ts'
import { IptablesFailed } from './IptablesFailed.ts'
import { targetOf } from './text.ts'

const BUILT_IN: Readonly<Record<Table, readonly string[]>> = {
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT']
}

type Chains = Map<string, string[]>

const freshTables = (): Record<Table, Chains> => ({
  nat: new Map(BUILT_IN.nat.map((name) => [name, []])),
  filter: new Map(BUILT_IN.filter.map((name) => [name, []]))
})

/** Targets that are no chains. */
const VERDICTS = new Set(['ACCEPT', 'DROP', 'RETURN', 'REJECT', 'MARK', 'MASQUERADE', 'DNAT', 'SNAT'])

export class MemoryIptables implements Iptables {
  #tables = freshTables()
  readonly #watchers = new Set<{ readonly prefix: string; readonly onTouched: () => void }>()
  /** Every text that was applied, in order. */
  readonly texts: string[] = []
  /** When set, the next restore fails with this message, applying nothing. */
  failNext: string | undefined

  async restore(text: string): Promise<void> {
    if (this.failNext !== undefined) {
      const message = this.failNext
      this.failNext = undefined
      throw new IptablesFailed(message)
    }
    let table: Table | undefined
    let chains: Chains = new Map()
    for (const [index, line] of text.split('\n').entries()) {
      const refuse = (why: string): never => {
        throw new IptablesFailed(`line ${index + 1} failed: ${why}: ${line}`)
      }
      if (line === '' || line.startsWith('#')) continue
      if (line.startsWith('*')) {
        table = line.slice(1) as Table
        if (!(table in this.#tables)) refuse('no such table')
        chains = new Map([...this.#tables[table]].map(([name, rules]) => [name, [...rules]]))
      } else if (table === undefined) refuse('no table')
      else if (line === 'COMMIT') {
        for (const [name, rules] of chains)
          for (const rule of rules) {
            const target = targetOf(rule)
            if (target !== undefined && !VERDICTS.has(target) && !chains.has(target))
              refuse(`${name} jumps to ${target}, which is not there`)
          }
        this.#tables[table as Table] = chains
        table = undefined
      } else this.#apply(chains, table as Table, line, refuse)
    }
    if (table !== undefined) throw new IptablesFailed('COMMIT expected at the end')
    this.texts.push(text)
  }
  #apply(chains: Chains, table: Table, line: string, refuse: (why: string) => never): void {
    if (line.startsWith(':')) {
      const name = line.slice(1).split(' ')[0] as string
      if (BUILT_IN[table].includes(name)) refuse('reckon never touches the policy of a built-in chain')
      if (name.length > 28) refuse('the name is too long')
      chains.set(name, [])
      return
    }
    const [, command, name, rule = ''] = /^-([AIDX]) (\S+)(?: (.*))?$/.exec(line) ?? refuse('not understood')
    const rules = chains.get(name as string) ?? refuse('no such chain')
    if (command === 'A') rules.push(rule)
    else if (command === 'I') rules.unshift(rule)
    else if (command === 'D') {
      const at = rules.indexOf(rule)
      if (at < 0) refuse('no such rule')
      rules.splice(at, 1)
    } else {
      if (rules.length > 0) refuse('the chain is not empty')
      if ([...chains.values()].some((others) => others.some((other) => targetOf(other) === name))) refuse('the chain is in use')
      chains.delete(name as string)
    }
  }
  async save(table: Table): Promise<string> {
    const chains = this.#tables[table]
    return [
      `*${table}`,
      ...[...chains.keys()].map((name) => `:${name} ${BUILT_IN[table].includes(name) ? 'ACCEPT' : '-'} [0:0]`),
      ...[...chains].flatMap(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`)),
      'COMMIT',
      ''
    ].join('\n')
  }
  watch(prefix: string, onTouched: () => void): Subscription {
    const watcher = { prefix, onTouched }
    this.#watchers.add(watcher)
    return { close: () => void this.#watchers.delete(watcher) }
  }
  /** As `iptables -t <table> <command>` of somebody else: `-F`, `-F chain`, `-X` (chains that are empty and unused) or `-D chain rule`. */
  meddle(table: Table, command: string): void {
    const chains = this.#tables[table]
    const [, what, name, rule] = /^-([FXD])(?: (\S+))?(?: (.*))?$/.exec(command) ?? []
    const touched = new Set<string>()
    const drop = (chain: string, gone: readonly string[]): void => {
      for (const one of gone) for (const part of [chain, targetOf(one)]) if (part !== undefined) touched.add(part)
    }
    if (what === 'F')
      for (const [chain, rules] of chains) {
        if (name !== undefined && name !== chain) continue
        drop(chain, rules)
        chains.set(chain, [])
      }
    else if (what === 'X')
      for (const [chain, rules] of [...chains]) {
        if (
          BUILT_IN[table].includes(chain) ||
          rules.length > 0 ||
          [...chains.values()].some((others) => others.some((other) => targetOf(other) === chain))
        )
          continue
        chains.delete(chain)
        touched.add(chain)
      }
    else {
      const rules = chains.get(name as string) as string[]
      drop(name as string, rules.splice(rules.indexOf(rule as string), 1))
    }
    for (const { prefix, onTouched } of this.#watchers) if ([...touched].some((part) => part.startsWith(prefix))) onTouched()
  }
  /** As if somebody flushed everything behind our back, and nobody was told. */
  flush(): void {
    this.#tables = freshTables()
  }
}
