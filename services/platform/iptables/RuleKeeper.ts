/**
 * Keeps one owner's rules in the kernel as they were written: looks when somebody else touched them, and now and then
 * anyway, and has them written again when they are not. `iptables -F` comes easily to people and to other programs.
 */
import type { Subscription } from '#events/Log.ts'
import { sleep, type Clock, type Timer } from '#services/platform/Clock.ts'
import type { Iptables, Table } from '#services/platform/Iptables.ts'
import { jumpIsThere, parseSave } from './text.ts'

export interface Jump {
  readonly table: Table
  /** One that is not ours. */
  readonly chain: string
  readonly rule: string
}

/** What the kernel should hold. Chains by `<table> <name>`; the order of a set's rules means nothing. */
export interface Wanted {
  readonly chains: ReadonlyMap<string, readonly string[] | ReadonlySet<string>>
  readonly jumps: readonly Jump[]
}

export interface RuleKeeperOptions {
  readonly iptables: Iptables
  readonly clock: Clock
  /** What the names of our chains begin with. */
  readonly prefix: string
  /** Resolves when nothing is being written, or waits to be. */
  idle(): Promise<void>
  /** Another number after every write, also while one is under way. */
  version(): number
  wanted(): Wanted
  /** Writes everything anew. */
  write(): Promise<void>
  /** It had to be done. */
  readonly onMended?: () => void
  readonly onError: (error: unknown) => void
}

/** Between being touched and looking: a script that flushes has more than one line. */
const SOON_MS = 150
const FIRST_MS = 2_000
/** Between two looks, and how many times longer than a look takes: looking must not become the load. */
const PAUSE_MS = 1_000
const SPARE = 20
const LONGEST_PAUSE_MS = 4_000
/** For what nobody told of. */
const ANYWAY_MS = 60_000
const TRIES = 5
const TABLES: readonly Table[] = ['nat', 'filter']

export class RuleKeeper {
  readonly #options: RuleKeeperOptions
  /** The kernel prints rules as we write them. Of one that does not, only how many there are is compared. */
  #exact = true
  #timer: Timer | undefined
  #due = Number.POSITIVE_INFINITY
  #looking = false
  #again = false
  #stopped = true
  #watch: Subscription | undefined
  #notBefore = 0

  constructor(options: RuleKeeperOptions) {
    this.#options = options
  }
  start(): void {
    const { iptables, prefix } = this.#options
    this.#stopped = false
    this.#watch = iptables.watch(prefix, () => this.#lookIn(SOON_MS))
    // Listening takes a moment to begin.
    this.#lookIn(FIRST_MS)
  }
  stop(): void {
    this.#stopped = true
    this.#watch?.close()
    this.#timer?.cancel()
  }
  #lookIn(ms: number): void {
    const { clock } = this.#options
    if (this.#stopped) return
    if (this.#looking) {
      this.#again = true
      return
    }
    const due = Math.max(clock.now() + ms, this.#notBefore)
    if (due >= this.#due) return
    this.#timer?.cancel()
    this.#due = due
    this.#timer = clock.after(due - clock.now(), () => void this.#round())
  }
  async #round(): Promise<void> {
    const { clock, onError, onMended } = this.#options
    this.#looking = true
    this.#again = false
    const began = clock.now()
    try {
      if (await this.look()) onMended?.()
    } catch (error) {
      onError(error)
      this.#again = true
    }
    this.#looking = false
    this.#due = Number.POSITIVE_INFINITY
    this.#notBefore = clock.now() + Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, (clock.now() - began) * SPARE))
    this.#lookIn(this.#again ? 0 : ANYWAY_MS)
  }
  /** True when the rules were not as they should be, and were written again. */
  async look(): Promise<boolean> {
    if (await this.#holds()) return false
    await this.#options.write()
    // Written a moment ago and not the same: this kernel, or its tools, say it in other words.
    if (!(await this.#holds())) this.#exact = false
    return true
  }
  async #holds(): Promise<boolean> {
    const { iptables, clock, idle, version, wanted, prefix } = this.#options
    for (let tries = 0; tries < TRIES; tries++) {
      await idle()
      const before = version()
      const saved = new Map<Table, ReadonlyMap<string, readonly string[]>>()
      for (const table of TABLES) saved.set(table, parseSave(await iptables.save(table)))
      // Nothing can be said about what changed while it was read.
      if (version() === before) return holds(saved, wanted(), prefix, this.#exact)
      await sleep(clock, SOON_MS)
    }
    return true
  }
}

const holds = (
  saved: ReadonlyMap<Table, ReadonlyMap<string, readonly string[]>>,
  { chains, jumps }: Wanted,
  prefix: string,
  exact: boolean
): boolean => {
  for (const { table, chain, rule } of jumps) if (!jumpIsThere(saved.get(table)?.get(chain) ?? [], rule)) return false
  let own = 0
  for (const table of saved.values()) for (const name of table.keys()) if (name.startsWith(prefix)) own += 1
  if (own !== chains.size) return false
  for (const [id, rules] of chains) {
    const at = id.indexOf(' ')
    const present = saved.get(id.slice(0, at) as Table)?.get(id.slice(at + 1))
    if (present === undefined || present.length !== ('size' in rules ? rules.size : rules.length)) return false
    if (exact && !('size' in rules ? present.every((rule) => rules.has(rule)) : present.every((rule, index) => rule === rules[index])))
      return false
  }
  return true
}
