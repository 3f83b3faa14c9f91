/** One API server of the world, put together as `ops/components/apiserver.ts` does: its doors are called instead of reached over NATS and HTTP. */
import type { FateAnswer, Stray } from '#events/node/messages.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { Outlets } from '#services/apiserver/http/Outlet.ts'
import { BindingPublisher } from '#services/apiserver/nodes/BindingPublisher.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { Pulses } from '#services/apiserver/nodes/Pulses.ts'
import { ReportIngest } from '#services/apiserver/nodes/ReportIngest.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { Backlog } from '#services/apiserver/verbs/Backlog.ts'
import { Fanout } from '#services/apiserver/verbs/Fanout.ts'
import type { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View, Views } from '#services/platform/View.ts'
import { BINDING_SEAL, type Process } from './Process.ts'
import type { VirtualClock } from './VirtualClock.ts'
import type { Wire } from './Wire.ts'

/** Few enough that the seeds' Services take them all now and then. */
export const SETTINGS = { serviceCIDR: '10.96.0.0/27', nodePorts: [30000, 30005] } as const
const TOKEN_MS = 3_600_000

export interface ServedOptions {
  readonly process: Process
  readonly clock: VirtualClock
  readonly reports: MemoryWorkQueue
  /** Bindings are published by one server at a time. */
  readonly publishes: boolean
  readonly onError: (what: string, error: unknown) => void
}

export class Served {
  readonly process: Process
  readonly views: Views
  readonly decider: ApiDecider
  readonly pulses: Pulses
  readonly fanout: Fanout
  readonly #ingest: ReportIngest
  readonly #publisher: BindingPublisher | undefined
  readonly #wires = new Set<Wire>()

  /** Rejects when the log is away in the middle of it; undefined when the process ended before. */
  static async start(options: ServedOptions): Promise<Served | undefined> {
    const views = await options.process.views()
    if (views === undefined) return undefined
    const served = new Served(options, views)
    try {
      await bootstrap({ ...served, clock: options.clock, apiAddress: '10.244.0.1', apiPort: 6443, serviceCIDR: SETTINGS.serviceCIDR, kubernetesIP: '10.96.0.1', dnsIP: '10.96.0.10', dnsAddress: '10.244.0.1', dnsPort: 10053 })
      await served.#publisher?.start()
      served.#ingest.start()
      return served
    } catch (error) {
      served.stop()
      throw error
    }
  }
  private constructor({ process, clock, reports, publishes, onError }: ServedOptions, views: Views) {
    this.process = process
    this.views = views
    const decider = new ApiDecider({ views, clock, settings: SETTINGS })
    this.decider = decider
    const tokens = { issue: async () => ({ token: 'simulated', expiresAt: new Date(clock.now() + TOKEN_MS).toISOString() }) }
    this.#publisher = publishes ? new BindingPublisher({ views, bindings: process.log('BINDINGS'), tokens, clusterCA: 'ca', seal: BINDING_SEAL, clock, onError: (error) => onError('bindings', error) }) : undefined
    this.#ingest = new ReportIngest({ views, decider, reports: reports.reachedBy(process.isCut), clock, onError: (error) => onError('reports', error) })
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
    for (const [at, fate] of fates.entries()) if (fate === 'alive') this.#publisher?.renew(pods[at] as Stray)
    return { origin: await originIn(this.views), fates }
  }
  /** A client's connection; it breaks with the process. */
  connect(wire: Wire): void {
    this.#wires.add(wire)
    wire.once('close', () => this.#wires.delete(wire))
  }
  /** As `kill -9`: nothing it has not said by now is heard. */
  stop(): void {
    this.process.end()
    for (const wire of this.#wires) wire.cut()
    this.#publisher?.stop()
    this.pulses.stop()
    void this.#ingest.stop()
    this.fanout.close()
    for (const view of this.views.byStream.values()) view.close()
  }
}
