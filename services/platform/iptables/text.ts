/** Texts of iptables-save(8), read; texts for iptables-restore(8) that take all of an owner's chains away. */
import type { Table } from '#services/platform/Iptables.ts'

/** Chains and their rules, of a saved table. Rules are without `-A chain`. */
export const parseSave = (text: string): Map<string, string[]> => {
  const chains = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    if (line.startsWith(':')) chains.set(line.slice(1, line.indexOf(' ')), [])
    else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3)
      chains.get(line.slice(3, end))?.push(line.slice(end + 1))
    }
  }
  return chains
}

/** The same of a text with several tables; chains by `<table> <name>`. */
export const parseTables = (text: string): Map<string, string[]> => {
  const chains = new Map<string, string[]>()
  for (const section of text.split(/^\*/m).slice(1)) {
    const table = section.slice(0, section.indexOf('\n'))
    for (const [name, rules] of parseSave(section)) chains.set(`${table} ${name}`, rules)
  }
  return chains
}

/** The chain or verdict a rule ends in. */
export const targetOf = (rule: string): string | undefined => /(?:^| )-j (\S+)/.exec(rule)?.[1]

/** Whether one of the rules goes where the jump goes; the words around it are the kernel's to choose. */
export const jumpIsThere = (rules: readonly string[], jump: string): boolean => {
  const target = targetOf(jump)
  return rules.some((rule) => targetOf(rule) === target)
}

/** Removes every chain whose name begins with `prefix`, and every rule elsewhere that jumps to one; '' when there is none. */
export const removalText = (table: Table, saved: string, prefix: string): string => {
  const chains = parseSave(saved)
  const own = [...chains.keys()].filter((name) => name.startsWith(prefix))
  if (own.length === 0) return ''
  const jumps = [...chains]
    .filter(([name]) => !name.startsWith(prefix))
    .flatMap(([name, rules]) => rules.filter((rule) => ` ${rule}`.includes(` -j ${prefix}`)).map((rule) => `-D ${name} ${rule}`))
  return [`*${table}`, ...own.map((name) => `:${name} - [0:0]`), ...jumps, ...own.map((name) => `-X ${name}`), 'COMMIT', ''].join('\n')
}
