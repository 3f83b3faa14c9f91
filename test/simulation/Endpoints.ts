/** A node's kube-proxy and DNS as `ops/components/agent.ts` makes them, each with views of its own, in the agent's process. */
import type { Question } from 'dns-packet'
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { answer } from '#services/dns/answer.ts'
import { dnsView, type DnsView } from '#services/dns/DnsView.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy, RulesTouched } from '#services/kube-proxy/KubeProxy.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Mistakes } from './mistakes.ts'
import { IptablesFailed } from '#services/platform/iptables/IptablesFailed.ts'
import { FilterBusy, type PacketFilter } from './PacketFilter.ts'
import type { Process } from './Process.ts'
import { SETTINGS } from './Served.ts'

const DOMAIN = 'cluster.local'

export interface EndpointsOptions {
  readonly node: string
  readonly process: Process
  /** The machine's, which goes on when the process does not. */
  readonly filter: PacketFilter
  readonly mistakes: Mistakes
  readonly onError: (what: string, error: unknown) => void
}

export class Endpoints {
  readonly filter: PacketFilter
  readonly process: Process
  readonly #options: EndpointsOptions
  #proxy: KubeProxy | undefined
  #names: { readonly views: Views; readonly view: DnsView } | undefined
  /** All that they follow. */
  readonly views: Views[] = []

  constructor(options: EndpointsOptions) {
    this.#options = options
    this.filter = options.filter
    this.process = options.process
  }
  async start(): Promise<void> {
    await Promise.all([this.#startProxy(), this.#startDns()])
  }
  async #views(user: string): Promise<Views | undefined> {
    const { process, mistakes } = this.#options
    const views = await process.endpoints(user, mistakes.endpoints)
    if (views !== undefined) this.views.push(views)
    return views
  }
  async #startProxy(): Promise<void> {
    const { node, process, filter, mistakes, onError } = this.#options
    const views = await this.#views(`kube-proxy-${node}`)
    if (views === undefined) return
    this.#proxy = new KubeProxy({
      source: mistakes.proxied(views),
      clock: process.clock,
      iptables: process.within(filter),
      conntrack: { forgetUdp: async () => {} },
      config: { instance: 'world', nodeName: node, clusterCIDR: '10.244.0.0/16', masqueradeMark: 0x4000, hash: chainHash },
      onError: (error) => this.#isOurs(error) || onError('kube-proxy', error)
    })
    await this.#proxy.start()
  }
  /** What was done to it on purpose is told, and is no fault. */
  #isOurs(error: unknown): boolean {
    const { filter } = this
    // Between a flush and the word of it a text names rules that are gone: all of them are written anew then.
    if (filter.touched && error instanceof IptablesFailed) return true
    if (!(error instanceof RulesTouched && filter.touched)) return error instanceof FilterBusy
    filter.touched = false
    return true
  }
  async #startDns(): Promise<void> {
    const views = await this.#views(`dns-${this.#options.node}`)
    if (views !== undefined) this.#names = { views, view: dnsView(views) }
  }
  async stop(): Promise<void> {
    await this.#proxy?.stop()
    for (const views of this.views) for (const view of views.byStream.values()) view.close()
  }
  /** It answers: neither starts nor stands still. */
  get answers(): boolean {
    return this.process.alive && !this.process.paused && this.#names !== undefined
  }
  /** Up to where its DNS has folded Services and slices. */
  get folded(): { readonly services: number; readonly slices: number } {
    const of = (ref: typeof SERVICES | typeof ENDPOINT_SLICES): number => this.#names?.views.of(ref).objects.sequence ?? 0
    return { services: of(SERVICES), slices: of(ENDPOINT_SLICES) }
  }
  /** What pods are told of a name: addresses, or for an address names. */
  ask(name: string, type: 'A' | 'PTR'): string[] {
    const question: Question = {
      name: type === 'A' ? `${name}.svc.${DOMAIN}` : `${name.split('.').reverse().join('.')}.in-addr.arpa`,
      type
    }
    const config = { domain: DOMAIN, clusterDNS: '10.96.0.10', reverse: [SETTINGS.serviceCIDR, '10.244.0.0/16'], serial: 1 }
    const said = answer((this.#names as { view: DnsView }).view, question, config)
    return said.kind === 'forward' ? ['somebody else knows'] : said.answers.map((one) => String((one as { data?: unknown }).data)).sort()
  }
}
