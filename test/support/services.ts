/** Services and EndpointSlices for tests, and an in-memory source of them that tells of changes as a View does. */
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import type { Service } from '#events/schema/generated/core.v1.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import type { ResourceRef } from '#events/Key.ts'
import type { Subscription } from '#events/Log.ts'
import { Objects, type Change } from '#projections/Objects.ts'
import type { EventFacts } from '#events/Event.ts'
import { builtIns } from './builtIns.ts'

export interface PortShape {
  readonly name?: string
  readonly port: number
  readonly protocol?: 'TCP' | 'UDP'
  readonly nodePort?: number
}

export const service = (
  name: string,
  clusterIP: string,
  ports: readonly PortShape[],
  spec: Record<string, unknown> = {},
  namespace = 'default'
): Service =>
  asOneOf(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      type: ports.some(({ nodePort }) => nodePort !== undefined) ? 'NodePort' : 'ClusterIP',
      clusterIP,
      clusterIPs: [clusterIP],
      ports: ports.map((port) => ({ protocol: 'TCP', ...port })),
      ...spec
    }
  })

export interface EndpointShape {
  readonly ip: string
  readonly node?: string
  readonly hostname?: string
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean }
}

export const slice = (
  of: string,
  endpoints: readonly EndpointShape[],
  ports: readonly { readonly name?: string; readonly port: number; readonly protocol?: 'TCP' | 'UDP' }[],
  suffix = 'a',
  namespace = 'default'
): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${of}-${suffix}`, namespace, labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  endpoints: endpoints.map(({ ip, node, hostname, conditions }) => ({
    addresses: [ip],
    conditions: conditions ?? { ready: true, serving: true, terminating: false },
    ...(node === undefined ? {} : { nodeName: node }),
    ...(hostname === undefined ? {} : { hostname })
  })),
  ports: ports.map((port) => ({ name: '', protocol: 'TCP', ...port }))
})

const refOf = (object: KubeObject): ResourceRef => (object.kind === 'Service' ? SERVICES : ENDPOINT_SLICES)

export class ServiceSource {
  readonly #objects = new Objects(builtIns)
  readonly #subscribers = new Set<(change: Change) => void>()
  #sequence = 0

  /** One view holds both kinds, as in a process that follows EVENTS. */
  of(_: ResourceRef): this {
    return this
  }
  subscribe(onChange: (change: Change) => void): Subscription {
    this.#subscribers.add(onChange)
    return { close: () => void this.#subscribers.delete(onChange) }
  }
  collection<Some extends KubeObject>(ref: ResourceRef<Some>) {
    return this.#objects.collection(ref)
  }
  put(...objects: readonly KubeObject[]): void {
    for (const object of objects) this.#apply(object, false)
  }
  remove(...objects: readonly KubeObject[]): void {
    for (const object of objects) this.#apply(object, true)
  }
  #apply(object: KubeObject, deleted: boolean): void {
    const sequence = ++this.#sequence
    const key = { ...refOf(object), namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '' }
    const facts = {
      id: String(sequence),
      type: 't',
      source: 's',
      time: '',
      user: '',
      correlationId: '',
      verb: 'update'
    } satisfies EventFacts
    const change = this.#objects.apply({ ...facts, stream: 'EVENTS', key, deleted, expected: 0, sequence }, JSON.stringify(object), object)
    if (change !== undefined) for (const subscriber of this.#subscribers) subscriber(change)
  }
}
