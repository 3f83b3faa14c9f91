/**
 * A whole cluster on a virtual clock: the API server's decider, the scheduler, the controllers and simulated agents, on
 * in-memory logs, with messages that are late, lost and doubled, and services that crash and come back.
 */
import type { Intent, IntentResult, Intents, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { streamOf } from '#events/scheme.ts'
import type { Log } from '#events/Log.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { bindingOf, intentOfNotice, intentOfPodReport, intentsOfPulse } from '#services/apiserver/nodes/decide.ts'
import { fatesIn, originIn } from '#services/apiserver/nodes/fates.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { Agent } from '#services/kubelet/Agent.ts'
import { SimulatedPodNetwork } from '#services/kubelet/PodNetwork.ts'
import { SimulatedProber } from '#services/kubelet/probes/SimulatedProber.ts'
import { memoryOrigin } from '#services/kubelet/strays/Allegiance.ts'
import { noFiles } from '#services/kubelet/volumes/PodFiles.ts'
import { sleep } from '#services/platform/Clock.ts'
import { Controller, Outrun, type ControllerDefinition } from '#services/platform/Controller.ts'
import { MemoryLog, type Faults, type MemoryLogOptions } from '#services/platform/MemoryLog.ts'
import type { BindingUpdate, NodeLink } from '#services/platform/NodeLink.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'
import { View, Views } from '#services/platform/View.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { ADMIN } from '../support/api.ts'
import { VirtualClock } from './VirtualClock.ts'

const PODS = { group: '', resource: 'pods' }
const STREAMS = ['EVENTS', 'NOTICES', 'PULSE'] as const
/** As NATS clients give up on an answer, and ask again with the same id. */
const ANSWER_MS = 2_000
const ASKS = 3
export const BAD_IMAGE = 'bad:1'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  /** API servers that decide at the same time; the first also publishes bindings and takes reports. Default 1. */
  readonly apiServers?: number
  /** Replaces a log or a controller: how the invariants themselves are tested. */
  readonly log?: (stream: string, clock: VirtualClock, options: MemoryLogOptions) => MemoryLog
  readonly controllers?: (definitions: readonly ControllerDefinition[]) => readonly ControllerDefinition[]
  readonly trace?: (line: string) => void
}

interface Acknowledged {
  readonly intent: Intent
  readonly sequence: number
}

interface Service {
  readonly name: string
  stop(): void
}

interface ApiServer {
  readonly views: Views
  readonly decider: ApiDecider
  stop(): void
}

export class World {
  readonly clock: VirtualClock
  readonly logs: Record<(typeof STREAMS)[number], MemoryLog>
  /** What was answered positively, and made an event. */
  readonly acknowledged: Acknowledged[] = []
  readonly errors: string[] = []
  readonly runtimes = new Map<string, SimulatedRuntime>()
  readonly #options: WorldOptions
  readonly #networks = new Map<string, SimulatedPodNetwork>()
  /** The truth of BINDINGS: node → pod → update. */
  readonly #bindings = new Map<string, Map<string, BindingUpdate>>()
  readonly #followers = new Map<string, Set<(update: BindingUpdate) => void>>()
  readonly #services = new Map<string, Service>()
  readonly #apis: (ApiServer | undefined)[] = []
  /** While false nothing is late, lost or doubled any more than messages are. */
  faults = true

  constructor(options: WorldOptions) {
    this.#options = options
    this.clock = new VirtualClock(options.seed)
    const chance = (part: number) => (): boolean => this.faults && this.clock.random() < part
    const faults: Faults = {
      append: () => 1 + this.clock.random() * 5,
      deliver: () => 1 + this.clock.random() * (this.faults ? 40 : 5),
      lose: chance(0.01),
      swallow: chance(0.003),
      skip: chance(0.001),
      double: chance(0.001),
      forget: chance(0.002),
      away: () => this.faults && this.#away > this.clock.now()
    }
    const make = options.log ?? ((stream, clock, more) => new MemoryLog(stream, clock, more))
    this.logs = { EVENTS: make('EVENTS', this.clock, { faults }), NOTICES: make('NOTICES', this.clock, { faults }), PULSE: make('PULSE', this.clock, { faults, keepLastOnly: true }) }
  }
  #away = 0
  /** The log can't be reached by anybody for a while. */
  outage(ms: number): void {
    this.#away = Math.max(this.#away, this.clock.now() + ms)
    this.trace(`the log is away for ${Math.round(ms)} ms`)
  }
  trace(what: string): void {
    this.#options.trace?.(`${(this.clock.elapsed / 1000).toFixed(3).padStart(10)}  ${what}`)
  }
  #fail(where: string, error: unknown): void {
    if (error instanceof Outrun) return
    const message = error instanceof Error ? error.message : String(error)
    // What comes of lost messages, stopped services and closed views is what this world is made of.
    if (/no answer|was closed|not yet|acknowledge|is not there|being terminated/.test(message)) return
    this.errors.push(`${where}: ${message}`)
    this.trace(`ERROR ${where}: ${message}`)
  }
  async views(): Promise<Views> {
    for (;;) {
      const list = STREAMS.map((stream) => new View(stream, this.logs[stream] as Log, this.clock))
      try {
        await Promise.all(list.map((view) => view.start()))
        return new Views(list, streamOf)
      } catch {
        // The log is away: a process that can't start is started again.
        for (const view of list) view.close()
        await sleep(this.clock, 500)
      }
    }
  }
  async start(): Promise<void> {
    await this.startApi()
    const api = this.#apis[0] as ApiServer
    await bootstrap({ ...api, clock: this.clock, apiAddress: '10.244.0.1', apiPort: 6443, kubernetesIP: '10.96.0.1', dnsIP: '10.96.0.10', dnsAddress: '10.244.0.1', dnsPort: 10053 })
    for (let n = 1; n < this.apiServers; n++) await this.startApi(n)
    for (let n = 1; n <= this.#options.nodes; n++) await this.startAgent(`n${n}`)
    for (const name of this.controlNames()) await this.startControl(name)
  }
  get api(): ApiServer | undefined {
    return this.#apis[0]
  }
  get apiServers(): number {
    return this.#options.apiServers ?? 1
  }
  async startApi(n = 0): Promise<void> {
    const views = await this.views()
    const decider = new ApiDecider({ views, clock: this.clock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } })
    if (n > 0) {
      this.#apis[n] = { views, decider, stop: () => views.byStream.forEach((view) => view.close()) }
      this.trace(`api server ${n} up`)
      return
    }
    const subscription = views.of(PODS).subscribe(({ entry }) => entry.key.resource === 'pods' && this.#publish(views, entry.key.namespace, entry.key.name))
    this.#apis[0] = {
      views,
      decider,
      stop: () => {
        subscription.close()
        for (const view of views.byStream.values()) view.close()
      }
    }
    for (const entry of views.collection(PODS).list()) this.#publish(views, entry.key.namespace, entry.key.name)
    for (const pods of this.#bindings.values()) for (const { namespace, name, binding } of [...pods.values()]) if (binding !== null && views.get({ ...PODS, namespace, name }) === undefined) this.#publish(views, namespace, name)
    this.trace('api server up')
  }
  serving(n: number): boolean {
    return this.#apis[n] !== undefined
  }
  stopApi(n = 0): void {
    this.#apis[n]?.stop()
    this.#apis[n] = undefined
    this.trace(`api server${n > 0 ? ` ${n}` : ''} crashed`)
  }
  #publish(views: Views, namespace: string, name: string): void {
    const entry = views.get({ ...PODS, namespace, name })
    const node = entry?.object['spec']?.nodeName as string | undefined
    for (const [other, pods] of this.#bindings) if (other !== node && pods.get(`${namespace}/${name}`)?.binding) this.#deliver(other, { namespace, name, binding: null })
    if (entry !== undefined && node !== undefined && node !== '') this.#deliver(node, { namespace, name, binding: bindingOf(views, entry, { clusterCA: 'ca', serviceAccountToken: { token: 'simulated', expiresAt: '2099-01-01T00:00:00Z' } }) })
  }
  #deliver(node: string, update: BindingUpdate): void {
    let pods = this.#bindings.get(node)
    if (pods === undefined) this.#bindings.set(node, (pods = new Map()))
    const id = `${update.namespace}/${update.name}`
    const before = pods.get(id)
    const text = (binding: BindingUpdate['binding']): string => (binding === null ? '' : JSON.stringify({ ...binding, cause: undefined }))
    if (before !== undefined && text(before.binding) === text(update.binding)) return
    pods.set(id, update)
    // In order per node, as a consumer delivers.
    this.clock.after(5, () => {
      for (const follower of this.#followers.get(node) ?? []) follower(update)
    })
  }
  /** An intent on its way to the decider and back, through a network that loses, delays and doubles. */
  async ask(intent: Intent, user: UserInfo): Promise<IntentResult> {
    for (let tries = 1; ; tries++) {
      const answer = await this.#attempt(tries === 1 ? intent : { ...intent, again: true }, user)
      if (answer !== undefined) {
        if (answer.ok && answer.unchanged !== true && answer.sequence > 0 && intent.options?.dryRun !== true) this.acknowledged.push({ intent, sequence: answer.sequence })
        return answer
      }
      if (tries >= ASKS) throw new Error('no answer from the API server')
    }
  }
  #attempt(intent: Intent, user: UserInfo): Promise<IntentResult | undefined> {
    return new Promise((resolve) => {
      // A message doubled on its way comes to the same server; asked again, perhaps another answers.
      const server = this.apiServers > 1 ? Math.floor(this.clock.random() * this.apiServers) : 0
      const timeout = this.clock.after(ANSWER_MS, () => resolve(undefined))
      const send = (): void => {
        if (this.faults && this.clock.random() < 0.02) return
        this.clock.after(this.clock.random() * (this.faults ? 30 : 3), () => {
          const decider = this.#apis[server]?.decider
          if (decider === undefined) return
          decider.submit(intent, user).then(
            (result) => {
              if (this.faults && this.clock.random() < 0.02) return
              this.clock.after(this.clock.random() * (this.faults ? 30 : 3), () => {
                timeout.cancel()
                resolve(result)
              })
            },
            (error: unknown) => this.#fail('decider', error)
          )
        })
      }
      send()
      if (this.faults && this.clock.random() < 0.02) send()
    })
  }
  intents(user: UserInfo): Intents {
    return { submit: (intent) => this.ask(intent, user) }
  }
  /** As the administrator, from a command line that asks until it is answered. */
  person(intent: Omit<Intent, 'id' | 'source' | 'version'> & { readonly version?: string }): Promise<IntentResult | undefined> {
    this.trace(`person: ${intent.verb} ${intent.ref.resource}/${intent.name}${intent.subresource === undefined ? '' : `/${intent.subresource}`}`)
    return this.ask({ version: 'v1', ...intent, id: this.clock.uuid(), source: 'kubectl' }, ADMIN).catch(() => undefined)
  }
  controlNames(): string[] {
    return ['scheduler', ...controllers({ clusterCA: 'ca' }).map(({ name }) => name)]
  }
  async startControl(name: string): Promise<void> {
    const views = await this.views()
    if (name === 'scheduler') {
      const scheduler = new Scheduler(views, this.intents({ username: 'system:kube-scheduler', groups: ['system:authenticated'] }), this.clock, (error) => this.#fail('scheduler', error))
      scheduler.start()
      this.#serve(name, views, () => scheduler.stop())
    } else {
      const definitions = controllers({ clusterCA: 'ca' })
      const definition = (this.#options.controllers?.(definitions) ?? definitions).find((one) => one.name === name) as ControllerDefinition
      const controller = new Controller(definition, views, this.intents(userOf(name)), this.clock, ({ key, error }) => this.#fail(`${name} ${key}`, error))
      controller.start()
      this.#serve(name, views, () => controller.stop())
    }
    this.trace(`${name} up`)
  }
  #serve(name: string, views: Views, stop: () => void): void {
    this.#services.set(name, {
      name,
      stop: () => {
        stop()
        for (const view of views.byStream.values()) view.close()
      }
    })
  }
  stopService(name: string): void {
    this.#services.get(name)?.stop()
    this.#services.delete(name)
    this.trace(`${name} crashed`)
  }
  async startAgent(node: string): Promise<void> {
    let runtime = this.runtimes.get(node)
    if (runtime === undefined) this.runtimes.set(node, (runtime = new SimulatedRuntime({ clock: this.clock, startMs: () => 50 + this.clock.random() * 400, hasImage: (name) => !name.startsWith('bad'), pullError: () => 'manifest unknown' })))
    let network = this.#networks.get(node)
    if (network === undefined) this.#networks.set(node, (network = new SimulatedPodNetwork(`10.244.${node.slice(1)}`)))
    const agent = new Agent({
      node,
      hostIP: `192.0.2.${node.slice(1)}`,
      podCIDR: `10.244.${node.slice(1)}.0/24`,
      pauseImage: 'pause:1',
      link: this.#link(node),
      runtime,
      network,
      files: noFiles,
      prober: new SimulatedProber(runtime),
      machine: { cores: 4, memory: 8 * 2 ** 30, negativeScores: true, ephemeralStorage: 2 ** 40, machineID: node, bootID: node },
      origin: memoryOrigin(),
      clock: this.clock,
      onError: (error) => this.#fail(`agent ${node}`, error)
    })
    void agent.start().catch((error: unknown) => this.#fail(`agent ${node}`, error))
    this.#services.set(node, { name: node, stop: () => agent.stop() })
    this.trace(`agent ${node} up`)
  }
  #link(node: string): NodeLink {
    const user: UserInfo = { username: `system:node:${node}`, groups: ['system:nodes', 'system:authenticated'] }
    const draftToIntent = (draft: Omit<Intent, 'id' | 'source'>): Intent => ({ ...draft, id: this.clock.uuid(), source: `kubelet/${node}` })
    const pause = (): Promise<void> => new Promise((resolve) => void this.clock.after(1 + this.clock.random() * 20, resolve))
    /** Done when an API server has taken it: what is stored in REPORTS waits for one. */
    const served = async (work: (views: Views) => Promise<void>): Promise<void> => {
      for (;;) {
        const api = this.#apis[0]
        if (api !== undefined) {
          try {
            return await work(api.views)
          } catch (error) {
            if (!/no answer|closed/.test(String(error))) return this.#fail(`report of ${node}`, error)
          }
        }
        await new Promise<void>((resolve) => void this.clock.after(500, resolve))
      }
    }
    /** One report of a pod at a time; meanwhile only the newest waits, as ReportIngest does it. */
    const waiting = new Map<string, () => Promise<void>>()
    const busy = new Set<string>()
    const next = (id: string): void => {
      const work = waiting.get(id)
      if (work === undefined || busy.has(id)) return
      waiting.delete(id)
      busy.add(id)
      void work().finally(() => {
        busy.delete(id)
        next(id)
      })
    }
    return {
      bindings: ({ onUpdate, onCaughtUp }) => {
        let followers = this.#followers.get(node)
        if (followers === undefined) this.#followers.set(node, (followers = new Set()))
        const mine = (update: BindingUpdate): void => onUpdate(update)
        this.clock.after(5, () => {
          for (const update of this.#bindings.get(node)?.values() ?? []) onUpdate(update)
          followers.add(mine)
          onCaughtUp()
        })
        return { close: () => void followers.delete(mine) }
      },
      reportPod: async (namespace, name, report) => {
        const id = `${namespace}/${name}`
        await pause()
        waiting.set(id, () =>
          served(async (views) => {
            const draft = intentOfPodReport(views, node, namespace, name, report)
            if (draft !== undefined) await this.ask(draftToIntent(draft), user)
          })
        )
        next(id)
      },
      reportNotice: async (_namespace, _name, notice) => {
        await pause()
        void served(async (views) => void (await this.ask(draftToIntent(intentOfNotice(views, node, notice)), user)))
      },
      fates: async (pods) => {
        await pause()
        const views = this.#apis[0]?.views
        if (views === undefined) throw new Error('no answer from the API server')
        return { origin: await originIn(views), fates: await fatesIn(views, node, pods) }
      },
      pulse: async (pulse) => {
        await pause()
        void served(async (views) => {
          for (const draft of intentsOfPulse(views, pulse, `${new Date(this.clock.now()).toISOString().slice(0, 19)}Z`)) await this.ask(draftToIntent(draft), user)
        })
      }
    }
  }
  /** Names of everything that can crash. */
  crashable(): string[] {
    return [...this.#services.keys()].sort()
  }
  async restart(name: string): Promise<void> {
    if (this.runtimes.has(name)) await this.startAgent(name)
    else await this.startControl(name)
  }
  object(kind: { group: string; resource: string }, name: string): KubeObject | undefined {
    return this.api?.views.get({ ...kind, namespace: 'default', name })?.object
  }
  stop(): void {
    for (const name of [...this.#services.keys()]) this.stopService(name)
    for (const api of this.#apis) api?.stop()
  }
}
