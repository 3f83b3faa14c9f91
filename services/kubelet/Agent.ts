/**
 * The node's agent: takes bindings from its link, runs their pods on the runtime, reports what it sees, and beats.
 * Its death disturbs no container: everything it must know again is in the containers' labels.
 */
import type { Binding, NoticeReport, Pulse } from '#events/node/messages.ts'
import type { Subscription } from '#events/Log.ts'
import { sleep, type Clock, type Timer } from '#services/platform/Clock.ts'
import type { BindingUpdate, NodeLink } from '#services/platform/NodeLink.ts'
import { Images, wordsOf, type Tell } from './Images.ts'
import type { MachineFacts } from './machine.ts'
import type { Tools } from './perform.ts'
import type { PodNetwork } from './PodNetwork.ts'
import { PodWorker } from './PodWorker.ts'
import type { Prober } from './probes/Prober.ts'
import { pulseOf } from './pulse.ts'
import type { Identity, Runtime, RuntimeInfo } from '#services/platform/Runtime.ts'
import { Slots } from './Slots.ts'
import { timestampWith } from '#events/meta/time.ts'
import { Allegiance, type OriginStore } from './strays/Allegiance.ts'
import { conditionOf } from './strays/decide.ts'
import { Strays } from './strays/Strays.ts'
import type { PodFiles } from './volumes/PodFiles.ts'

export interface AgentOptions {
  readonly node: string
  readonly hostIP: string
  readonly podCIDR: string
  readonly labels?: Readonly<Record<string, string>>
  readonly pauseImage: string
  readonly link: NodeLink
  readonly runtime: Runtime
  readonly network: PodNetwork
  readonly files: PodFiles
  readonly prober: Prober
  readonly machine: MachineFacts
  /** Whom this node listened to before. */
  readonly origin: OriginStore
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

const PULSE_MS = 10_000
const RETRY_MS = 1_000
/** Every pod is looked at again this often, should an event have been missed. */
const RESYNC_MS = 60_000
/** Starts at once: nearly all of the runtime's throughput at half the latency of twice as many. */
const STARTS = 4
/** Notices on their way, or waiting for somebody to take them; more are dropped, since they explain and decide nothing. */
const NOTICES = 512
const LONGEST_RETRY_MS = 30_000
const IMAGES_SHOWN = 50
const DOWN_GRACE_S = 2
/** For a pod of which only its containers are known. */
const LOST_GRACE_S = 30

export class Agent {
  readonly #options: AgentOptions
  readonly #tools: Tools
  readonly #allegiance: Allegiance
  readonly #strays: Strays
  readonly #workers = new Map<string, PodWorker>()
  /** Pod uid by `namespace/name`. */
  readonly #uids = new Map<string, string>()
  readonly #adopted = new Set<string>()
  #ips: ReadonlyMap<string, string> = new Map()
  /** Updates that came before the first look at the runtime; undefined afterwards. */
  #early: Map<string, BindingUpdate> | undefined = new Map()
  #subscriptions: Subscription[] = []
  #link: Subscription | undefined
  #timers = new Map<string, Timer>()
  #notices = 0
  #known: RuntimeInfo | undefined
  #stopped = false

  constructor(options: AgentOptions) {
    this.#options = options
    const { runtime, network, files, prober, clock, machine, pauseImage, node, hostIP } = options
    this.#tools = {
      runtime,
      network,
      files,
      prober,
      clock,
      machine,
      pauseImage,
      node,
      hostIP,
      images: new Images(runtime, clock),
      slots: new Slots(STARTS)
    }
    this.#allegiance = new Allegiance(options.origin, (message) => {
      options.onError(new Error(message))
      this.#tellOfNode('OtherCluster', message)
      this.#beatSoon()
    })
    this.#strays = new Strays({
      link: options.link,
      clock,
      allegiance: this.#allegiance,
      present: async () => new Set((await runtime.list()).map(({ identity }) => identity.podUid)),
      end: (identity, gracefully) => this.#add(strayBinding(identity), false, gracefully),
      onChanged: (unknown) => {
        const { status, reason, message } = conditionOf(unknown.map(podOf), '')
        if (status === 'True') {
          options.onError(new Error(message))
          this.#tellOfNode(reason, message)
        }
        this.#beatSoon()
      },
      onError: options.onError
    })
  }
  /** Resolves when the bindings there are have been read and the containers that run are known. */
  async start(): Promise<void> {
    const { runtime, clock } = this.#options
    this.#pulse()
    const caughtUp = this.#follow()
    const observed = await this.#untilItWorks(() => runtime.list())
    for (const { id, state } of observed) if (state === 'running') this.#adopted.add(id)
    this.#ips = await this.#untilItWorks(() => this.#options.network.used())
    // What an earlier life mounted for containers that ended without it. Before the first worker: it may mount again.
    const inUse = new Set(observed.flatMap(({ state, identity }) => (state === 'running' ? [identity.podUid] : [])))
    await this.#options.files.releaseOthers(inUse).catch(this.#options.onError)
    await caughtUp
    if (this.#stopped) return
    const early = this.#early ?? new Map<string, BindingUpdate>()
    this.#early = undefined
    // What an earlier life ran: pods whose bindings do not come are strays, of which the log is asked.
    for (const { identity } of observed) this.#strays.add(identity)
    for (const update of early.values()) this.#update(update)
    this.#strays.start()
    this.#subscriptions.push(
      runtime.events({
        onEvent: ({ podUid }) => this.#workers.get(podUid)?.mark(),
        onRelist: () => this.#markAll()
      })
    )
    const resync = (): void => {
      this.#markAll()
      this.#timers.set('resync', clock.after(RESYNC_MS, resync))
    }
    this.#timers.set('resync', clock.after(RESYNC_MS, resync))
  }
  /** Containers go on. */
  stop(): void {
    this.#stopped = true
    this.#link?.close()
    this.#strays.stop()
    for (const subscription of this.#subscriptions) subscription.close()
    for (const timer of this.#timers.values()) timer.cancel()
    for (const worker of this.#workers.values()) worker.stop()
  }
  /** After `stop`: removes every container, interface and file of this cluster on this node. */
  async removeEverything(): Promise<void> {
    const { runtime, network, files } = this.#options
    const observed = await runtime.list()
    const [sandboxes, apps] = [
      observed.filter(({ identity }) => identity.container === ''),
      observed.filter(({ identity }) => identity.container !== '')
    ]
    await Promise.all(apps.filter(({ state }) => state === 'running').map(({ id }) => runtime.stop(id, DOWN_GRACE_S)))
    const uids = new Set([...observed.map(({ identity }) => identity.podUid), ...(await network.used()).keys()])
    for (const uid of uids) await network.teardown(uid)
    await Promise.all(apps.map(({ id }) => runtime.remove(id)))
    await Promise.all(sandboxes.map(({ id }) => runtime.remove(id)))
    await files.removeAll()
  }
  /** The pod's worker, by name: what logs, exec and attach go through. */
  find(namespace: string, name: string, uid = ''): PodWorker | undefined {
    const found = this.#uids.get(`${namespace}/${name}`)
    return this.#workers.get(uid === '' ? (found ?? '') : uid)
  }
  get pods(): ReadonlyMap<string, PodWorker> {
    return this.#workers
  }
  #markAll(): void {
    for (const worker of this.#workers.values()) worker.mark()
  }
  async #untilItWorks<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (this.#stopped) throw error
        this.#options.onError(error)
        await sleep(this.#options.clock, RETRY_MS)
      }
    }
  }
  #follow(): Promise<void> {
    return new Promise((resolve) => {
      const follow = (): void => {
        if (this.#stopped) return resolve()
        this.#link = this.#options.link.bindings({
          onUpdate: (update) => {
            if (this.#early === undefined) this.#update(update)
            else this.#early.set(`${update.namespace}/${update.name}`, update)
          },
          onCaughtUp: resolve,
          onFailed: (error) => {
            if (this.#stopped) return
            this.#options.onError(error)
            this.#timers.set('follow', this.#options.clock.after(RETRY_MS, follow))
          }
        })
      }
      follow()
    })
  }
  #update({ namespace, name, binding, origin, lost: isLost }: BindingUpdate): void {
    if (this.#stopped || !this.#allegiance.accepts(origin)) return
    const lost = isLost === true
    const key = `${namespace}/${name}`
    const before = this.#uids.get(key)
    if (binding === null) {
      if (before !== undefined) this.#workers.get(before)?.update(null, lost)
      this.#strays.unbound(namespace, name, lost)
      return
    }
    const uid = binding.pod.metadata?.uid as string
    this.#strays.bound(namespace, name, uid)
    // Another pod of the same name: the one before it must go first, on its own.
    if (before !== undefined && before !== uid) this.#workers.get(before)?.update(null)
    this.#uids.set(key, uid)
    const worker = this.#workers.get(uid)
    if (worker === undefined) this.#add(binding, true)
    else worker.update(binding)
  }
  #add(binding: Binding, wanted: boolean, lost = false): void {
    const { namespace = '', name = '', uid = '' } = binding.pod.metadata ?? {}
    const { link, onError } = this.#options
    const worker: PodWorker = new PodWorker({
      tools: this.#tools,
      binding,
      wanted,
      lost,
      adopted: this.#adopted,
      ip: this.#ips.get(uid),
      report: (report) => link.reportPod(namespace, name, report),
      tell: (current, container) => this.#tell(current, container),
      onFinished: () => {
        if (this.#workers.get(uid) === worker) this.#workers.delete(uid)
        if (this.#uids.get(`${namespace}/${name}`) === uid) this.#uids.delete(`${namespace}/${name}`)
      },
      onError
    })
    this.#workers.set(uid, worker)
    worker.mark()
  }
  #tell({ pod, cause }: Binding, container: string): Tell {
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {}
    const init = (pod.spec?.initContainers ?? []).some((one) => one.name === container)
    const fieldPath = container === '' ? {} : { fieldPath: `spec.${init ? 'initContainers' : 'containers'}{${container}}` }
    const involvedObject = { kind: 'Pod', apiVersion: 'v1', namespace, name, uid, ...fieldPath }
    return (type, reason, message) => this.#notify(namespace, name, { involvedObject, type, reason, message, cause })
  }
  /** As upstream: a node's notices name it by its name, and are found with it in the default namespace. */
  #tellOfNode(reason: string, message: string): void {
    const { node } = this.#options
    const involvedObject = { kind: 'Node', apiVersion: 'v1', namespace: '', name: node, uid: node }
    this.#notify('default', node, { involvedObject, type: 'Warning', reason, message })
  }
  /** Until somebody has taken it: what was seen while nobody listened is told afterwards. */
  #notify(namespace: string, name: string, said: Omit<NoticeReport, 'time' | 'id'>): void {
    const { clock, link, onError } = this.#options
    if (this.#notices >= NOTICES || this.#stopped) return
    this.#notices++
    const notice: NoticeReport = { ...said, id: clock.uuid(), message: said.message.slice(0, 1024), time: timestampWith(3, clock.now()) }
    const send = async (): Promise<void> => {
      for (let tries = 0; !this.#stopped; tries++)
        try {
          return await link.reportNotice(namespace, name, tries === 0 ? notice : { ...notice, again: true })
        } catch (error) {
          if (tries === 0) onError(error)
          await sleep(clock, Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(tries, 10)))
        }
    }
    void send().finally(() => this.#notices--)
  }
  #pulse(): void {
    const { clock, link, onError } = this.#options
    const beat = async (): Promise<void> => {
      await link.pulse(await this.#content())
    }
    beat()
      .catch(onError)
      .finally(() => {
        if (!this.#stopped)
          this.#timers.set(
            'pulse',
            clock.after(PULSE_MS, () => this.#pulse())
          )
      })
  }
  /** Something in the pulse is another: it is not waited for. */
  #beatSoon(): void {
    if (this.#stopped || !this.#timers.has('pulse')) return
    this.#timers.get('pulse')?.cancel()
    this.#timers.set(
      'pulse',
      this.#options.clock.after(0, () => this.#pulse())
    )
  }
  async #content(): Promise<Pulse> {
    const { runtime, node, hostIP, podCIDR, labels = {}, machine } = this.#options
    let answer: RuntimeInfo | undefined
    let problem = ''
    let images: NonNullable<Pulse['images']> = []
    try {
      answer = await runtime.info()
      this.#known = answer
      images = [...(await runtime.images())].sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, IMAGES_SHOWN)
    } catch (error) {
      problem = wordsOf(error)
    }
    return pulseOf({
      node,
      hostIP,
      podCIDR,
      labels,
      machine,
      runtime: answer,
      known: this.#known,
      problem,
      conditions: [conditionOf(this.#strays.unknown.map(podOf), this.#allegiance.foreign)],
      images,
      time: timestampWith(6, this.#options.clock.now())
    })
  }
}

/** As much of a pod as its containers' labels tell: enough to stop it. */
const strayBinding = ({ podUid, namespace, pod }: Identity): Binding => ({
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod, namespace, uid: podUid },
    spec: { containers: [], terminationGracePeriodSeconds: LOST_GRACE_S }
  },
  configMaps: {},
  secrets: {},
  serviceEnv: {},
  cause: { eventId: '', ref: '', correlationId: '' }
})

const podOf = ({ namespace, pod }: Identity): string => `${namespace}/${pod}`
