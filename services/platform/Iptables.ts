/**
 * The packet filter as a port: whole texts in and out, in the language of iptables-restore(8) and iptables-save(8).
 * `HostIptables` runs the machine's tools; `iptables/MemoryIptables.ts` is its twin in memory.
 */
import { IptablesFailed } from './iptables/IptablesFailed.ts'
import { execa } from 'execa'
import type { Subscription } from '#events/Log.ts'
import type { Family } from '#events/meta/ip.ts'
import { RuleMonitor } from './iptables/RuleMonitor.ts'

export type Table = 'nat' | 'filter'

export interface Iptables {
  /** Applies a text without flushing what it does not name. Each table of it is applied whole or not at all. */
  restore(text: string): Promise<void>
  /** The table as iptables-save prints it, without counters that matter. */
  save(table: Table): Promise<string>
  /**
   * Calls back when somebody else changed a rule that names a chain with this prefix, or when that may have happened
   * unheard. Costs nothing while nothing happens.
   */
  watch(prefix: string, onTouched: () => void): Subscription
}

/** Seconds to wait for another program that holds the lock of the legacy tables. */
const LOCK_SECONDS = 10
const TIMEOUT_MS = 60_000

/** Processes of ours the kernel may still be telling of. */
const REMEMBERED = 64

export class HostIptables implements Iptables {
  readonly #six: boolean
  readonly #enter: readonly string[]
  readonly #monitor: RuleMonitor
  readonly #ours = new Set<number>()

  /** `netns`: the path of a network namespace to work in, for several nodes on one machine. Each family has tables and tools of its own. */
  constructor(netns?: string, family: Family = 'IPv4') {
    this.#six = family === 'IPv6'
    this.#enter = netns === undefined ? [] : ['nsenter', `--net=${netns}`]
    this.#monitor = new RuleMonitor({ enter: this.#enter, family, isOurs: (pid) => this.#ours.has(pid) })
  }
  async restore(text: string): Promise<void> {
    const done = await (this.#six
      ? this.#run(['ip6tables-restore', '--noflush', '--wait', String(LOCK_SECONDS)], text)
      : this.#run(['iptables-restore', '--noflush', '--wait', String(LOCK_SECONDS)], text))
    if (done.failed) throw new IptablesFailed(reason(done))
  }
  async save(table: Table): Promise<string> {
    const done = await (this.#six ? this.#run(['ip6tables-save', '-t', table]) : this.#run(['iptables-save', '-t', table]))
    if (done.failed) throw new IptablesFailed(reason(done))
    return done.stdout
  }
  watch(prefix: string, onTouched: () => void): Subscription {
    return this.#monitor.watch(prefix, onTouched)
  }
  #run(command: readonly string[], input?: string) {
    const [file, ...args] = [...this.#enter, ...command]
    const child = execa(file as string, args, {
      reject: false,
      timeout: TIMEOUT_MS,
      ...(input === undefined ? { stdin: 'ignore' } : { input })
    })
    if (child.pid !== undefined) this.#ours.add(child.pid)
    if (this.#ours.size > REMEMBERED) this.#ours.delete(this.#ours.keys().next().value as number)
    return child
  }
}

const reason = (done: { readonly stderr?: unknown; readonly shortMessage?: string }): string =>
  `${done.shortMessage ?? 'iptables failed'}${typeof done.stderr === 'string' && done.stderr !== '' ? `: ${done.stderr.trim()}` : ''}`
