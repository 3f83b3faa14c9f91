/**
 * The proxy's loop: Services and their slices mark Services dirty, dirty Services are decided again, and the
 * difference goes to the kernel in one text. A failure, or somebody flushing our rules, leads to writing all of them.
 */
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { resourceId, type ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import type { Subscription } from '#events/Log.ts'
import type { Change } from '#projections/Objects.ts'
import { proxyPorts, SERVICE_NAME_LABEL, serviceOfSlice, type ProxyPort } from '#projections/Proxy.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Conntrack, Flow } from '#services/platform/Conntrack.ts'
import type { Iptables, Table } from '#services/platform/Iptables.ts'
import { RuleKeeper } from '#services/platform/iptables/RuleKeeper.ts'
import { jumpIsThere, parseSave, removalText } from '#services/platform/iptables/text.ts'
import { chainPrefix, jumps, type ProxyConfig } from './chains.ts'
import { decideBase, decideService } from './decide.ts'
import { renderAll, renderDelta } from './render.ts'
import { EMPTY, union, type RuleSet } from './RuleSet.ts'
import { staleUdp } from './staleUdp.ts'

/** What the proxy reads; `Views` is one. */
export interface ProxySource {
  of(ref: ResourceRef): { subscribe(onChange: (change: Change) => void): Subscription }
  collection<Some extends KubeObject>(
    ref: ResourceRef<Some>
  ): {
    get(namespace: string, name: string): { readonly object: Some } | undefined
    values(): Iterable<{ readonly id: string; readonly object: Some }>
    indexed(index: string, value: string): Iterable<{ readonly object: Some }>
  }
}

export interface KubeProxyOptions {
  readonly source: ProxySource
  readonly clock: Clock
  readonly iptables: Iptables
  readonly conntrack: Conntrack
  readonly config: ProxyConfig
  /** Told of every text the kernel refused; the loop goes on. */
  readonly onError?: (error: unknown) => void
}

/** Changes are gathered at least this long; when applying is slow, as long as it took, up to the second figure. */
const GATHER_MS = 30
const GATHER_MAX_MS = 1_000
const RETRY_MS = 1_000
const RETRY_MAX_MS = 30_000
/** Flows forgotten at a time; each one is a process. */
const FORGET_PARALLEL = 4
const TABLES: readonly Table[] = ['nat', 'filter']

export class RulesTouched extends Error {
  override readonly name = 'RulesTouched'
  constructor() {
    super('the rules of Services were not as they were written, and are written again; somebody else changed them')
  }
}

interface Programmed {
  readonly ports: readonly ProxyPort[]
  readonly rules: RuleSet
}

export class KubeProxy {
  readonly #options: KubeProxyOptions
  readonly #base: RuleSet
  readonly #keeper: RuleKeeper
  /** By `namespace/name`: what the kernel has. */
  readonly #programmed = new Map<string, Programmed>()
  readonly #dirty = new Set<string>()
  /** To be forgotten once the rules that replace them are in place. */
  readonly #stale: Flow[] = []
  /** The kernel's state is not known to be ours: write everything. */
  #whole = true
  #failures = 0
  #lastMs = 0
  /** Another number after every text, also while one is under way. */
  #writes = 0
  #running = false
  #subscriptions: Subscription[] = []
  #timer: Timer | undefined
  #work: Promise<void> = Promise.resolve()
  #idle: (() => void)[] = []
  /** Times a text went to the kernel: whole ones and differences. */
  readonly counts = { whole: 0, deltas: 0, failures: 0 }

  constructor(options: KubeProxyOptions) {
    this.#options = options
    this.#base = decideBase(options.config)
    const { iptables, clock, config, onError = () => {} } = options
    this.#keeper = new RuleKeeper({
      iptables,
      clock,
      prefix: chainPrefix(config.instance),
      idle: () => this.settled(),
      version: () => this.#writes,
      wanted: () => {
        const { chains, lists } = this.rules
        return { chains: new Map<string, readonly string[] | ReadonlySet<string>>([...chains, ...lists]), jumps: jumps(config) }
      },
      write: () => this.#writeAnew(),
      onMended: () => onError(new RulesTouched()),
      onError
    })
  }
  /** Resolves when the rules of everything known now are in the kernel. */
  async start(): Promise<void> {
    const { source } = this.#options
    this.#running = true
    const wanted = new Map([SERVICES, ENDPOINT_SLICES].map((ref) => [resourceId(ref), ref]))
    for (const view of new Set([source.of(SERVICES), source.of(ENDPOINT_SLICES)])) {
      this.#subscriptions.push(view.subscribe((change) => wanted.has(resourceId(change.entry.key)) && this.#changed(change)))
    }
    for (const { id } of source.collection(SERVICES).values()) this.#dirty.add(id)
    this.#arm(0)
    await this.settled()
    if (this.#running) this.#keeper.start()
  }
  /** Resolves when nothing is waiting to be applied. */
  settled(): Promise<void> {
    if (!this.#pending) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }
  /** Ends the loop; the rules stay, so that Services work while the proxy is replaced. */
  async stop(): Promise<void> {
    this.#running = false
    for (const subscription of this.#subscriptions) subscription.close()
    this.#subscriptions = []
    this.#timer?.cancel()
    this.#keeper.stop()
    await this.#work
    this.#timer = undefined
    this.#release()
  }
  /** Stops, and takes every chain and rule of this cluster's proxy out of the kernel. */
  async removeEverything(): Promise<void> {
    await this.stop()
    await removeProxyRules(this.#options.iptables, this.#options.config.instance)
    this.#programmed.clear()
    this.#whole = true
  }
  /** What the kernel should hold now: to be compared with what it does hold. */
  get rules(): RuleSet {
    return union([this.#base, ...[...this.#programmed.values()].map(({ rules }) => rules)])
  }
  get #pending(): boolean {
    return this.#running && (this.#timer !== undefined || this.#dirty.size > 0 || this.#whole)
  }
  #changed(change: Change): void {
    for (const entry of [change.entry, change.previous]) {
      if (entry === undefined) continue
      const id = entry.key.resource === SERVICES.resource ? entry.id : serviceOfSlice(entry.object)
      if (id !== undefined) this.#dirty.add(id)
    }
    if (this.#dirty.size > 0) this.#arm(Math.min(Math.max(GATHER_MS, this.#lastMs), GATHER_MAX_MS))
  }
  #arm(ms: number): void {
    if (!this.#running || this.#timer !== undefined) return
    this.#timer = this.#options.clock.after(ms, () => {
      this.#work = this.#sync().then(
        () => this.#synced(true),
        (error: unknown) => {
          this.#options.onError?.(error)
          this.#synced(false)
        }
      )
    })
  }
  #synced(ok: boolean): void {
    this.#timer = undefined
    if (ok) {
      this.#failures = 0
      if (this.#dirty.size > 0 || this.#whole) this.#arm(GATHER_MS)
    } else {
      this.counts.failures++
      this.#whole = true
      this.#arm(Math.min(RETRY_MS * 2 ** this.#failures++, RETRY_MAX_MS))
    }
    if (!this.#pending) this.#release()
  }
  #release(): void {
    const waiting = this.#idle
    this.#idle = []
    for (const resolve of waiting) resolve()
  }
  async #sync(): Promise<void> {
    const { clock, iptables, conntrack } = this.#options
    const begun = clock.now()
    const next = new Map([...this.#dirty].map((id) => [id, this.#decide(id)]))
    this.#dirty.clear()
    const old = new Map([...next.keys()].map((id) => [id, this.#programmed.get(id)]))
    for (const [id, wanted] of next) {
      this.#stale.push(...staleUdp(old.get(id)?.ports ?? [], wanted?.ports ?? []))
      if (wanted === undefined) this.#programmed.delete(id)
      else this.#programmed.set(id, wanted)
    }
    this.#writes++
    if (this.#whole) {
      this.#whole = false
      await this.#writeAll()
      this.counts.whole++
    } else {
      const text = renderDelta(union(rulesOf(old.values())), union(rulesOf(next.values())))
      if (text !== '') {
        await iptables.restore(text)
        this.counts.deltas++
      }
    }
    this.#writes++
    this.#lastMs = clock.now() - begun
    const stale = this.#stale.splice(0)
    for (let at = 0; at < stale.length; at += FORGET_PARALLEL) {
      await Promise.all(stale.slice(at, at + FORGET_PARALLEL).map((flow) => conntrack.forgetUdp(flow)))
    }
  }
  #decide(id: string): Programmed | undefined {
    const { source, config } = this.#options
    const [namespace = '', name = ''] = id.split('/')
    const service = source.collection(SERVICES).get(namespace, name)
    if (service === undefined) return undefined
    const slices: EndpointSlice[] = []
    for (const { object } of source.collection(ENDPOINT_SLICES).indexed('label', `${SERVICE_NAME_LABEL}=${name}`))
      if (object.metadata.namespace === namespace) slices.push(object)
    const ports = proxyPorts(service.object, slices, config.nodeName, config.family)
    return ports.length === 0 ? undefined : { ports, rules: decideService(ports, config) }
  }
  async #writeAll(): Promise<void> {
    const { iptables, config } = this.#options
    const prefix = chainPrefix(config.instance)
    const present: string[] = []
    const missing = []
    for (const table of TABLES) {
      const chains = parseSave(await iptables.save(table))
      present.push(...[...chains.keys()].filter((name) => name.startsWith(prefix)).map((name) => `${table} ${name}`))
      missing.push(...jumps(config).filter((jump) => jump.table === table && !jumpIsThere(chains.get(jump.chain) ?? [], jump.rule)))
    }
    await iptables.restore(renderAll(this.rules, present, missing))
  }
  /** The kernel's rules are not ours any more. */
  #writeAnew(): Promise<void> {
    this.#whole = true
    // Flows that began meanwhile were let through untranslated, and would stay so.
    for (const { ports } of this.#programmed.values()) this.#stale.push(...staleUdp([], ports))
    this.#arm(0)
    return this.settled()
  }
}

const rulesOf = (programmed: Iterable<Programmed | undefined>): RuleSet[] => [...programmed].map((one) => one?.rules ?? EMPTY)

/** Takes every chain and rule of a cluster's proxy out of the kernel. */
export const removeProxyRules = async (iptables: Iptables, instance: string): Promise<void> => {
  for (const table of TABLES) {
    const text = removalText(table, await iptables.save(table), chainPrefix(instance))
    if (text !== '') await iptables.restore(text)
  }
}
