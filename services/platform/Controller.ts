/**
 * The controller loop, written once: changes mark keys dirty, each dirty key is decided on the present state,
 * the decision's intents are submitted in order, and the key rests until the view has folded what it asked for.
 *
 * Level-triggered: a change only says which key to look at. Waiting for the fold is what other systems call
 * expectations: between asking and seeing our own event nothing is asked twice.
 */
import { DEFINITIONS } from '#events/collections.ts'
import { resourceId } from '#events/Key.ts'
import type { Cause, Intent, IntentResult, Intents } from '#events/Intent.ts'
import type { Subscription } from '#events/Log.ts'
import { isPassing } from '#events/Refusal.ts'
import type { Change } from '#projections/Objects.ts'
import { sleep, type Clock, type Timer } from './Clock.ts'
import {
  causeOf,
  Refused,
  watchesOf,
  type Ask,
  type ControllerDefinition,
  type ControllerWatch,
  type DecideContext,
  type Decision
} from './decision.ts'
import type { Views } from './Views.ts'

const FIRST_RETRY_MS = 10
const LAST_RETRY_MS = 30_000
/** A full disk is a fault that passes: what waits for it goes on soon after. */
const NO_ROOM_RETRY_MS = 5_000
const NO_ROOM = 'InsufficientStorage'
const NOTICES = resourceId({ group: '', resource: 'events' })
/** Whoever waits longer is asked again on the way: timers beyond 2³¹ ms would fire at once. */
const LONGEST_WAIT_MS = 3_600_000
/** Between asking again after a lost answer. */
const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 5_000
/** Keys decided at the same time; the rest wait in order. */
const PARALLEL = 16

export interface ControllerReport {
  readonly controller: string
  readonly key: string
  readonly error: unknown
}

export class Controller {
  readonly #definition: ControllerDefinition
  readonly #views: Views
  readonly #intents: Intents
  readonly #clock: Clock
  readonly #onError: (report: ControllerReport) => void
  /** Dirty keys in order; the value is the change that made it dirty, for the cause. */
  readonly #dirty = new Map<string, Cause | undefined>()
  readonly #busy = new Set<string>()
  readonly #failures = new Map<string, number>()
  readonly #timers = new Map<string, Timer>()
  /** By what is watched. */
  readonly #watched = new Map<string, Subscription>()
  #definitions: Subscription | undefined
  #running = false
  #pumping = false

  constructor(
    definition: ControllerDefinition,
    views: Views,
    intents: Intents,
    clock: Clock,
    onError: (report: ControllerReport) => void = () => {}
  ) {
    this.#definition = definition
    this.#views = views
    this.#intents = intents
    this.#clock = clock
    this.#onError = onError
  }
  /** Looks at everything there is, then at what changes. */
  start(): void {
    this.#running = true
    this.#watchServed()
    if (typeof this.#definition.watches !== 'function') return
    const id = resourceId(DEFINITIONS)
    this.#definitions = this.#views.of(DEFINITIONS).subscribe(({ entry }) => {
      if (resourceId(entry.key) === id) this.#watchServed()
    })
  }
  /** Begins with what it does not watch yet, and leaves what is no longer served. */
  #watchServed(): void {
    const wanted = new Map<string, ControllerWatch>()
    for (const watch of watchesOf(this.#definition, this.#views.api)) {
      let name = resourceId(watch.ref)
      // A controller may look at one collection for several reasons.
      while (wanted.has(name)) name += '+'
      wanted.set(name, watch)
    }
    for (const [name, watch] of wanted) if (!this.#watched.has(name)) this.#watched.set(name, this.#watch(watch))
    for (const [name, subscription] of this.#watched) {
      if (wanted.has(name)) continue
      subscription.close()
      this.#watched.delete(name)
    }
  }
  #watch({ ref, keys }: ControllerWatch): Subscription {
    const look = (change: Change): void => {
      for (const key of keys(change, this.#views, this.#views.api)) this.#mark(key, causeOf(change.entry))
    }
    for (const entry of this.#views.collection(ref).list()) look({ type: 'ADDED', entry, previous: undefined })
    const id = resourceId(ref)
    return this.#views.of(ref).subscribe((change) => {
      if (resourceId(change.entry.key) === id) look(change)
    })
  }
  stop(): void {
    this.#running = false
    this.#definitions?.close()
    for (const subscription of this.#watched.values()) subscription.close()
    for (const timer of this.#timers.values()) timer.cancel()
    this.#watched.clear()
    this.#timers.clear()
    this.#dirty.clear()
  }
  #mark(key: string, cause: Cause | undefined): void {
    // The newest cause wins: it is the one whose state the decision will see.
    this.#dirty.delete(key)
    this.#dirty.set(key, cause)
    this.#pump()
  }
  #pump(): void {
    if (this.#pumping || !this.#running) return
    this.#pumping = true
    // A microtask later, so that a burst of changes in one fold is decided once.
    queueMicrotask(() => {
      this.#pumping = false
      for (const [key, cause] of this.#dirty) {
        if (!this.#running || this.#busy.size >= PARALLEL) return
        if (this.#busy.has(key)) continue
        this.#dirty.delete(key)
        this.#busy.add(key)
        void this.#handle(key, cause)
      }
    })
  }
  #context(): DecideContext {
    return { api: this.#views.api, now: this.#clock.now(), random: this.#clock.random() }
  }
  async #handle(key: string, cause: Cause | undefined): Promise<void> {
    try {
      const decision = this.#definition.decide(this.#views, key, this.#context())
      for (const batch of batchesOf(decision.asks)) await this.#submitAll(batch, cause)
      this.#failures.delete(key)
      if (decision.requeueAfterMs !== undefined) this.#later(key, decision.requeueAfterMs, cause)
    } catch (error) {
      if (this.#running) {
        this.#onError({ controller: this.#definition.name, key, error })
        if (error instanceof Refused) await this.#tell(key, error, cause)
        const failures = (this.#failures.get(key) ?? 0) + 1
        this.#failures.set(key, failures)
        const longest = error instanceof Refused && error.status.reason === NO_ROOM ? NO_ROOM_RETRY_MS : LAST_RETRY_MS
        this.#later(key, Math.min(longest, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16)), cause)
      }
    } finally {
      this.#busy.delete(key)
      this.#pump()
    }
  }
  /** All of them, whatever comes of one; then the first fault, if any. */
  async #submitAll(batch: readonly Ask[], cause: Cause | undefined): Promise<void> {
    const faults: unknown[] = []
    await Promise.all(batch.map((ask) => this.#submit(ask, cause).catch((error: unknown) => faults.push(error))))
    if (faults.length > 0) throw faults[0]
  }
  async #submit(ask: Ask, cause: Cause | undefined): Promise<void> {
    const because = ask.cause ?? cause
    const intent: Intent = {
      ...ask,
      id: this.#clock.uuid(),
      source: this.#definition.name,
      ...(because === undefined ? {} : { cause: because })
    }
    const result = await this.#untilDecided(intent)
    if (result.ok) return this.#views.of(ask.ref).waitFor(result.sequence)
    // Somebody else was faster: the newer state will be (or was) seen, and decided on.
    const { reason } = result.status
    // What can't be told for want of room is no reason to leave the rest undone.
    if (reason === NO_ROOM && resourceId(ask.ref) === NOTICES) return
    // Nothing new is wanted where everything goes.
    if (result.status.details?.causes?.some((detail) => detail.reason === 'NamespaceTerminating') === true) return
    if (reason === 'Conflict' || (reason === 'NotFound' && ask.verb !== 'create') || (reason === 'AlreadyExists' && ask.verb === 'create'))
      throw new Outrun(result.status.message ?? reason)
    throw new Refused(ask, result.status)
  }
  /** That telling fails as well is only reported. */
  async #tell(key: string, refusal: Refused, cause: Cause | undefined): Promise<void> {
    try {
      for (const ask of this.#definition.refused?.(this.#views, key, refusal, this.#context()) ?? []) await this.#submit(ask, cause)
    } catch (error) {
      this.#onError({ controller: this.#definition.name, key, error })
    }
  }
  /**
   * A lost answer, or that there is none now, says nothing: the same intent is asked again, and decided once, before anything else is
   * decided on its key.
   */
  async #untilDecided(intent: Intent): Promise<IntentResult> {
    let asked = intent
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LAST_PAUSE_MS, pause * 2)) {
      try {
        const result = await this.#intents.submit(asked)
        if (result.ok || !isPassing(result.status)) return result
        if (!this.#running) throw new Stopped(`${this.#definition.name} was stopped`)
      } catch (error) {
        if (!this.#running) throw error
        this.#onError({ controller: this.#definition.name, key: `${intent.namespace}/${intent.name}`, error })
      }
      asked = { ...intent, again: true }
      await sleep(this.#clock, pause)
      if (!this.#running) throw new Stopped(`${this.#definition.name} was stopped`)
    }
  }
  #later(key: string, ms: number, cause: Cause | undefined): void {
    this.#timers.get(key)?.cancel()
    this.#timers.set(
      key,
      this.#clock.after(Math.min(ms, LONGEST_WAIT_MS), () => {
        this.#timers.delete(key)
        this.#mark(key, cause)
      })
    )
  }
}

/**
 * Asks in their order; creations of one kind in a row, or deletions, go together: one, then two, then four … so that what
 * is refused is refused few times, and what is accepted is stored in few writes (upstream's slow start).
 */
export const batchesOf = (asks: readonly Ask[]): Ask[][] => {
  const batches: Ask[][] = []
  let size = 1
  for (const ask of asks) {
    const batch = batches.at(-1)
    const before = batch?.[0]
    const alike =
      before !== undefined &&
      before.verb === ask.verb &&
      (ask.verb === 'create' || ask.verb === 'delete') &&
      resourceId(before.ref) === resourceId(ask.ref)
    if (!alike) size = 1
    if (batch !== undefined && alike && batch.length < size) batch.push(ask)
    else {
      if (alike) size *= 2
      batches.push([ask])
    }
  }
  return batches
}

/** The controller was stopped while it waited for an answer. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

/** The state moved on between deciding and writing: decide again, soon. */
export class Outrun extends Error {
  override readonly name = 'Outrun'
}
