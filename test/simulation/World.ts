/**
 * A whole cluster on a virtual clock: API servers, schedulers, controller managers and agents on simulated machines, as they are
 * in production but for the memory twins of what is outside; with messages that are late, lost and doubled, logs that fail as
 * logs do, clocks that differ, and processes that crash, stand still, are cut off, and come back.
 */
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { LogDamaged, LogEntry } from '#events/Log.ts'
import type { Term } from '#events/coordination/term.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import type { ControllerDefinition } from '#services/platform/decision.ts'
import { MemoryLog, type MemoryLogOptions } from '#services/platform/MemoryLog.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { ADMIN } from '#test/support/api.ts'
import { startControl, type Elected } from './Control.ts'
import { Doors, type Acknowledged } from './Doors.ts'
import { logFaults, mixtureOf, type Mixture } from './faults.ts'
import { Endpoints } from './Endpoints.ts'
import { Link } from './Link.ts'
import { Machines } from './Machines.ts'
import { NONE, type Mistakes } from './mistakes.ts'
import { LOG, Network } from './Network.ts'
import { isPassingError } from './passing.ts'
import { HomeLedger, IDENTITY, Process, VIEWED, type Logs } from './Process.ts'
import { SkewedClock } from './ProcessClock.ts'
import { Served } from './Served.ts'
import { VirtualClock } from './VirtualClock.ts'
import type { Watch } from './Watch.ts'

const RESTART_MS = 500
const STOP_MS = 2_000
export const BAD_IMAGE = 'bad:1'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  /** Instead of what the seed draws. */
  readonly mixture?: Partial<Mixture>
  /** Replaces a log or a controller, or puts a mistake back: how the invariants themselves are tested. */
  readonly log?: (stream: string, clock: VirtualClock, options: MemoryLogOptions) => MemoryLog
  readonly controllers?: (definitions: readonly ControllerDefinition[]) => readonly ControllerDefinition[]
  readonly mistakes?: Mistakes
  readonly trace?: (line: string) => void
}

interface Service {
  readonly process: Process
  /** As on SIGTERM. */
  stop(): Promise<void>
  /** What must not go on in the world outside when it was killed. */
  kill?(): void
}

/** Of several events that one intent makes, each has the intent's id and a number. */
export const rootOf = (eventId: string): string => eventId.split('.')[0] as string

export class World {
  readonly clock: VirtualClock
  readonly mixture: Mixture
  readonly network: Network
  readonly logs: Logs
  readonly reports: MemoryWorkQueue
  readonly doors: Doors
  readonly errors: string[] = []
  readonly machines: Machines
  readonly watches: Watch[] = []
  /** kube-proxy and DNS of each node, as they were started last. */
  readonly endpoints = new Map<string, Endpoints>()
  /** Everything that was ever stored in BINDINGS and in PULSE, which forget. */
  readonly stored: Readonly<Record<'BINDINGS' | 'PULSE', LogEntry[]>> = { BINDINGS: [], PULSE: [] }
  /** Processes that found the log damaged, and stopped. */
  readonly halted = new Map<string, LogDamaged>()
  readonly #options: WorldOptions
  readonly #mistakes: Mistakes
  readonly #services = new Map<string, Service>()
  readonly #apis: (Served | undefined)[] = []
  readonly #ledgers = new Map(VIEWED.map((stream) => [stream, new HomeLedger(stream, IDENTITY)]))
  readonly #given = new Map<string, string>()
  readonly #noticed = new Map<string, number>()
  readonly #clocks = new Map<string, Clock>()
  #away = 0
  #gone = 0
  #full = 0
  #ended = false
  /** What follows from that is checked for itself. */
  #damaged = false
  /** While false nothing is late, lost or doubled any more than messages are. */
  faults = true

  constructor(options: WorldOptions) {
    this.#options = options
    this.#mistakes = options.mistakes ?? NONE
    this.clock = new VirtualClock(options.seed)
    this.network = new Network(this.clock)
    this.mixture = { ...mixtureOf(options.seed), ...options.mixture }
    const { clock, mixture } = this
    this.machines = new Machines({
      clockOf: (node) => this.#clockOf(node),
      refuses: () => this.faults && clock.random() < mixture.filter,
      onFault: (fault) => this.fault(fault)
    })
    const until = (time: () => number) => (): boolean => this.faults && time() > clock.now()
    const faults = logFaults(mixture, clock, () => this.faults, {
      away: until(() => this.#away),
      gone: until(() => this.#gone),
      full: until(() => this.#full)
    })
    const make = options.log ?? ((stream, clock, more) => new MemoryLog(stream, clock, more))
    const forgets = { faults, identity: IDENTITY, maxAge: mixture.keeps }
    const onStored = (stream: 'BINDINGS' | 'PULSE') => ({ onStored: (entry: LogEntry) => void this.stored[stream].push(entry) })
    this.logs = {
      EVENTS: make('EVENTS', clock, { faults, identity: IDENTITY }),
      NOTICES: make('NOTICES', clock, forgets),
      PULSE: make('PULSE', clock, { ...forgets, keepLastOnly: true, ...onStored('PULSE') }),
      BINDINGS: make('BINDINGS', clock, { faults, keepLastOnly: true, ...onStored('BINDINGS') })
    }
    this.reports = new MemoryWorkQueue(clock, { deliver: () => 1 + clock.random() * (this.faults ? 40 : 5), lose: () => this.#isLost() })
    this.doors = new Doors({
      clock,
      delay: () => clock.random() * (this.faults ? 30 : 3),
      lost: (from, to) => this.#loses(from, to),
      doubled: () => this.#isLost(),
      servers: () => this.#apis.filter((one) => one !== undefined),
      onAnswered: (stream, sequence, id) => this.#isGiven(stream, sequence, id),
      onError: (error) => this.#fail('decider', error)
    })
  }
  get acknowledged(): readonly Acknowledged[] {
    return this.doors.acknowledged
  }
  /** By intent: the term it was asked under. */
  get terms(): ReadonlyMap<string, Term> {
    return this.doors.terms
  }
  #isAway(): boolean {
    return this.faults && Math.max(this.#away, this.#gone) > this.clock.now()
  }
  #isLost(): boolean {
    return this.faults && this.clock.random() < this.mixture.message
  }
  /** Everybody talks by way of the log's server. */
  #loses(from: string, to: string): boolean {
    return this.#isAway() || !this.network.passes(from, to) || this.#isLost()
  }
  #clockOf(host: string): Clock {
    const known = this.#clocks.get(host)
    if (known !== undefined) return known
    const { skew, drift } = this.mixture
    const differs = (by: number): number => (by === 0 ? 0 : (2 * this.clock.random() - 1) * by)
    const made = skew === 0 && drift === 0 ? this.clock : new SkewedClock(this.clock, { offset: differs(skew), rate: 1 + differs(drift) })
    this.#clocks.set(host, made)
    return made
  }
  /** The log stands still and does not answer; or its server is gone for a while, and comes back without the connections it had. */
  outage(ms: number, how: 'frozen' | 'gone'): void {
    const until = this.clock.now() + ms
    if (how === 'frozen') this.#away = Math.max(this.#away, until)
    else this.#gone = Math.max(this.#gone, until)
    this.reports.away = true
    this.clock.after(ms, () => (this.reports.away = this.#isAway()))
    if (how === 'gone') {
      for (const log of Object.values(this.logs)) log.restart()
      this.reports.restart()
    }
    this.trace(`the log is ${how} for ${Math.round(ms)} ms`)
  }
  /** It says no to every write for a while. */
  fill(ms: number): void {
    this.#full = Math.max(this.#full, this.clock.now() + ms)
    this.trace(`the disk is full for ${Math.round(ms)} ms`)
  }
  /** Nothing passes from one process, or the log, to another. */
  cut(from: string, to: string, ms: number): void {
    this.network.cut(from, to, ms)
    this.trace(`nothing passes from ${from} to ${to} for ${Math.round(ms)} ms`)
  }
  /** One process stands still, as on SIGSTOP. */
  pause(name: string, ms: number): void {
    const process = this.#processOf(name)
    if (process === undefined || process.paused) return
    process.pause()
    this.trace(`${name} stands still for ${Math.round(ms)} ms`)
    this.clock.after(ms, () => {
      this.trace(`${name} goes on`)
      process.resume()
    })
  }
  #processOf(name: string): Process | undefined {
    return this.#services.get(name)?.process ?? this.#apis.find((one) => one?.process.name === name)?.process
  }
  get processes(): readonly Process[] {
    return [
      ...[...this.#services.values()].map(({ process }) => process),
      ...this.#apis.flatMap((one) => (one === undefined ? [] : [one.process]))
    ]
  }
  /** From now on everything works, and everybody reaches everything. */
  heal(): void {
    this.trace('quiet')
    this.faults = false
    this.network.heal()
    this.reports.away = false
    for (const process of this.processes) process.resume()
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
    if (this.#damaged || isPassingError(error)) return
    this.fault(`unexpected error: ${where}: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`)
  }
  /** A resourceVersion stands for one event, for ever, whoever says so. */
  #isGiven(stream: string, sequence: number, eventId: string): void {
    const place = `${stream}:${sequence}`
    const before = this.#given.get(place)
    if (before === undefined) this.#given.set(place, eventId)
    else if (rootOf(before) !== rootOf(eventId))
      this.fault(`resourceVersion ${sequence} of ${stream} was given to ${before} and then to ${eventId}`)
  }
  #process(name: string, whole: boolean): Process {
    return new Process({
      name,
      clock: this.#clockOf(name),
      network: this.network,
      logs: this.logs,
      whole,
      leasesExpire: !this.#mistakes.unexpired,
      names: this.mixture.names,
      ledgers: whole && this.mixture.sealed ? this.#ledgers : undefined,
      onGiven: (stream, sequence, id) => this.#isGiven(stream, sequence, id),
      onError: (error) => this.#fail(`${name} reading the log`, error),
      onDamaged: (error) => {
        this.halted.set(name, error)
        this.trace(`${name} halts: ${error.message}`)
        for (const [n, served] of this.#apis.entries()) if (served?.process.name === name) this.crashApi(n)
        if (this.#services.has(name)) this.crash(name)
      }
    })
  }
  async start(): Promise<void> {
    for (let n = 0; n < this.apiServers; n++) await this.startApi(n)
    for (let n = 1; n <= this.#options.nodes; n++) this.startAgent(`n${n}`)
    await Promise.all(this.controlNames().map((name) => this.startControl(name)))
  }
  /** Any of them that serves, as invariants read it. */
  get api(): Served | undefined {
    return this.#apis.find((one) => one !== undefined)
  }
  get apis(): readonly Served[] {
    return this.#apis.filter((one) => one !== undefined)
  }
  get apiServers(): number {
    return this.mixture.apiServers
  }
  /** Starts again until it serves, as a supervisor does; not on a log that is damaged. */
  async startApi(n = 0): Promise<void> {
    const name = `api ${n}`
    for (;;) {
      const process = this.#process(name, true)
      try {
        const served = await Served.start({
          process,
          reports: this.reports,
          mistakes: this.#mistakes,
          onError: (what, error) => this.#fail(`${name} ${what}`, error)
        })
        if (served === undefined) return
        this.#apis[n] = served
        return this.trace(`api server ${n} up`)
      } catch (error) {
        this.#fail(name, error)
        if (this.#ended || this.halted.has(name)) return
        await sleep(this.clock, RESTART_MS)
      }
    }
  }
  serving(n: number): boolean {
    return this.#apis[n] !== undefined
  }
  /** Any API server that serves. */
  server(): Served | undefined {
    const up = this.apis
    return up[up.length > 1 ? Math.floor(this.clock.random() * up.length) : 0]
  }
  crashApi(n: number): void {
    this.#apis[n]?.kill()
    this.#apis[n] = undefined
    this.trace(`api server ${n} crashed`)
  }
  async stopApi(n: number): Promise<void> {
    const served = this.#apis[n]
    this.#apis[n] = undefined
    this.trace(`api server ${n} stops`)
    await Promise.race([served?.stop(), sleep(this.clock, STOP_MS)])
    served?.kill()
  }
  /** As the administrator, from a command line that asks until it is answered. */
  person(intent: Omit<Intent, 'id' | 'source' | 'version'> & { readonly version?: string }): Promise<IntentResult | undefined> {
    this.trace(
      `person: ${intent.verb} ${intent.ref.resource}/${intent.name}${intent.subresource === undefined ? '' : `/${intent.subresource}`}`
    )
    return this.doors.ask({ version: 'v1', ...intent, id: this.clock.uuid(), source: 'kubectl' }, ADMIN).catch(() => undefined)
  }
  controlNames(): string[] {
    const some = (what: Elected, count: number): string[] => Array.from({ length: count }, (_, n) => `${what} ${n}`)
    return [...some('kube-scheduler', this.mixture.schedulers), ...some('kube-controller-manager', this.mixture.managers)]
  }
  async startControl(name: string): Promise<void> {
    const process = this.#process(name, false)
    const views = await process.views()
    if (views === undefined || this.#ended) return
    const control = startControl({
      what: name.split(' ')[0] as Elected,
      process,
      views,
      // The first is the home's own, and goes on under its name.
      identity: name.endsWith(' 0') ? name : `${name} ${this.clock.uuid()}`,
      intents: (user: UserInfo) => this.doors.intents(user, process, !this.#mistakes.unfenced),
      definitions: this.#options.controllers,
      unelected: this.#mistakes.unelected,
      onLeading: (what) => this.trace(what),
      onError: (what, error) => this.#fail(`${name} ${what}`, error)
    })
    this.#services.set(name, { process, stop: () => control.stop() })
    this.trace(`${name} up`)
  }
  startAgent(node: string): void {
    const process = this.#process(node, false)
    const link = new Link({
      node,
      process,
      clock: this.clock,
      reports: this.reports,
      stored: this.#noticed,
      server: () => this.server(),
      lost: (from, to) => this.#loses(from, to),
      away: () => this.#isAway()
    })
    const agent = this.machines.agent(node, process, link, (error) => this.#fail(`agent ${node}`, error))
    void agent.start().catch((error: unknown) => this.#fail(`agent ${node}`, error))
    const endpoints = new Endpoints({
      node,
      process,
      filter: this.machines.filter(node),
      mistakes: this.#mistakes,
      onError: (what, error) => this.#fail(`${what} ${node}`, error)
    })
    void endpoints.start().catch((error: unknown) => this.#fail(`endpoints ${node}`, error))
    this.endpoints.set(node, endpoints)
    const stop = async (): Promise<void> => {
      agent.stop()
      await endpoints.stop()
    }
    this.#services.set(node, { process, stop, kill: () => agent.stop() })
    this.trace(`agent ${node} up`)
  }
  crash(name: string): void {
    const service = this.#services.get(name)
    this.#services.delete(name)
    service?.process.kill()
    service?.kill?.()
    this.trace(`${name} crashed`)
  }
  async stopService(name: string): Promise<void> {
    const service = this.#services.get(name)
    this.#services.delete(name)
    this.trace(`${name} stops`)
    await Promise.race([service?.stop(), sleep(this.clock, STOP_MS)])
    service?.process.kill()
    this.trace(`${name} stopped`)
  }
  /** The machine has no power: its agent is gone, and so is everything that ran. */
  powerOff(node: string): void {
    this.trace(`${node} has no power`)
    this.crash(node)
    void this.machines.powerOff(node)
  }
  /** Names of everything that can crash. */
  crashable(): string[] {
    return [...this.#services.keys()].sort()
  }
  /** Places a way can be cut between. */
  places(): string[] {
    return [LOG, ...Array.from({ length: this.apiServers }, (_, n) => `api ${n}`), ...this.crashable()]
  }
  /** What crashed and is not back yet. */
  get down(): readonly string[] {
    const apis = Array.from({ length: this.apiServers }, (_, n) => n).filter((n) => !this.serving(n))
    return [...apis.map((n) => `api ${n}`), ...[...this.controlNames(), ...this.machines.names].filter((name) => !this.#services.has(name))]
  }
  async restart(name: string): Promise<void> {
    if (this.#services.has(name)) return
    if (this.machines.has(name)) this.startAgent(name)
    else await this.startControl(name)
  }
  object(kind: { group: string; resource: string }, name: string): KubeObject | undefined {
    return this.api?.views.get({ ...kind, namespace: 'default', name })?.object
  }
  stop(): void {
    this.#ended = true
    for (const watch of this.watches) watch.stop()
    for (const process of this.processes) process.kill()
  }
}
