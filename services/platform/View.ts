/**
 * A view keeps a stream folded: one follower per process and stream, fanned out in memory to everybody who
 * watches. It also knows how far it is, so that a writer can wait for its own write.
 */
import { decodeFacts } from '#events/Event.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { ObjectKey, ResourceRef } from '#events/Key.ts'
import type { Log, LogEntry, Subscription } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { Objects, type Change, type Collection, type Entry, type ObjectsView } from '#projections/Objects.ts'
import { Window, type WindowLimits } from '#projections/Window.ts'
import type { Clock, Timer } from './Clock.ts'

/** Objects on their way through the log; those beyond are parsed when they come back. */
const OWN_BYTES = 4 * 1024 * 1024

/** A projection besides Objects that wants every event in order: history, causes, metrics. */
export interface Fold {
  apply(entry: LogEntry): void
}

export class ViewBehind extends Error {
  override readonly name = 'ViewBehind'
}

export class View {
  readonly stream: StreamName
  /** Tells views of parts of one stream apart; the stream's name otherwise. */
  readonly name: string
  readonly log: Log
  readonly objects = new Objects()
  #window: Window | undefined
  readonly #clock: Clock
  readonly #subscribers = new Set<(change: Change) => void>()
  readonly #folds: Fold[] = []
  /** Objects this process wrote and has parsed already, by sequence, until their events come back. */
  readonly #own = new Map<number, { readonly object: KubeObject; readonly bytes: number }>()
  #ownBytes = 0
  #waiters: { sequence: number; resolve: () => void; reject: (error: Error) => void; timer: Timer }[] = []
  #subscription: Subscription | undefined
  #failed: Error | undefined
  onFailed: (error: Error) => void = () => {}

  constructor(stream: StreamName, log: Log, clock: Clock, name: string = stream) {
    this.stream = stream
    this.name = name
    this.log = log
    this.#clock = clock
  }
  /** Before `start`: another projection to keep folded from the same follower. */
  alsoFold(fold: Fold): void {
    this.#folds.push(fold)
  }
  /** Remembers the changes from now on, for watches; most processes have none and remember nothing. */
  remember(limits: WindowLimits): Window {
    this.#window ??= new Window(limits, this.objects.sequence)
    return this.#window
  }
  /** Resolves when everything in the stream at this moment is folded. */
  async start(): Promise<void> {
    const first = await this.log.firstSequence()
    this.objects.beginLoad()
    return new Promise((resolve, reject) => {
      this.#subscription = this.log.follow({
        from: first,
        onEntries: (entries) => this.#fold(entries),
        onCaughtUp: (last) => {
          this.objects.endLoad()
          // What was replayed is not in the window: watches that start before it are answered from the log.
          this.#window?.reset(Math.max(last, this.objects.sequence))
          resolve()
        },
        onFailed: (error) => {
          this.#fail(error)
          reject(error)
        }
      })
    })
  }
  close(): void {
    this.#subscription?.close()
    this.#fail(new Error('the view was closed'))
  }
  /** Called after every change, in order, synchronously: do little in it. */
  subscribe(onChange: (change: Change) => void): Subscription {
    this.#subscribers.add(onChange)
    return { close: () => this.#subscribers.delete(onChange) }
  }
  /** The writer's parsed object for a sequence it was just acknowledged: spares parsing the event when it comes back. `bytes`: its text's. */
  offer(sequence: number, object: KubeObject, bytes: number): void {
    if (sequence <= this.objects.sequence || this.#own.has(sequence) || this.#ownBytes + bytes > OWN_BYTES) return
    this.#own.set(sequence, { object, bytes })
    this.#ownBytes += bytes
  }
  /** Resolves when `sequence` is folded; rejects with ViewBehind after `timeoutMs`. */
  waitFor(sequence: number, timeoutMs = 10_000): Promise<void> {
    if (this.objects.sequence >= sequence) return Promise.resolve()
    if (this.#failed !== undefined) return Promise.reject(this.#failed)
    return new Promise((resolve, reject) => {
      const waiter = {
        sequence,
        resolve,
        reject,
        timer: this.#clock.after(timeoutMs, () => {
          this.#waiters = this.#waiters.filter((other) => other !== waiter)
          reject(new ViewBehind(`${this.stream} is folded up to ${this.objects.sequence}, not yet ${sequence}, after ${timeoutMs} ms`))
        })
      }
      this.#waiters.push(waiter)
    })
  }
  #fold(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      const facts = decodeFacts(this.stream, entry)
      const own = this.#own.get(entry.sequence)
      if (own !== undefined && this.#own.delete(entry.sequence)) this.#ownBytes -= own.bytes
      const change = this.objects.apply(facts, entry.text, own?.object)
      for (const fold of this.#folds) fold.apply(entry)
      if (change === undefined) continue
      this.#window?.push(change)
      for (const subscriber of this.#subscribers) subscriber(change)
      change.previous?.outdated()
    }
    if (this.#waiters.length === 0) return
    const reached = this.objects.sequence
    const due = this.#waiters.filter((waiter) => waiter.sequence <= reached)
    if (due.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => waiter.sequence > reached)
    for (const waiter of due) {
      waiter.timer.cancel()
      waiter.resolve()
    }
  }
  #fail(error: Error): void {
    if (this.#failed !== undefined) return
    this.#failed = error
    for (const waiter of this.#waiters) {
      waiter.timer.cancel()
      waiter.reject(error)
    }
    this.#waiters = []
    this.onFailed(error)
  }
}

/** The views of a process as one: each kind is read from the stream (or the part of one) it lives in. */
export class Views implements ObjectsView {
  /** By name: the stream's, unless a view follows only a part of one. */
  readonly byStream: ReadonlyMap<string, View>
  readonly #nameOf: (ref: ResourceRef) => string

  constructor(views: readonly View[], nameOf: (ref: ResourceRef) => string) {
    this.byStream = new Map(views.map((view) => [view.name, view]))
    this.#nameOf = nameOf
  }
  of(ref: ResourceRef): View {
    const name = this.#nameOf(ref)
    const view = this.byStream.get(name)
    if (view === undefined) throw new Error(`this process does not follow ${name}, where ${ref.resource} live`)
    return view
  }
  get(key: ObjectKey): Entry | undefined {
    return this.of(key).objects.get(key)
  }
  collection(ref: ResourceRef): Collection {
    return this.of(ref).objects.collection(ref)
  }
}
