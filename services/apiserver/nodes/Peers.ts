/**
 * The API servers that live, each known by a Lease of its own in kube-system (KEP-1965's identity Leases), and which of them
 * does which node. Who has shown no sign of life for its Lease's time, by our own clock, counts as gone: no clock is compared.
 *
 * Nothing is safe because of it: what two of them do for one node at a time is sorted out where it is written (BindingPublisher,
 * ReportIngest). It only keeps them from doing everything twice.
 */
import { LEASES } from '#events/collections.ts'
import { createHash } from 'node:crypto'
import type { Lease } from '#events/schema/generated/coordination.v1.ts'
import type { UserInfo } from '#events/Intent.ts'
import { timestampWith } from '#events/meta/time.ts'
import type { Subscription } from '#events/Log.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import type { Share } from './BindingPublisher.ts'
import { ownerOf } from './partition.ts'

const NAMESPACE = 'kube-system'
const IDENTITY = 'apiserver.kubernetes.io/identity'
const SELF: UserInfo = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }
/** Upstream's Leases last an hour, for there they only name versions; here the others take over when one ends. */
const SECONDS = 5
const RENEW_MS = 1_500
const LOOK_MS = 500

/** As upstream makes it of the host's name alone: several of a host differ by their addresses. `apiserver-` and 26 characters. */
export const identityOf = (host: string, address: string): string =>
  `apiserver-${base32(createHash('sha256').update(`${host} ${address}`).digest().subarray(0, 16))}`

const base32 = (bytes: Uint8Array): string => {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}

export interface PeersOptions {
  readonly views: Views
  readonly decider: Decider
  readonly clock: Clock
  /** `apiserver-…`, the Lease's name. */
  readonly identity: string
  readonly host: string
  /** Where it can be reached, for who makes the `kubernetes` Endpoints: `10.0.0.1:6443`. */
  readonly address: string
  readonly onError: (error: unknown) => void
}

/** An API server that lives. */
export interface Peer {
  readonly name: string
  readonly address: string
}

const ADDRESS = 'reckon.io/address'

export class Peers implements Share {
  readonly #options: PeersOptions
  readonly #holder: string
  /** By Lease: the version seen last, and when. */
  readonly #seen = new Map<string, { readonly sequence: number; readonly at: number }>()
  readonly #listeners = new Set<() => void>()
  #live: readonly Peer[]
  #has: (node: string) => boolean = () => true
  #subscription: Subscription | undefined
  #timers: Timer[] = []
  #renewing: Promise<void> | undefined
  #told = false
  /** When the last renewal that was stored began, and what it said. */
  #renewed = Number.NEGATIVE_INFINITY
  #since = ''
  #stopped = false

  constructor(options: PeersOptions) {
    this.#options = options
    this.#holder = `${options.identity}_${options.clock.uuid()}`
    this.#live = [{ name: options.identity, address: options.address }]
  }
  /** Resolves when it is known to the others, and the others to it. */
  async start(): Promise<void> {
    this.#subscription = this.#options.views.of(LEASES).subscribe(({ entry }) => {
      if (entry.key.resource === LEASES.resource && entry.key.namespace === NAMESPACE) this.#look()
    })
    await this.#renew()
    this.#look()
    this.#every(RENEW_MS, () => this.#renewOnce())
    this.#every(LOOK_MS, () => this.#look())
  }
  /** Nothing is said any more, not even that it ends. */
  crash(): void {
    this.#stopped = true
    this.#subscription?.close()
    for (const timer of this.#timers) timer.cancel()
  }
  /** The others take over at once. */
  async stop(): Promise<void> {
    this.crash()
    await this.#renewing
    const { decider, clock, identity } = this.#options
    if (this.#held()?.spec?.holderIdentity !== this.#holder) return
    await decider.submit({ ...this.#intent(), id: clock.uuid(), verb: 'delete', name: identity }, SELF).catch(this.#options.onError)
  }
  get live(): readonly Peer[] {
    return this.#live
  }
  readonly current = (): ((node: string) => boolean) => this.#has
  onChange(listener: () => void): Subscription {
    this.#listeners.add(listener)
    return { close: () => this.#listeners.delete(listener) }
  }
  #every(ms: number, task: () => void): void {
    const index = this.#timers.length
    const again = (): void => {
      task()
      if (!this.#stopped) this.#timers[index] = this.#options.clock.after(ms, again)
    }
    this.#timers.push(this.#options.clock.after(ms, again))
  }
  #held(): Lease | undefined {
    return this.#options.views.get({ ...LEASES, namespace: NAMESPACE, name: this.#options.identity })?.object
  }
  #intent() {
    return { ref: LEASES, version: 'v1', namespace: NAMESPACE, name: this.#options.identity, source: 'apiserver' } as const
  }
  /** One at a time: a log that is away holds each up for as long as a writer waits. */
  #renewOnce(): void {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined))
  }
  async #renew(): Promise<void> {
    const { decider, clock, identity, host, address } = this.#options
    const at = clock.now()
    const now = timestampWith(6, at)
    const since = at - this.#renewed > SECONDS * 1000 ? now : this.#since
    const object = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: identity,
        namespace: NAMESPACE,
        labels: { [IDENTITY]: 'kube-apiserver', 'kubernetes.io/hostname': host },
        annotations: { [ADDRESS]: address }
      },
      // Since when agents could be heard here without a break: anew after each time it could not be renewed in time.
      spec: { holderIdentity: this.#holder, leaseDurationSeconds: SECONDS, acquireTime: since, renewTime: now }
    }
    try {
      const result = await decider.submit(
        {
          ...this.#intent(),
          id: clock.uuid(),
          verb: this.#held() === undefined ? 'create' : 'update',
          object,
          options: { fieldManager: 'apiserver' }
        },
        SELF,
        true
      )
      if (result.ok) [this.#renewed, this.#since] = [at, since]
      if (result.ok || ['AlreadyExists', 'NotFound'].includes(result.status.reason ?? '')) this.#told = false
      else this.#tell(new Error(`the Lease ${identity} can't be renewed: ${result.status.message}`, { cause: Refusal.of(result.status) }))
    } catch (error) {
      this.#tell(error)
    }
  }
  /** Once, until it works again. */
  #tell(error: unknown): void {
    if (!this.#told) this.#options.onError(error)
    this.#told = true
  }
  #look(): void {
    const { views, clock, identity, address } = this.#options
    const now = clock.now()
    const live: Peer[] = [{ name: identity, address }]
    const there = new Set<string>()
    for (const { key, object, sequence } of views.collection(LEASES).list(NAMESPACE)) {
      const { labels = {}, annotations = {} } = object.metadata
      if (labels[IDENTITY] === undefined || key.name === identity) continue
      there.add(key.name)
      const seen = this.#seen.get(key.name)
      if (seen?.sequence !== sequence) this.#seen.set(key.name, { sequence, at: now })
      const silent = seen?.sequence === sequence ? now - seen.at : 0
      if (silent < Number(object.spec?.leaseDurationSeconds ?? SECONDS) * 1000)
        live.push({ name: key.name, address: annotations[ADDRESS] ?? '' })
    }
    for (const name of this.#seen.keys()) if (!there.has(name)) this.#seen.delete(name)
    live.sort((a, b) => (a.name < b.name ? -1 : 1))
    if (
      live.length === this.#live.length &&
      live.every(({ name, address: at }, n) => name === this.#live[n]?.name && at === this.#live[n]?.address)
    )
      return
    this.#live = live
    const members = live.map(({ name }) => name)
    const owners = new Map<string, boolean>()
    this.#has = (node) => {
      const known = owners.get(node)
      if (known !== undefined) return known
      const mine = ownerOf(node, members) === identity
      owners.set(node, mine)
      return mine
    }
    for (const listener of this.#listeners) listener()
  }
}
