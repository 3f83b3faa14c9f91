/**
 * The packet filter as a port: whole texts in and out, in the language of iptables-restore(8) and iptables-save(8).
 * `HostIptables` runs the machine's tools; `iptables/MemoryIptables.ts` is its twin in memory.
 */
import { execa } from 'execa'

export type Table = 'nat' | 'filter'

/** The tool refused a text or could not be run. `reason` is what it said. */
export class IptablesFailed extends Error {
  override readonly name = 'IptablesFailed'
}

export interface Iptables {
  /** Applies a text without flushing what it does not name. Each table of it is applied whole or not at all. */
  restore(text: string): Promise<void>
  /** The table as iptables-save prints it, without counters that matter. */
  save(table: Table): Promise<string>
  /** Whether a chain holds a rule (`-j X …`, without `-A chain`). */
  has(table: Table, chain: string, rule: string): Promise<boolean>
}

/** Seconds to wait for another program that holds the lock of the legacy tables. */
const LOCK_SECONDS = 10
const TIMEOUT_MS = 60_000

/** The arguments of a rule as a shell would split them: double quotes hold one argument together. */
export const ruleArguments = (rule: string): string[] =>
  (rule.match(/"[^"]*"|\S+/g) ?? []).map((word) => (word.startsWith('"') ? word.slice(1, -1) : word))

export class HostIptables implements Iptables {
  readonly #enter: readonly string[]

  /** `netns`: the path of a network namespace to work in, for several nodes on one machine. */
  constructor(netns?: string) {
    this.#enter = netns === undefined ? [] : ['nsenter', `--net=${netns}`]
  }
  async restore(text: string): Promise<void> {
    const done = await this.#run(['iptables-restore', '--noflush', '--wait', String(LOCK_SECONDS)], text)
    if (done.failed) throw new IptablesFailed(reason(done))
  }
  async save(table: Table): Promise<string> {
    const done = await this.#run(['iptables-save', '-t', table])
    if (done.failed) throw new IptablesFailed(reason(done))
    return done.stdout
  }
  async has(table: Table, chain: string, rule: string): Promise<boolean> {
    const done = await this.#run(['iptables', '--wait', String(LOCK_SECONDS), '-t', table, '-C', chain, ...ruleArguments(rule)])
    if (!done.failed) return true
    // 1: no such rule; 2: no such chain in the rule or elsewhere. Anything else is the tool's own trouble.
    if (done.exitCode === 1 || done.exitCode === 2) return false
    throw new IptablesFailed(reason(done))
  }
  #run(command: readonly string[], input?: string) {
    const [file, ...args] = [...this.#enter, ...command]
    return execa(file as string, args, { reject: false, timeout: TIMEOUT_MS, ...(input === undefined ? { stdin: 'ignore' } : { input }) })
  }
}

const reason = (done: { readonly stderr?: unknown; readonly shortMessage?: string }): string =>
  `${done.shortMessage ?? 'iptables failed'}${typeof done.stderr === 'string' && done.stderr !== '' ? `: ${done.stderr.trim()}` : ''}`
