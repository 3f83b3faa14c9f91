/** A node's packet filter: the twin in memory, which takes its time, refuses a text now and then, and is looked at after each. */
import type { Subscription } from '#events/Log.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { Iptables, Table } from '#services/platform/Iptables.ts'
import { IptablesFailed } from '#services/platform/iptables/IptablesFailed.ts'
import { MemoryIptables } from '#services/platform/iptables/MemoryIptables.ts'
import { parseSave } from '#services/platform/iptables/text.ts'
import { waysIn, type Way } from './ways.ts'

/** The world's own doing. */
export class FilterBusy extends IptablesFailed {}

export interface PacketFilterOptions {
  readonly node: string
  readonly clock: Clock
  readonly refuses: () => boolean
  readonly onFault: (fault: string) => void
}

export class PacketFilter implements Iptables {
  readonly #options: PacketFilterOptions
  readonly #kernel = new MemoryIptables()
  /** Every Service and address that ever stood together in it: `default/web tcp 10.96.0.5:80`. */
  readonly seen = new Set<string>()
  /** Somebody else changed it, and nobody has told of that yet. */
  touched = false

  constructor(options: PacketFilterOptions) {
    this.#options = options
  }
  async restore(text: string): Promise<void> {
    const { node, clock, refuses, onFault } = this.#options
    await sleep(clock, 1 + clock.random() * 30)
    if (refuses()) throw new FilterBusy('another app is currently holding the xtables lock')
    await this.#kernel.restore(text)
    for (const [to, { services }] of await this.ways()) {
      for (const service of services) this.seen.add(`${service} ${to}`)
      if (services.size > 1) onFault(`on ${node} ${to} has two Services: ${[...services].sort().join(' and ')}`)
    }
  }
  save(table: Table): Promise<string> {
    return this.#kernel.save(table)
  }
  watch(prefix: string, onTouched: () => void): Subscription {
    return this.#kernel.watch(prefix, onTouched)
  }
  /** Somebody flushes a table. */
  meddle(table: Table): void {
    this.touched = true
    this.#kernel.meddle(table, '-F')
  }
  /** The kernel begins anew. */
  flush(): void {
    this.#kernel.flush()
  }
  /** Where connections go, by what they are made to. */
  async ways(): Promise<ReadonlyMap<string, Way>> {
    return waysIn(parseSave(await this.#kernel.save('nat')), parseSave(await this.#kernel.save('filter')))
  }
}
