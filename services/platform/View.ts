/**
 * A view keeps a stream folded: one follower per process and stream, fanned out in memory to everybody who
 * watches. It also knows how far it is, so that a writer can wait for its own write.
 */
import { isCompaction } from '#events/compaction.ts'
import { bodyOf, decodeFacts, UnreadableEvent } from '#events/Event.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { ObjectKey } from '#events/Key.ts'
import { LogDamaged, LogMoved, type Log, type LogEntry, type LogState, type Subscription } from '#events/Log.ts'
import { keyOfSubject, subjectOf, type StreamName } from '#events/Subject.ts'
import { Entry, Objects, type Change } from '#projections/Objects.ts'
import { Window, type WindowLimits } from '#projections/Window.ts'
import { upcastBody } from '#events/upcast.ts'
import type { Clock } from './Clock.ts'
import { versionsBehind } from './hidden.ts'
import type { Integrity } from './ledger/Integrity.ts'
import { Offered } from './Offered.ts'
import { Receding } from './Receding.ts'
import { standingEntries } from './standing.ts'
import { Early } from './secrets/Early.ts'
import type { Vault } from './secrets/Vault.ts'
import type { ViewOptions } from './viewOptions.ts'
import { Waiters } from './Waiters.ts'

export class ViewBehind extends Error {
  override readonly name = 'ViewBehind'
}

/** Its process needs it no longer: what waited for it waits in vain. */
export class ViewClosed extends Error {
  override readonly name = 'ViewClosed'
}

export class View {
  readonly stream: StreamName
  /** Tells views of parts of one stream apart; the stream's name otherwise. */
  readonly name: string
  readonly log: Log
  readonly objects: Objects
  readonly integrity: Integrity | undefined
  readonly vault: Vault | undefined
  #window: Window | undefined
  readonly #options: ViewOptions
  readonly #subscribers = new Set<(change: Change) => void>()
  readonly #offered = new Offered()
  readonly #waiters: Waiters
  #subscription: Subscription | undefined
  #failed: Error | undefined
  /** What the stream no longer has. */
  readonly #receding: Receding
  /** Where entries wait for their keys. */
  readonly #early: Early | undefined
  #erasures: Subscription | undefined
  /** While it starts: up to here only each subject's last entry is read. */
  #newestUpTo = 0
  /** Subjects whose last entry so far is no event of ours, and the place of the first that is none: an object may stand behind it. */
  readonly #hidden = new Map<string, number>()
  /** Ends its start: what had waited for a key may be found damaged then. */
  #abandon: (error: Error) => void = () => {}
  onFailed: (error: Error) => void = () => {}

  constructor(stream: StreamName, log: Log, clock: Clock, options: ViewOptions) {
    this.stream = stream
    this.objects = new Objects(options.api, options.parsedBytes, options.names)
    this.name = options.name ?? stream
    this.log = log
    this.integrity = options.integrity
    this.vault = options.vault
    this.#waiters = new Waiters(clock)
    this.#options = options
    this.#receding = new Receding({
      clock,
      state: () => log.state(),
      expires: options.expires === true,
      failed: () => this.#failed !== undefined,
      forget: (first) => this.objects.forget(first),
      folded: () => this.objects.sequence,
      leave: (first) => this.#leave(first)
    })
    if (options.vault === undefined) return
    const onFailed = (error: Error): void => {
      this.#subscription?.close()
      this.#fail(error)
      this.#abandon(error)
    }
    this.#early = new Early({ vault: options.vault, clock, onEntries: (entries) => this.#take(entries), onFailed })
  }
  /** Remembers the changes from now on, for watches; most processes have none and remember nothing. */
  remember(limits: WindowLimits): Window {
    this.#window ??= new Window(limits, this.objects.sequence)
    return this.#window
  }
  /**
   * Resolves when everything in the stream at this moment is folded; rejects with LogDamaged when it is not what it was. What
   * is long verified is taken from each object's last event.
   */
  async start(): Promise<void> {
    const state = await this.log.state()
    this.#receding.begin(state)
    // What an erased object said must not go on being told from memory: it is read again, and found closed.
    this.#erasures = this.vault?.keys.onDestroyed(() => this.#window?.reset(this.objects.sequence))
    if (await this.#resume(state)) return
    this.integrity?.begin(state, true)
    await this.#load(state, this.integrity === undefined ? state.last : (this.integrity.newestUpTo ?? 0))
  }
  /**
   * From a keyframe, so that names of what was deleted long ago are not read: what stood there, and then everything. False when there is
   * none to go on from, or the log does not come to what it says; then the log alone is asked, whose damage is told by that.
   */
  async #resume(state: LogState): Promise<boolean> {
    const { integrity, log } = this
    const { keyframe: keyframeUpTo, onUnused, expires } = this.#options
    if (keyframeUpTo === undefined || integrity === undefined || expires === true || state.floor > 0) return false
    try {
      const keyframe = await keyframeUpTo(state, integrity.ledger.head().sequence)
      if (keyframe === undefined) return false
      integrity.begin(state, true, keyframe)
      const from = integrity.newestUpTo
      if (from === undefined) return false
      this.objects.beginLoad()
      for await (const entries of standingEntries(log, keyframe)) this.#stand(entries)
      this.objects.pass(keyframe.sequence)
      // What is between is read for the chain alone: it is folded already.
      await this.#catchUp(state, from + 1)
      return true
    } catch (error) {
      this.#subscription?.close()
      onUnused?.(error)
      return false
    }
  }
  #stand(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (this.integrity?.isOurs(entry) !== true) throw new Error(`${this.stream} ${entry.sequence} is not what was written`)
      this.objects.apply(decodeFacts(this.stream, entry), this.#bodyOf(entry))
    }
  }
  #catchUp(state: LogState, from: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#subscription = this.log.follow({
        from,
        onEntries: (entries) => (this.#early === undefined ? this.#take(entries) : this.#early.push(entries)),
        onCaughtUp: (last) => this.#behindEarly(() => resolve(this.#ready(last, state))),
        onFailed: (error) => (this.objects.loading ? reject(error) : this.#fail(error))
      })
    })
  }
  /** Where it is caught up with the log, an entry may still wait for its key: what is called folded before it is, would be passed over. */
  #behindEarly(work: () => void): void {
    return this.#early === undefined ? work() : this.#early.behind(work)
  }
  /** `newestUpTo`: of what stands up to there, each subject's last entry is read. */
  #load(state: LogState, newestUpTo: number): Promise<void> {
    this.#early?.reset()
    this.objects.beginLoad()
    this.#newestUpTo = newestUpTo
    this.#hidden.clear()
    return new Promise((resolve, reject) => {
      this.#abandon = reject
      const failed = (error: Error): void => {
        this.#fail(error)
        void this.#judged(error, state).then(reject)
      }
      const subscription = this.log.follow({
        // What was compacted is read from where it is kept, before the stream itself.
        from: state.floor > 0 ? 1 : state.first,
        ...(newestUpTo === 0 ? {} : { newestUpTo }),
        onEntries: (entries) => (this.#early === undefined ? this.#take(entries) : this.#early.push(entries)),
        onCaughtUp: (last) =>
          this.#behindEarly(() => {
            const ready = (): void => resolve(this.#ready(last, state))
            if (this.#hidden.size === 0) return ready()
            if (this.integrity !== undefined) return void this.#uncover().then(ready, failed)
            // Who may not read single entries reads them all: it is rare.
            subscription.close()
            this.#load(state, 0).then(resolve, reject)
          }),
        onFailed: failed
      })
      this.#subscription = subscription
    })
  }
  async #uncover(): Promise<void> {
    const versions = await versionsBehind(this.log, this.#hidden, (stored) => this.versionOf(stored))
    // Those that have changed meanwhile are no longer among the hidden.
    for (const [subject, version] of versions) if (this.#hidden.has(subject)) this.objects.restore(version)
    this.#hidden.clear()
  }
  #ready(last: number, state: LogState): void {
    this.#newestUpTo = 0
    this.objects.endLoad()
    this.objects.pass(last)
    this.#receding.start(state)
    // What was replayed is not in the window: watches that start before it are answered from the log.
    this.#window?.reset(Math.max(last, this.objects.sequence))
  }
  /** While history is compacted, what was kept at the old floor gives way to what is kept at the new one: that is no damage. */
  async #judged(error: Error, { floor }: LogState): Promise<Error> {
    if (!(error instanceof LogDamaged)) return error
    const now = await this.log.state().catch(() => undefined)
    return now !== undefined && now.floor > floor
      ? new LogMoved(`${this.stream}: history was compacted while it was read; it has to be read again`)
      : error
  }
  close(): void {
    this.#receding.close()
    this.#early?.close()
    this.#erasures?.close()
    this.#subscription?.close()
    this.#fail(new ViewClosed('the view was closed'))
  }
  /** Why nothing more is folded; undefined while it goes on. */
  get failed(): Error | undefined {
    return this.#failed
  }
  /** History before this is compacted; 0 when all of it is there. */
  get floor(): number {
    return this.#receding.floor
  }
  /** When that was, milliseconds. */
  get floorTime(): number {
    return this.#receding.floorTime
  }
  /** Where the stream itself begins: objects whose last event is before have an empty subject there. */
  get begins(): number {
    return this.#receding.begins
  }
  /** Asks the stream from where on its history is whole, and where it begins. */
  look(): Promise<void> {
    return this.#receding.look()
  }
  /** Called after every change, in order, synchronously: do little in it. */
  subscribe(onChange: (change: Change) => void): Subscription {
    this.#subscribers.add(onChange)
    return { close: () => this.#subscribers.delete(onChange) }
  }
  /**
   * The writer's parsed object for a sequence it was just acknowledged: spares parsing the event when it comes back. `bytes`: its text's.
   */
  offer(sequence: number, object: KubeObject, bytes: number): void {
    if (sequence > this.objects.sequence) this.#offered.add(sequence, object, bytes)
  }
  /** Resolves when `sequence` is folded; rejects with ViewBehind after `timeoutMs`. */
  waitFor(sequence: number, timeoutMs = 10_000): Promise<void> {
    if (this.objects.sequence >= sequence) return Promise.resolve()
    if (this.#failed !== undefined) return Promise.reject(this.#failed)
    return this.#waiters.until(
      sequence,
      timeoutMs,
      () => new ViewBehind(`${this.stream} is folded up to ${this.objects.sequence}, not yet ${sequence}, after ${timeoutMs} ms`)
    )
  }
  /** The place of the last entry on an object's subject, 0 when it is empty: the log's word where the name is forgotten here. */
  async headOf(key: ObjectKey): Promise<number> {
    const known = this.objects.head(key)
    return known > 0 ? known : ((await this.log.lastOn(subjectOf(this.stream, key)))?.sequence ?? 0)
  }
  /** After a conflict that nothing folded here explains: the object is gone so long that its name was forgotten, and the log has it. */
  async learn(key: ObjectKey): Promise<void> {
    const last = await this.log.lastOn(subjectOf(this.stream, key))
    if (last === undefined || last.sequence <= this.objects.head(key) || last.sequence > this.objects.sequence) return
    const version = this.versionOf(last)
    // A live object that is not here is no name that was forgotten: nothing is written over it.
    if (version === undefined || version.facts.deleted) this.objects.learn(key, last.sequence)
  }
  /** What was written after `folded` stands behind it, or the stream has lost its end: then the view fails. Throws LogDamaged. */
  checkBehind(folded: number, sequence: number): void {
    if (sequence > folded) return
    const detail = `${this.stream}: event ${folded} was there, and ${sequence} was handed out after it`
    const damaged = new LogDamaged({
      stream: this.stream,
      kind: 'shorter',
      ranges: [{ first: sequence, last: folded }],
      verified: sequence - 1,
      detail
    })
    this.#subscription?.close()
    this.#fail(damaged)
    throw damaged
  }
  /**
   * Asks the stream what has left it. Writers call it of objects that can't be written on what stands here, because the log has an
   * older entry on their subjects, or none.
   */
  async expire(keys: readonly ObjectKey[] = []): Promise<void> {
    this.#leave(await this.#receding.expire(), keys)
  }
  #leave(first: number, keys?: readonly ObjectKey[]): void {
    for (const change of this.objects.expire(first, keys)) {
      for (const subscriber of this.#subscribers) subscriber(change)
      change.previous?.outdated()
    }
  }
  /** The event's facts, or undefined for an entry that is to be passed over. Throws for a sealed one that can't be read. */
  #factsOf(entry: LogEntry): ReturnType<typeof decodeFacts> | undefined {
    if (this.integrity === undefined) {
      try {
        return decodeFacts(this.stream, entry)
      } catch (error) {
        if (!(error instanceof UnreadableEvent)) throw error
        this.#options.onPassed?.(entry)
        return undefined
      }
    }
    return this.integrity.take(entry) === 'event' ? decodeFacts(this.stream, entry) : undefined
  }
  /** An old version, read from the log: undefined when it is no event of ours. */
  versionOf(stored: LogEntry): Entry | undefined {
    if (this.integrity !== undefined && !this.integrity.isOurs(stored)) return undefined
    try {
      return new Entry(decodeFacts(this.stream, stored), upcastBody(stored.headers, this.#options.vault?.reveal(stored) ?? stored.text))
    } catch (error) {
      // Who has no key to the log passes over what can't be read; of a sealed entry it is an error.
      if (this.integrity !== undefined || !(error instanceof UnreadableEvent)) throw error
      return undefined
    }
  }
  #take(entries: readonly LogEntry[]): void {
    if (entries.length === 0) return
    for (const entry of entries) {
      const facts = this.#factsOf(entry)
      if (facts === undefined) {
        const key = keyOfSubject(this.stream, entry.subject)
        this.objects.pass(entry.sequence, key)
        if (key !== undefined && this.#newestUpTo > 0 && !this.#hidden.has(entry.subject)) this.#hidden.set(entry.subject, entry.sequence)
        continue
      }
      if (this.#hidden.size > 0) this.#hidden.delete(entry.subject)
      const change = this.objects.apply(facts, this.#bodyOf(entry), this.#offered.take(entry.sequence))
      if (isCompaction(facts.key) && !this.objects.loading) this.#receding.watchCompaction()
      if (change === undefined) continue
      this.#window?.push(change)
      for (const subscriber of this.#subscribers) subscriber(change)
      change.previous?.outdated()
    }
    this.integrity?.settle()
    this.#waiters.reached(this.objects.sequence)
  }
  #bodyOf(entry: LogEntry): string {
    const { vault, narrow } = this.#options
    const body = upcastBody(entry.headers, vault?.reveal(entry) ?? entry.text)
    return narrow === undefined ? body : bodyOf(narrow(JSON.parse(body) as KubeObject))
  }
  #fail(error: Error): void {
    if (this.#failed !== undefined) return
    this.#failed = error
    this.#waiters.fail(error)
    this.onFailed(error)
  }
}
