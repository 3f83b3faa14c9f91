/**
 * A whole cluster on a virtual clock: API servers, the scheduler, the controllers and agents on simulated machines, as they are
 * in production but for the memory twins of what is outside; with messages that are late, lost and doubled, logs that fail as
 * logs do, and processes that crash, are cut off, and come back.
 */
import type { Intent, IntentResult, Intents, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogDamaged } from '#events/Log.ts'
import { streamOf } from '#test/support/builtIns.ts'
import { controllers, userOf } from '#services/controller-manager/controllers.ts'
import { sleep } from '#services/platform/Clock.ts'
import { Controller, Outrun } from '#services/platform/Controller.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { MemoryLog, type MemoryLogOptions } from '#services/platform/MemoryLog.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import type { Views } from '#services/platform/View.ts'
import { Scheduler } from '#services/scheduler/Scheduler.ts'
import { ADMIN } from '../support/api.ts'
import { logFaults, mixtureOf, type Mixture } from './faults.ts'
import { Link } from './Link.ts'
import { Machines } from './Machines.ts'
import { HomeLedger, IDENTITY, Process, VIEWED, type Viewed } from './Process.ts'
import { Served } from './Served.ts'
import { VirtualClock } from './VirtualClock.ts'
import type { Watch } from './Watch.ts'

/** As NATS clients give up on an answer, and ask again with the same id. */
const ANSWER_MS = 2_000
const ASKS = 3
const RESTART_MS = 500
export const BAD_IMAGE = 'bad:1'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  /** API servers that decide at the same time. Default 1. */
  readonly apiServers?: number
  /** Instead of what the seed draws. */
  readonly mixture?: Partial<Mixture>
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
  readonly process: Process
  stop(): void
}

/** Of several events that one intent makes, each has the intent's id and a number. */
const rootOf = (eventId: string): string => eventId.split('.')[0] as string

export class World {
  readonly clock: VirtualClock
  readonly mixture: Mixture
  readonly logs: Readonly<Record<Viewed | 'BINDINGS', MemoryLog>>
  readonly reports: MemoryWorkQueue
  /** What was answered positively, and made an event. */
  readonly acknowledged: Acknowledged[] = []
  readonly errors: string[] = []
  readonly machines: Machines
  readonly watches: Watch[] = []
  /** Processes that found the log damaged, and stopped. */
  readonly halted = new Map<string, LogDamaged>()
  readonly #options: WorldOptions
  readonly #services = new Map<string, Service>()
  readonly #apis: (Served | undefined)[] = []
  readonly #ledgers = new Map(VIEWED.map((stream) => [stream, new HomeLedger(stream, IDENTITY)]))
  readonly #given = new Map<string, string>()
  readonly #stored = new Map<string, number>()
  #away = 0
  #full = 0
  #ended = false
  /** What follows from that is checked for itself. */
  #damaged = false
  /** While false nothing is late, lost or doubled any more than messages are. */
  faults = true

  constructor(options: WorldOptions) {
    this.#options = options
    this.clock = new VirtualClock(options.seed)
    this.machines = new Machines(this.clock)
    this.mixture = { ...mixtureOf(options.seed), ...options.mixture }
    const { clock, mixture } = this
    const faults = logFaults(mixture, clock, () => this.faults, { away: () => this.#isAway(), full: () => this.#full > clock.now() })
    const make = options.log ?? ((stream, clock, more) => new MemoryLog(stream, clock, more))
    const forgets = { faults, identity: IDENTITY, maxAge: mixture.keeps }
    this.logs = {
      EVENTS: make('EVENTS', clock, { faults, identity: IDENTITY }),
      NOTICES: make('NOTICES', clock, forgets),
      PULSE: make('PULSE', clock, { ...forgets, keepLastOnly: true }),
      BINDINGS: make('BINDINGS', clock, { faults, keepLastOnly: true })
    }
    this.reports = new MemoryWorkQueue(clock, { deliver: () => 1 + clock.random() * (this.faults ? 40 : 5) })
  }
  #isAway(): boolean {
    return this.faults && this.#away > this.clock.now()
  }
  /** The log can't be reached by anybody for a while. */
  outage(ms: number): void {
    this.#away = Math.max(this.#away, this.clock.now() + ms)
    this.trace(`the log is away for ${Math.round(ms)} ms`)
  }
  /** It says no to every write for a while. */
  fill(ms: number): void {
    this.#full = Math.max(this.#full, this.clock.now() + ms)
    this.trace(`the disk is full for ${Math.round(ms)} ms`)
  }
  /** One process is cut off from the log, and the others go on. */
  partition(name: string, ms: number): void {
    const process = this.#services.get(name)?.process ?? this.#apis[Number(name.split(' ')[1] ?? -1)]?.process
    if (process === undefined) return
    process.cutUntil = Math.max(process.cutUntil, this.clock.now() + ms)
    this.trace(`${name} is cut off for ${Math.round(ms)} ms`)
  }
  /** From now on everything works, and everybody reaches everything. */
  heal(): void {
    this.trace('quiet')
    this.faults = false
    for (const { process } of [...this.#services.values(), ...this.#apis.filter((one) => one !== undefined)]) process.cutUntil = 0
  }
  /** What a disk can do to EVENTS. */
  damage(what: Parameters<MemoryLog['damage']>[0]): void {
    this.trace(`the log is damaged: ${JSON.stringify(what)}`)
    this.#damaged = true
    this.logs.EVENTS.damage(what)
  }
  trace(what: string): void {
    this.#options.trace?.(`${(this.clock.elapsed / 1000).toFixed(3).padStart(10)}  ${what}`)
  }
  fault(what: string): void {
    this.errors.push(what)
    this.trace(`FAULT ${what}`)
  }
  #fail(where: string, error: unknown): void {
    if (error instanceof Outrun || this.#damaged) return
    const message = error instanceof Error ? error.message : String(error)
    // What comes of lost messages, a log that is away or full, stopped services and closed views is what this world is made of.
    if (/no answer|was closed|not yet|acknowledge|is not there|being terminated|does not answer|insufficient resources|was stopped|can not be reached|is full/.test(message)) return
    this.errors.push(`unexpected error: ${where}: ${message}`)
    this.trace(`ERROR ${where}: ${message}`)
  }
  /** A resourceVersion stands for one event, for ever, whoever says so. */
  #isGiven(stream: string, sequence: number, eventId: string): void {
    const place = `${stream}:${sequence}`
    const before = this.#given.get(place)
    if (before === undefined) this.#given.set(place, eventId)
    else if (rootOf(before) !== rootOf(eventId)) this.fault(`resourceVersion ${sequence} of ${stream} was given to ${before} and then to ${eventId}`)
  }
  #process(name: string, whole: boolean): Process {
    const ledgers = whole && this.mixture.sealed ? this.#ledgers : undefined
    const process: Process = new Process({
      name,
      clock: this.clock,
      logs: this.logs,
      whole,
      ledgers,
      onGiven: (stream, sequence, id) => this.#isGiven(stream, sequence, id),
      onDamaged: (error) => {
        this.halted.set(name, error)
        this.trace(`${name} halts: ${error.message}`)
        this.#halt(process)
      }
    })
    return process
  }
  #halt(process: Process): void {
    for (const [n, served] of this.#apis.entries()) if (served?.process === process) this.stopApi(n)
    for (const [name, service] of this.#services) if (service.process === process) this.stopService(name)
  }
  async start(): Promise<void> {
    for (let n = 0; n < this.apiServers; n++) await this.startApi(n)
    for (let n = 1; n <= this.#options.nodes; n++) this.startAgent(`n${n}`)
    for (const name of this.controlNames()) await this.startControl(name)
  }
  get api(): Served | undefined {
    return this.#apis[0]
  }
  get apiServers(): number {
    return this.#options.apiServers ?? 1
  }
  /** Starts again until it serves, as a supervisor does; not on a log that is damaged. */
  async startApi(n = 0): Promise<void> {
    for (;;) {
      const process = this.#process(`api ${n}`, true)
      try {
        const served = await Served.start({ process, clock: this.clock, reports: this.reports, onError: (what, error) => this.#fail(`api ${n} ${what}`, error) })
        if (served === undefined) return
        this.#apis[n] = served
        return this.trace(`api server ${n} up`)
      } catch (error) {
        this.#fail(`api ${n}`, error)
        process.alive = false
        if (this.#ended || this.halted.has(process.name)) return
        await sleep(this.clock, RESTART_MS)
      }
    }
  }
  serving(n: number): boolean {
    return this.#apis[n] !== undefined
  }
  /** Any API server that serves and is not cut off. */
  server(): Served | undefined {
    const up = this.#apis.filter((one) => one !== undefined && !one.process.isCut())
    return up[up.length > 1 ? Math.floor(this.clock.random() * up.length) : 0]
  }
  stopApi(n = 0): void {
    this.#apis[n]?.stop()
    this.#apis[n] = undefined
    this.trace(`api server ${n} crashed`)
  }
  /** An intent on its way to the decider and back, through a network that loses, delays and doubles. */
  async ask(intent: Intent, user: UserInfo): Promise<IntentResult> {
    for (let tries = 1; ; tries++) {
      const answer = await this.#attempt(tries === 1 ? intent : { ...intent, again: true }, user)
      if (answer !== undefined) {
        if (answer.ok && answer.unchanged !== true && answer.sequence > 0 && intent.options?.dryRun !== true) {
          this.acknowledged.push({ intent, sequence: answer.sequence })
          this.#isGiven(streamOf(intent.ref), answer.sequence, intent.id)
        }
        return answer
      }
      if (tries >= ASKS) throw new Error('no answer from the API server')
    }
  }
  #lost = (): boolean => this.faults && this.clock.random() < this.mixture.message
  #attempt(intent: Intent, user: UserInfo): Promise<IntentResult | undefined> {
    return new Promise((resolve) => {
      // A message doubled on its way comes to the same server; asked again, perhaps another answers.
      const server = this.apiServers > 1 ? Math.floor(this.clock.random() * this.apiServers) : 0
      const timeout = this.clock.after(ANSWER_MS, () => resolve(undefined))
      const delay = (): number => this.clock.random() * (this.faults ? 30 : 3)
      const send = (): void => {
        if (this.#lost()) return
        this.clock.after(delay(), () => {
          const served = this.#apis[server]
          served?.decider.submit(intent, user).then(
            (result) => {
              // Nothing is heard of a process that died meanwhile.
              if (this.#lost() || !served.process.alive) return
              this.clock.after(delay(), () => {
                timeout.cancel()
                resolve(result)
              })
            },
            (error: unknown) => this.#fail('decider', error)
          )
        })
      }
      send()
      if (this.#lost()) send()
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
    const process = this.#process(name, false)
    const views = await process.views()
    if (views === undefined || this.#ended) return
    if (name === 'scheduler') {
      const scheduler = new Scheduler(views, this.intents({ username: 'system:kube-scheduler', groups: ['system:authenticated'] }), this.clock, (error) => this.#fail('scheduler', error))
      scheduler.start()
      this.#serve(process, views, () => scheduler.stop())
    } else {
      const definitions = controllers({ clusterCA: 'ca' })
      const definition = (this.#options.controllers?.(definitions) ?? definitions).find((one) => one.name === name) as ControllerDefinition
      const controller = new Controller(definition, views, this.intents(userOf(name)), this.clock, ({ key, error }) => this.#fail(`${name} ${key}`, error))
      controller.start()
      this.#serve(process, views, () => controller.stop())
    }
    this.trace(`${name} up`)
  }
  #serve(process: Process, views: Views, stop: () => void): void {
    this.#services.set(process.name, {
      process,
      stop: () => {
        process.alive = false
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
  startAgent(node: string): void {
    const { clock } = this
    const process = this.#process(node, false)
    const link = new Link({ node, process, clock, reports: this.reports, stored: this.#stored, server: () => this.server(), lost: this.#lost, away: () => this.#isAway() })
    const agent = this.machines.agent(node, link, (error) => this.#fail(`agent ${node}`, error))
    void agent.start().catch((error: unknown) => this.#fail(`agent ${node}`, error))
    this.#services.set(node, {
      process,
      stop: () => {
        process.alive = false
        agent.stop()
      }
    })
    this.trace(`agent ${node} up`)
  }
  /** Names of everything that can crash. */
  crashable(): string[] {
    return [...this.#services.keys()].sort()
  }
  /** What crashed and is not back yet. */
  get down(): readonly string[] {
    return [...this.controlNames(), ...this.machines.names].filter((name) => !this.#services.has(name))
  }
  async restart(name: string): Promise<void> {
    if (this.machines.has(name)) this.startAgent(name)
    else await this.startControl(name)
  }
  object(kind: { group: string; resource: string }, name: string): KubeObject | undefined {
    return this.api?.views.get({ ...kind, namespace: 'default', name })?.object
  }
  stop(): void {
    this.#ended = true
    for (const watch of this.watches) watch.stop()
    for (const name of [...this.#services.keys()]) this.stopService(name)
    for (const api of this.#apis) api?.stop()
  }
}
