/**
 * The addresses behind the Service `kubernetes`: all API servers that live, as upstream's lease reconciler keeps them. Those of one
 * port share a subset and a slice, for the ports of a slice are those of all its endpoints.
 */
import { ENDPOINTS, ENDPOINT_SLICES } from '#events/collections.ts'
import type { Intent, UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import type { Subscription } from '#events/Log.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Clock, Timer } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'
import type { Decider } from './Decider.ts'
import type { Peer, Peers } from './nodes/Peers.ts'

const NAMESPACE = 'default'
const NAME = 'kubernetes'
const SERVICE_NAME = 'kubernetes.io/service-name'
const SELF: UserInfo = { username: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }
const RETRY_MS = 1_000

/**
 * The Endpoints, and the slices, of the API servers at these addresses (`10.0.0.1:6443`). The first port's slice has the Service's name.
 * Plain.
 */
export const wantedOf = (addresses: readonly string[]): { readonly endpoints: KubeObject; readonly slices: readonly KubeObject[] } => {
  const byPort = new Map<number, string[]>()
  for (const address of addresses.toSorted()) {
    const at = address.lastIndexOf(':')
    const port = Number(address.slice(at + 1))
    const ip = address.slice(0, at).replace(/^\[|\]$/g, '')
    const ips = byPort.get(port)
    if (ips === undefined) byPort.set(port, [ip])
    else if (!ips.includes(ip)) ips.push(ip)
  }
  const groups = [...byPort].sort(([a], [b]) => a - b)
  const portOf = (port: number) => ({ name: 'https', port, protocol: 'TCP' })
  const slices = groups.flatMap(([port, all], group) =>
    (['IPv4', 'IPv6'] as const).flatMap((addressType): KubeObject[] => {
      const ips = all.filter((ip) => ip.includes(':') === (addressType === 'IPv6'))
      if (ips.length === 0) return []
      return [
        {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: {
            name: `${NAME}${group === 0 ? '' : `-${port}`}${addressType === 'IPv6' ? '-ipv6' : ''}`,
            namespace: NAMESPACE,
            labels: { [SERVICE_NAME]: NAME }
          },
          addressType,
          endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true, serving: true, terminating: false } })),
          ports: [portOf(port)]
        }
      ]
    })
  )
  return {
    endpoints: {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: NAME, namespace: NAMESPACE, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
      subsets: groups.map(([port, ips]) => ({ addresses: ips.map((ip) => ({ ip })), ports: [portOf(port)] }))
    },
    slices
  }
}

export interface KubernetesEndpointsOptions {
  readonly views: Views
  readonly decider: Decider
  readonly peers: Pick<Peers, 'live' | 'current' | 'onChange'>
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

/** Brings them up to date when an API server comes or goes: one of those that live does. */
export class KubernetesEndpoints {
  readonly #options: KubernetesEndpointsOptions
  #subscription: Subscription | undefined
  #timer: Timer | undefined
  #busy: Promise<void> | undefined
  #again = false
  #stopped = false

  constructor(options: KubernetesEndpointsOptions) {
    this.#options = options
  }
  start(): void {
    this.#subscription = this.#options.peers.onChange(() => this.#turn())
    this.#turn()
  }
  stop(): void {
    this.#stopped = true
    this.#subscription?.close()
    this.#timer?.cancel()
  }
  #turn(): void {
    if (this.#stopped) return
    if (this.#busy !== undefined) return void (this.#again = true)
    const { peers, clock, onError } = this.#options
    if (!peers.current()(NAME)) return
    this.#busy = this.#reconcile(peers.live)
      .catch((error: unknown) => {
        onError(error)
        if (!this.#stopped) this.#timer = clock.after(RETRY_MS, () => this.#turn())
      })
      .finally(() => {
        this.#busy = undefined
        if (!this.#again) return
        this.#again = false
        this.#turn()
      })
  }
  async #reconcile(live: readonly Peer[]): Promise<void> {
    const { views } = this.#options
    const { endpoints, slices } = wantedOf(live.map(({ address }) => address))
    await this.#ensure(ENDPOINTS, endpoints, ['subsets'])
    for (const slice of slices) await this.#ensure(ENDPOINT_SLICES, slice, ['endpoints', 'ports'])
    const names = new Set(slices.map(({ metadata }) => metadata.name))
    for (const { key, object } of views.collection(ENDPOINT_SLICES).list(NAMESPACE))
      if (object.metadata.labels?.[SERVICE_NAME] === NAME && !names.has(key.name))
        await this.#submit({ verb: 'delete', ref: ENDPOINT_SLICES, version: 'v1', name: key.name })
  }
  async #ensure(ref: typeof ENDPOINTS, object: KubeObject, fields: readonly string[]): Promise<void> {
    const name = object.metadata.name as string
    const present = this.#options.views.get({ ...ref, namespace: NAMESPACE, name })?.object
    if (present === undefined) return this.#submit({ verb: 'create', ref, version: 'v1', name, object })
    if (fields.every((field) => same(present[field], object[field]))) return
    await this.#submit({
      verb: 'patch',
      ref,
      version: 'v1',
      name,
      patch: { type: 'application/merge-patch+json', body: Object.fromEntries(fields.map((field) => [field, object[field]])) }
    })
  }
  async #submit(asked: Pick<Intent, 'verb' | 'ref' | 'version' | 'name' | 'object' | 'patch'>): Promise<void> {
    const { decider, clock } = this.#options
    const result = await decider.submit(
      { ...asked, id: clock.uuid(), namespace: NAMESPACE, source: 'apiserver', options: { fieldManager: 'apiserver' } } as Intent,
      SELF
    )
    if (!result.ok && !['AlreadyExists', 'NotFound'].includes(result.status.reason ?? ''))
      throw new Error(`the addresses of the API servers can't be written: ${result.status.message}`, { cause: Refusal.of(result.status) })
  }
}
