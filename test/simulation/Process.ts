/**
 * One process of the world: its clock, what it reaches of the logs and the work queue, and its views. It can be stopped as by
 * SIGSTOP (its timers and what comes to it stand still, and then come all at once) and killed (nothing of it goes on).
 */
import { LogDamaged, type Follow, type Log, type Subscription } from '#events/Log.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { partOf } from '#services/apiserver/door/parts.ts'
import { Historian } from '#services/historian/Historian.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import { ENDPOINT_PARTS, endpointPartOf, HELD_OF_ENDPOINTS } from '#services/platform/endpoints.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Place } from '#services/platform/ledger/Ledger.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import type { MemoryLog } from '#services/platform/MemoryLog.ts'
import type { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import type { WorkQueue } from '#services/platform/WorkQueue.ts'
import type { Network } from './Network.ts'
import { ProcessClock } from './ProcessClock.ts'

export const VIEWED = ['EVENTS', 'NOTICES', 'PULSE'] as const
export type Viewed = (typeof VIEWED)[number]
export type Logs = Readonly<Record<Viewed | 'BINDINGS', MemoryLog>>
export const IDENTITY = 'the-log'
const RESTART_MS = 500

/** What a home remembers: of several processes that write it, the furthest. */
export class HomeLedger extends MemoryLedger {
  override remember(place: Place): void {
    if (place.sequence > this.head().sequence) super.remember(place)
  }
}

const KEYS = new Map([['k1', Buffer.alloc(32, 7)]])
export const SEAL = new Seal(KEYS)
/** What every world's bindings are sealed with. */
export const BINDING_SEAL = allNodes(KEYS)

export interface ProcessOptions {
  readonly name: string
  /** Its machine's. */
  readonly clock: Clock
  readonly network: Network
  readonly logs: Logs
  /** The home's, of a process that checks what it reads; without them it reads parts, in which sequences have gaps. */
  readonly ledgers?: ReadonlyMap<Viewed, HomeLedger> | undefined
  /** An API server follows whole streams. */
  readonly whole: boolean
  /** Views notice that Leases leave their stream by themselves. */
  readonly leasesExpire: boolean
  /** How many names of objects that are gone its views remember. */
  readonly names: number
  /** Told of every event it folds. */
  readonly onGiven: (stream: string, sequence: number, eventId: string) => void
  /** Told of what goes wrong at its start, and in what reads the past. */
  readonly onError: (error: unknown) => void
  /** The log is not what it was: the process has stopped. */
  readonly onDamaged: (error: LogDamaged) => void
}

/** So that even a short history has places from which a reader goes on. */
const MARK_EVERY = 16

export class Process {
  readonly name: string
  readonly clock: Clock
  /** Where the past is, of a process that follows whole streams. */
  readonly pasts = new Map<Viewed, MemoryPast>()
  readonly #options: ProcessOptions
  readonly #ends: (() => void)[] = []
  /** What has come while it stands still. */
  #waiting: (() => void)[] = []
  #paused = false
  #alive = true

  constructor(options: ProcessOptions) {
    this.name = options.name
    this.#options = options
    this.clock = new ProcessClock(options.clock, (task) => this.enter(task))
  }
  get alive(): boolean {
    return this.#alive
  }
  get paused(): boolean {
    return this.#paused
  }
  /** Whatever comes to a process comes this way: now, when it goes on, or never. */
  enter(task: () => void): void {
    if (!this.#alive) return
    if (this.#paused) this.#waiting.push(task)
    else task()
  }
  /** What becomes of a promise that somebody outside settles, as the process sees it. */
  entered<Value>(promise: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.enter(() => resolve(value)),
        (error: unknown) => this.enter(() => reject(error))
      )
    })
  }
  pause(): void {
    this.#paused = true
  }
  /** What has come meanwhile is done in its order, before what comes now; between two of them promises settle, as in an event loop. */
  resume(): void {
    if (!this.#paused) return
    const next = (): void => {
      const task = this.#waiting.shift()
      if (!this.#alive) return
      if (task === undefined) this.#paused = false
      else {
        task()
        queueMicrotask(next)
      }
    }
    next()
  }
  /** As `kill -9`: nothing it has not said by now is heard, and its connections break. */
  kill(): void {
    this.#alive = false
    this.#waiting = []
    for (const end of this.#ends.splice(0)) end()
  }
  /** Called when it is killed, by what it leaves in the world outside. */
  onEnd(end: () => void): void {
    this.#ends.push(end)
  }
  readonly isCut = (): boolean => !this.#alive || !this.#options.network.reachesLog(this.name)

  /** `filters`: the subjects of the part that is followed. */
  log(stream: Viewed | 'BINDINGS', filters?: readonly string[]): Log {
    const { logs, whole } = this.#options
    const outside = logs[stream].reachedBy(this.isCut, { gapless: whole, ...(filters === undefined ? {} : { filters }) })
    return {
      stream: outside.stream,
      append: (appends, waitMs) => this.entered(outside.append(appends, waitMs)),
      follow: (follow) => this.#follow(outside, follow),
      get: (sequence) => this.entered(outside.get(sequence)),
      read: (range) => this.#read(outside.read(range)),
      lastOn: (subject, upTo) => this.entered(outside.lastOn(subject, upTo)),
      lastSequence: () => this.entered(outside.lastSequence()),
      state: () => this.entered(outside.state())
    }
  }
  #follow(outside: Log, follow: Follow): Subscription {
    const { onEntries, onCaughtUp, onFailed } = follow
    const subscription = outside.follow({
      ...follow,
      onEntries: (entries) =>
        this.enter(() => {
          try {
            onEntries(entries)
          } catch (error) {
            // As its follower would, which has gone on when the process stood still.
            subscription.close()
            onFailed(error as Error)
          }
        }),
      ...(onCaughtUp === undefined ? {} : { onCaughtUp: (last) => this.enter(() => onCaughtUp(last)) }),
      onFailed: (error) => this.enter(() => onFailed(error))
    })
    this.onEnd(() => subscription.close())
    return subscription
  }
  async *#read<Item>(outside: AsyncIterable<Item>): AsyncGenerator<Item> {
    const items = outside[Symbol.asyncIterator]()
    for (;;) {
      const { done, value } = await this.entered(items.next())
      if (done === true) return
      yield value
    }
  }
  queue(queue: MemoryWorkQueue): WorkQueue {
    const outside = queue.reachedBy(this.isCut)
    return {
      consume: (onDelivery, onError) => {
        const subscription = outside.consume((delivery) => this.enter(() => onDelivery(delivery)), onError)
        this.onEnd(() => subscription.close())
        return subscription
      },
      read: (sequence) => this.entered(outside.read(sequence)),
      newest: (subject) => this.entered(outside.newest(subject)),
      trim: (filter, keep) => this.entered(outside.trim(filter, keep))
    }
  }
  /** A port to something on the machine that lives on without the process: answers and events come to it only while it runs. */
  within<Port extends object>(port: Port): Port {
    const inner = (value: unknown): unknown => {
      if (typeof value === 'function') return (...some: unknown[]) => this.enter(() => void value(...some))
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
      return Object.values(value).some((one) => typeof one === 'function')
        ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one)]))
        : value
    }
    return new Proxy(port, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name)
        if (typeof method !== 'function') return method
        return (...some: unknown[]): unknown => {
          const result: unknown = method.apply(target, some.map(inner))
          return result instanceof Promise ? this.entered(result) : result
        }
      }
    })
  }
  /** Views that have caught up; never, when the process ends before. Undefined when the log is damaged. */
  async views(): Promise<Views | undefined> {
    const list = await this.#started(() => VIEWED.map((stream) => this.#view(stream)))
    if (list === undefined) return undefined
    if (this.#options.whole) this.#index()
    return new Views(list, builtIns)
  }
  /** What a node's kube-proxy or DNS sees, as the API server hands it out to that user. `mistake`: of what it is told. */
  async endpoints(user: string, mistake: (log: Log) => Log): Promise<Views | undefined> {
    const list = await this.#started(() => ENDPOINT_PARTS.map((name) => this.#part(user, name, mistake)))
    return list === undefined ? undefined : new Views(list, builtIns, endpointPartOf)
  }
  async #started(make: () => readonly View[]): Promise<readonly View[] | undefined> {
    for (;;) {
      const list = make()
      try {
        await Promise.all(list.map((view) => view.start()))
        return list
      } catch (error) {
        for (const view of list) view.close()
        if (error instanceof LogDamaged) {
          this.#damaged(error)
          return undefined
        }
        // The log is away: a process that can't start is started again.
        this.#options.onError(error)
        await sleep(this.clock, RESTART_MS)
      }
    }
  }
  #part(user: string, name: string, mistake: (log: Log) => Log): View {
    const part = partOf(user, name)
    if (part === undefined) throw new Error(`${user} may not follow ${name}`)
    const view = new View('EVENTS', mistake(this.log('EVENTS', part.filters)), this.clock, { api: builtIns, name, ...HELD_OF_ENDPOINTS })
    view.onFailed = (error) => error instanceof LogDamaged && this.#damaged(error)
    return view
  }
  #view(stream: Viewed): View {
    const { ledgers, onGiven } = this.#options
    const ledger = ledgers?.get(stream)
    const expires = stream === 'NOTICES' || (stream === 'PULSE' && this.#options.leasesExpire)
    const integrity =
      ledger === undefined
        ? {}
        : {
            integrity: new Integrity({ seal: SEAL, ledger, whole: stream !== 'PULSE', expires: stream !== 'EVENTS', markEvery: MARK_EVERY })
          }
    const view = new View(stream, this.log(stream), this.clock, { api: builtIns, expires, names: this.#options.names, ...integrity })
    view.subscribe(({ entry, expired }) => expired === true || onGiven(stream, entry.sequence, entry.facts.id))
    view.onFailed = (error) => error instanceof LogDamaged && this.#damaged(error)
    return view
  }
  #damaged(error: LogDamaged): void {
    if (!this.#alive) return
    this.kill()
    this.#options.onDamaged(error)
  }
  /** As in an API server's process, where they read the log beside the views. */
  #index(): void {
    const { clock } = this
    const { ledgers, onError } = this.#options
    for (const stream of ['EVENTS', 'NOTICES'] as const) {
      const ledger = ledgers?.get(stream)
      const store = new MemoryPast(stream, clock)
      const historian = new Historian({
        log: this.log(stream),
        store,
        clock,
        expires: stream !== 'EVENTS',
        ...(ledger === undefined
          ? {}
          : {
              integrity: (from) =>
                new Integrity({
                  seal: SEAL,
                  ledger: watching(ledger),
                  whole: true,
                  expires: stream !== 'EVENTS',
                  ...(from === undefined ? {} : { from })
                })
            }),
        onDamaged: (damage) => this.#damaged(new LogDamaged(damage)),
        onError
      })
      this.pasts.set(stream, store)
      this.onEnd(() => historian.stop())
      historian.start()
    }
  }
}
