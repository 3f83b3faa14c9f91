/**
 * Leader election by Lease, as client-go's: who holds it renews it; who finds that it did not change for its time, by its own clock,
 * takes it. No clock is compared with another. On stopping it is given up, so that the next one need not wait.
 *
 * A Lease alone fences nothing: one that slept does not know that its time is over. So a leader begins its term by a version of a
 * marker in EVENTS, written on the version that was there before it had the Lease; it acts when it has folded that, and every
 * intent of its names it (see `apiserver/fence.ts`). Client-go's users stop themselves in time and hope; ours are stopped.
 */
import { LEASES } from '#events/collections.ts'
import type { Intent, IntentResult, Intents } from '#events/Intent.ts'
import type { Subscription } from '#events/Log.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { Lease } from '#events/schema/generated/coordination.v1.ts'
import { isTermEnded, leaseKey, markerKey, type Term } from '#events/coordination/term.ts'
import { timestamp, timestampWith } from '#events/meta/time.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Entry } from '#projections/Objects.ts'
import type { Clock, Timer } from './Clock.ts'
import type { Views } from './Views.ts'

/** Upstream's names and defaults (`--leader-elect-lease-duration` …). */
export interface ElectionTimings {
  readonly leaseDurationMs: number
  /** So long a leader tries to renew before it gives up. */
  readonly renewDeadlineMs: number
  readonly retryPeriodMs: number
}

export const TIMINGS: ElectionTimings = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 }

/** Told when a leader is none any more, and does not stop by itself: another one takes over. */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost'
}

/** What a leader does, from the beginning of a term to its end. */
export interface Reign {
  stop(): void
}

export interface LeaderElectionOptions {
  /** The Lease's and the marker's, in kube-system: `kube-scheduler`, `kube-controller-manager`. */
  readonly name: string
  /** In notices: `default-scheduler`. */
  readonly component: string
  /** Unique among those who live. */
  readonly identity: string
  readonly views: Views
  readonly intents: Intents
  readonly clock: Clock
  readonly timings?: ElectionTimings
  /** `under`: makes intents those of this term. */
  readonly lead: (under: (intents: Intents) => Intents) => Reign
  readonly onError: (error: unknown) => void
}

/** As Leases have them. */
const microTime = (now: number): string => timestampWith(6, now)

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

/** What a leader's intent is asked under; told when an answer says that the term has ended. */
const underTerm =
  (term: Term, onEnded: () => void) =>
  (intents: Intents): Intents => ({
    submit: async (intent) => {
      const result = await intents.submit({ ...intent, term })
      if (!result.ok && isTermEnded(result.status)) onEnded()
      return result
    }
  })

export class LeaderElection {
  readonly #options: LeaderElectionOptions
  readonly #timings: ElectionTimings
  #subscriptions: Subscription[] = []
  /** The Lease's version seen last, and when by our clock; 0: there is none. */
  #observed = { sequence: -1, at: 0 }
  #next: Timer | undefined
  #deadline: Timer | undefined
  #busy: Promise<void> | undefined
  #again = false
  #held = false
  #term: Term | undefined
  #reign: Reign | undefined
  #stopped = false

  constructor(options: LeaderElectionOptions) {
    this.#options = options
    this.#timings = options.timings ?? TIMINGS
  }
  get leading(): boolean {
    return this.#reign !== undefined
  }
  start(): void {
    const { views, name } = this.#options
    const [lease, marker] = [leaseKey(name), markerKey(name)]
    this.#subscriptions = [
      views.of(lease).subscribe(({ entry }) => {
        if (entry.key.resource === lease.resource && entry.key.name === lease.name && entry.key.namespace === lease.namespace)
          this.#observe()
      }),
      views.of(marker).subscribe(({ entry: { key, sequence } }) => {
        if (key.resource !== marker.resource || key.name !== marker.name || key.namespace !== marker.namespace) return
        if (this.#term !== undefined && sequence > this.#term.sequence) this.#end('another term has begun')
      })
    ]
    this.#look()
    this.#turn()
  }
  /** What is led is stopped before the Lease is given up. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#next?.cancel()
    for (const subscription of this.#subscriptions) subscription.close()
    await this.#busy
    const held = this.#held
    this.#end('it was stopped')
    if (held) await this.#release().catch(this.#options.onError)
  }
  #lease(): Entry<Lease> | undefined {
    return this.#options.views.get(leaseKey(this.#options.name))
  }
  #look(): void {
    const sequence = this.#lease()?.sequence ?? 0
    if (sequence !== this.#observed.sequence) this.#observed = { sequence, at: this.#options.clock.now() }
  }
  #observe(): void {
    this.#look()
    // Given up, or gone: whoever waits for it need not any longer.
    if (!this.#held && (this.#lease()?.object.spec?.holderIdentity ?? '') === '') this.#turn()
    else if (!this.#held && this.#busy === undefined) this.#schedule()
  }
  #schedule(): void {
    const { clock } = this.#options
    this.#next?.cancel()
    if (this.#stopped) return
    const wait = this.#held ? this.#timings.retryPeriodMs : Math.max(this.#heldFor(), 0)
    // Those who wait for one Lease don't all come at once.
    const jitter = this.#held ? 0 : clock.random() * Math.min(this.#timings.retryPeriodMs, 500)
    this.#next = clock.after((wait === 0 && !this.#held ? this.#timings.retryPeriodMs / 4 : wait) + jitter, () => this.#turn())
  }
  /** Milliseconds for which somebody else has it still. */
  #heldFor(): number {
    const spec = this.#lease()?.object.spec
    if ((spec?.holderIdentity ?? '') === '' || spec?.holderIdentity === this.#options.identity) return 0
    const now = this.#options.clock.now()
    // A clock that was put back: waited for anew, and not for as long as it was put back.
    if (now < this.#observed.at) this.#observed = { ...this.#observed, at: now }
    return this.#observed.at + (spec?.leaseDurationSeconds ?? seconds(this.#timings.leaseDurationMs)) * 1000 - now
  }
  /** One attempt at a time. */
  #turn(): void {
    if (this.#stopped) return
    if (this.#busy !== undefined) return void (this.#again = true)
    this.#next?.cancel()
    this.#busy = this.#attempt()
      .catch((error: unknown) => this.#options.onError(error))
      .finally(() => {
        this.#busy = undefined
        const again = this.#again && !this.#held
        this.#again = false
        if (again) this.#turn()
        else this.#schedule()
      })
  }
  async #attempt(): Promise<void> {
    const { clock, views, name } = this.#options
    this.#look()
    if (this.#heldFor() > 0) return this.#held ? this.#lose('another one has the Lease') : undefined
    // Before the Lease: who has begun a term meanwhile is not overruled.
    const marker = views.get(markerKey(name))
    const began = clock.now()
    if (!(await this.#hold())) return
    this.#held = true
    this.#deadline?.cancel()
    this.#deadline = clock.after(Math.max(0, began + this.#timings.renewDeadlineMs - clock.now()), () =>
      this.#lose('the Lease could not be renewed in time')
    )
    if (this.#term === undefined) await this.#begin(marker)
  }
  /** Takes or renews the Lease; false when somebody else was faster, or the API server says no. */
  async #hold(): Promise<boolean> {
    const { clock, identity, name } = this.#options
    const lease = this.#lease()
    const now = microTime(clock.now())
    const before = lease?.object.spec ?? {}
    const same = before.holderIdentity === identity
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: seconds(this.#timings.leaseDurationMs),
      acquireTime: same ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: lease === undefined ? 0 : (before.leaseTransitions ?? 0) + (same ? 0 : 1)
    }
    const result = await this.#write(lease, spec)
    if (!result.ok) {
      const { code = 500, reason = '', message } = result.status
      if (code !== 429 && code < 500 && !['Conflict', 'AlreadyExists', 'NotFound'].includes(reason))
        this.#options.onError(new Error(`the Lease ${name} can't be written: ${message}`, { cause: Refusal.of(result.status) }))
      return false
    }
    await this.#options.views.of(LEASES).waitFor(result.sequence)
    this.#look()
    return true
  }
  #write(lease: Entry | undefined, spec: object): Promise<IntentResult> {
    const { clock, name, component } = this.#options
    const key = leaseKey(name)
    const metadata = {
      name: key.name,
      namespace: key.namespace,
      ...(lease === undefined ? {} : { resourceVersion: String(lease.sequence) })
    }
    return this.#options.intents.submit({
      id: clock.uuid(),
      verb: lease === undefined ? 'create' : 'update',
      ref: LEASES,
      version: 'v1',
      namespace: key.namespace,
      name: key.name,
      object: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec },
      options: { fieldManager: name },
      source: component
    })
  }
  /** Draws the line in EVENTS, on the marker as it was before the Lease was ours. */
  async #begin(marker: Entry | undefined): Promise<void> {
    const { clock, identity, name, views, intents, component } = this.#options
    const key = markerKey(name)
    const { acquireTime, leaseTransitions } = this.#lease()?.object.spec ?? {}
    const metadata = {
      name: key.name,
      namespace: key.namespace,
      ...(marker === undefined ? {} : { resourceVersion: String(marker.sequence) })
    }
    const intent: Intent = {
      id: clock.uuid(),
      verb: marker === undefined ? 'create' : 'update',
      ref: { group: key.group, resource: key.resource },
      version: 'v1',
      namespace: key.namespace,
      name: key.name,
      object: {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata,
        data: {
          holderIdentity: identity,
          leaseTransitions: String(leaseTransitions ?? 0),
          acquireTime: acquireTime ?? '',
          began: microTime(clock.now())
        }
      },
      options: { fieldManager: name },
      source: component
    }
    const result = await intents.submit(intent)
    if (!result.ok) {
      if (result.status.reason !== 'Conflict' && result.status.reason !== 'AlreadyExists')
        this.#options.onError(new Error(`the term of ${name} can't begin: ${result.status.message}`, { cause: Refusal.of(result.status) }))
      return
    }
    await views.of(key).waitFor(result.sequence)
    // It took its time: the Lease may be another's by now, or a newer line be drawn.
    if (!this.#held || this.#stopped || views.of(key).objects.head(key) !== result.sequence) return
    const term: Term = { lease: name, sequence: result.sequence }
    this.#term = term
    this.#reign = this.#options.lead(underTerm(term, () => this.#term === term && this.#end('another term has begun')))
    this.#tell('became leader')
  }
  /** Somebody else has it, or will. */
  #lose(why: string): void {
    this.#held = false
    this.#deadline?.cancel()
    this.#end(why)
    if (this.#busy === undefined) this.#schedule()
  }
  #end(why: string): void {
    const reign = this.#reign
    this.#term = undefined
    this.#reign = undefined
    if (this.#stopped) this.#deadline?.cancel()
    if (reign === undefined) return
    reign.stop()
    if (!this.#stopped) this.#options.onError(new LeadershipLost(`${this.#options.identity} stopped leading: ${why}`))
    this.#tell('stopped leading')
  }
  /** As client-go says it, about the Lease. Nobody waits for it. */
  #tell(what: string): void {
    const { views, intents, clock, component, identity } = this.#options
    const lease = this.#lease()?.object
    if (lease === undefined) return
    const draft = noticeDraft(views, {
      about: lease,
      type: 'Normal',
      reason: 'LeaderElection',
      message: `${identity} ${what}`,
      component,
      time: timestamp(clock.now())
    })
    intents.submit({ ...draft, id: clock.uuid(), source: component }).catch(this.#options.onError)
  }
  async #release(): Promise<void> {
    const { clock, identity } = this.#options
    this.#held = false
    const lease = this.#lease()
    const { holderIdentity, leaseTransitions = 0 } = lease?.object.spec ?? {}
    if (lease === undefined || holderIdentity !== identity) return
    const now = microTime(clock.now())
    // Without a holder, as client-go leaves it: nobody's name is not a name.
    await this.#write(lease, { leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions })
  }
}
