/** One process of the world: what it reaches of the logs while it lives and is not cut off, and its views of them. */
import { LogDamaged, type Log } from '#events/Log.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { Historian } from '#services/historian/Historian.ts'
import { sleep, type Clock } from '#services/platform/Clock.ts'
import { Integrity } from '#services/platform/ledger/Integrity.ts'
import { MemoryLedger, type Place } from '#services/platform/ledger/Ledger.ts'
import { watching } from '#services/platform/ledger/watching.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import type { MemoryLog } from '#services/platform/MemoryLog.ts'
import { allNodes } from '#services/platform/secrets/NodeKeys.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import { View, Views } from '#services/platform/View.ts'

export const VIEWED = ['EVENTS', 'NOTICES', 'PULSE'] as const
export type Viewed = (typeof VIEWED)[number]
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
  readonly clock: Clock
  readonly logs: Readonly<Record<Viewed | 'BINDINGS', MemoryLog>>
  /** The home's, of a process that checks what it reads; without them it reads parts, in which sequences have gaps. */
  readonly ledgers?: ReadonlyMap<Viewed, HomeLedger> | undefined
  /** An API server follows whole streams. */
  readonly whole: boolean
  /** Told of every event it folds. */
  readonly onGiven: (stream: string, sequence: number, eventId: string) => void
  /** The log is not what it was: the process has stopped. */
  readonly onDamaged: (error: LogDamaged) => void
}

/** So that even a short history has places from which a reader goes on. */
const MARK_EVERY = 16

export class Process {
  readonly name: string
  readonly #options: ProcessOptions
  /** Where the past is, of a process that follows whole streams. */
  readonly pasts = new Map<Viewed, MemoryPast>()
  readonly #historians: Historian[] = []
  alive = true
  /** Cut off from the log until then, by the clock. */
  cutUntil = 0

  constructor(options: ProcessOptions) {
    this.name = options.name
    this.#options = options
  }
  readonly isCut = (): boolean => !this.alive || this.cutUntil > this.#options.clock.now()

  log(stream: Viewed | 'BINDINGS'): Log {
    const { logs, whole } = this.#options
    return logs[stream].reachedBy(this.isCut, whole)
  }
  /** Views that have caught up; undefined when the process ended before. */
  async views(): Promise<Views | undefined> {
    const { clock, whole, ledgers, onGiven, onDamaged } = this.#options
    while (this.alive) {
      const list = VIEWED.map((stream) => {
        const ledger = ledgers?.get(stream)
        const integrity = ledger === undefined ? {} : { integrity: new Integrity({ seal: SEAL, ledger, whole: stream !== 'PULSE', expires: stream !== 'EVENTS', markEvery: MARK_EVERY }) }
        const view = new View(stream, this.log(stream), clock, { api: builtIns, expires: stream !== 'EVENTS', ...integrity })
        view.subscribe(({ entry, expired }) => expired === true || onGiven(stream, entry.sequence, entry.facts.id))
        view.onFailed = (error) => {
          if (!(error instanceof LogDamaged) || !this.alive) return
          this.alive = false
          onDamaged(error)
        }
        return view
      })
      try {
        await Promise.all(list.map((view) => view.start()))
        if (whole) this.#index()
        return new Views(list, builtIns)
      } catch (error) {
        for (const view of list) view.close()
        if (error instanceof LogDamaged) {
          if (this.alive) onDamaged(error)
          this.alive = false
          return undefined
        }
        // The log is away: a process that can't start is started again.
        await sleep(clock, RESTART_MS)
      }
    }
    return undefined
  }
  /** As in an API server's process, where they read the log beside the views. */
  #index(): void {
    const { clock, ledgers, onDamaged } = this.#options
    for (const stream of ['EVENTS', 'NOTICES'] as const) {
      const ledger = ledgers?.get(stream)
      const store = new MemoryPast(stream, clock)
      const historian = new Historian({
        log: this.log(stream),
        store,
        clock,
        expires: stream !== 'EVENTS',
        ...(ledger === undefined ? {} : { integrity: (from) => new Integrity({ seal: SEAL, ledger: watching(ledger), whole: true, expires: stream !== 'EVENTS', ...(from === undefined ? {} : { from }) }) }),
        onDamaged: (damage) => {
          if (this.alive) onDamaged(new LogDamaged(damage))
          this.alive = false
        },
        // The log is away, or this process is over.
        onError: () => this.alive || historian.stop()
      })
      this.pasts.set(stream, store)
      this.#historians.push(historian)
      historian.start()
    }
  }
  /** Nothing of it goes on. */
  end(): void {
    this.alive = false
    for (const historian of this.#historians) historian.stop()
  }
}
