/**
 * One API server of the world, put together as `ops/components/apiserver.ts` does: its doors are called instead of reached over NATS and
 * HTTP.
 */
import type { FateAnswer, Stray } from '#events/node/messages.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { Stillness } from '#services/apiserver/Stillness.ts'
import { Outlets } from '#services/apiserver/http/Outlet.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { identityOf, Peers } from '#services/apiserver/nodes/Peers.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { Backlog } from '#services/apiserver/verbs/Backlog.ts'
import { Fanout } from '#services/apiserver/verbs/Fanout.ts'
import type { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import type { Views } from '#services/platform/Views.ts'
import { BINDING_SEAL, type Process } from './Process.ts'
import type { Mistakes } from './mistakes.ts'
import type { Wire } from './Wire.ts'

/** Few enough that the seeds' Services take them all now and then. */
export const SETTINGS = { serviceCIDR: '10.96.0.0/27', nodePorts: [30000, 30005] } as const
const TOKEN_MS = 3_600_000

export interface ServedOptions {
  readonly process: Process
  readonly reports: MemoryWorkQueue
  readonly mistakes: Mistakes
  readonly onError: (what: string, error: unknown) => void
}

export class Served {
  readonly process: Process
  readonly views: Views
  readonly decider: ApiDecider
  readonly pulses: Pulses
  readonly fanout: Fanout
  readonly #ingest: ReportIngest
  readonly #peers: Peers
  readonly #publisher: BindingPublisher
  readonly #wires = new Set<Wire>()

  /** Rejects when the log is away in the middle of it; undefined when the process ended before. */
  static async start(options: ServedOptions): Promise<Served | undefined> {
    const views = await options.process.views()
    if (views === undefined) return undefined
    const served = new Served(options, views)
    try {
      await bootstrap({
        ...served,
        clock: options.process.clock,
        apiAddress: '10.244.0.1',
        apiPort: 6443,
        serviceCIDR: SETTINGS.serviceCIDR,
        kubernetesIP: '10.96.0.1',
        dnsIP: '10.96.0.10',
        dnsAddress: '10.244.0.1',
        dnsPort: 10053
      })
      await served.#peers.start()
      await served.#publisher.start()
      served.#ingest.start()
      return served
    } catch (error) {
      served.kill()
      throw error
    }
  }
  private constructor({ process, reports, mistakes, onError }: ServedOptions, views: Views) {
    const { clock } = process
    this.process = process
    this.views = views
    const stillness = new Stillness(clock)
    stillness.start()
    const decider = new ApiDecider({ views, clock, settings: SETTINGS, late: stillness.lately })
    this.decider = decider
    const tokens = { issue: async () => ({ token: 'simulated', expiresAt: new Date(clock.now() + TOKEN_MS).toISOString() }) }
    this.#peers = new Peers({
      views,
      decider,
      clock,
      identity: identityOf('host', process.name),
      host: 'host',
      address: `${process.name}:6443`,
      onError: (error) => onError('peers', error)
    })
    this.#publisher = new BindingPublisher({
      views,
      bindings: mistakes.bindings(process.log('BINDINGS')),
      tokens,
      clusterCA: 'ca',
      seal: BINDING_SEAL,
      clock,
      share: this.#peers,
      onError: (error) => onError('bindings', error)
    })
    this.#ingest = new ReportIngest({
      views,
      decider: mistakes.reports(decider),
      reports: process.queue(reports),
      clock,
      onError: (error) => onError('reports', error)
    })
    this.pulses = new Pulses({ views, decider, clock, onError: (error) => onError('pulses', error) })
    const view = views.byStream.get('EVENTS') as View
    this.fanout = new Fanout({
      view,
      history: process.pasts.get('EVENTS') as PastIndex,
      versions: new Versions(),
      clock,
      outlets: new Outlets(clock, 60_000),
      backlog: new Backlog({ behind: 64 * 1024, together: 1024 * 1024, replays: 4 }),
      onError: (error) => onError('watches', error),
      soon: (task) => void clock.after(clock.random() * 3, task)
    })
  }
  async fates(node: string, pods: readonly Stray[]): Promise<FateAnswer> {
    const fates = await fatesIn(this.views, node, pods)
    for (const [at, fate] of fates.entries()) if (fate === 'alive') this.#publisher.renew(pods[at] as Stray)
    return { origin: await originIn(this.views), fates }
  }
  /** A client's connection; it breaks with the process. */
  connect(wire: Wire): void {
    this.#wires.add(wire)
    wire.once('close', () => this.#wires.delete(wire))
  }
  /** As `kill -9`. */
  kill(): void {
    this.process.kill()
    for (const wire of this.#wires) wire.cut()
  }
  /** As on SIGTERM: what it has begun is finished, and the others are told. */
  async stop(): Promise<void> {
    this.#publisher.stop()
    await this.#ingest.stop()
    this.pulses.stop()
    await this.#peers.stop()
    this.fanout.close()
    this.kill()
  }
}
