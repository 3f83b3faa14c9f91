/** What the cluster's names are answered from: Services and EndpointSlices, found the ways questions need them. */
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Service } from '#events/schema/generated/core.v1.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import type { ResourceRef } from '#events/Key.ts'
import { SERVICE_NAME_LABEL } from '#projections/Proxy.ts'

export interface DnsView {
  service(namespace: string, name: string): Service | undefined
  slices(namespace: string, name: string): readonly EndpointSlice[]
  serviceByIP(ip: string): Service | undefined
  /** The slices that hold an endpoint with this address. */
  slicesByIP(ip: string): readonly EndpointSlice[]
  hasNamespace(namespace: string): boolean
}

/** A part of `Views`. */
export interface DnsSource {
  collection<Some extends KubeObject>(
    ref: ResourceRef<Some>
  ): {
    readonly sequence: number
    get(namespace: string, name: string): { readonly object: Some } | undefined
    values(): Iterable<{ readonly object: Some }>
    list(namespace?: string): readonly unknown[]
    indexed(index: string, value: string): Iterable<{ readonly object: Some }>
  }
}

export const dnsView = (source: DnsSource): DnsView => {
  const services = source.collection(SERVICES)
  const slices = source.collection(ENDPOINT_SLICES)
  let byIP = new Map<string, EndpointSlice[]>()
  let byIPAt = -1
  return {
    service: (namespace, name) => services.get(namespace, name)?.object,
    slices: (namespace, name) =>
      [...slices.indexed('label', `${SERVICE_NAME_LABEL}=${name}`)]
        .map(({ object }) => object)
        .filter((slice) => slice.metadata.namespace === namespace),
    serviceByIP: (ip) => {
      for (const { object } of services.indexed('clusterIP', ip)) return object
      return undefined
    },
    slicesByIP: (ip) => {
      // Questions from addresses to names are rare: the index is made when one comes after a change.
      if (byIPAt !== slices.sequence) {
        byIP = new Map()
        byIPAt = slices.sequence
        for (const { object } of slices.values())
          for (const { addresses } of object.endpoints ?? [])
            for (const address of addresses) byIP.set(address, [...(byIP.get(address) ?? []), object])
      }
      return byIP.get(ip) ?? []
    },
    // A namespace without a Service has no name to offer either way.
    hasNamespace: (namespace) => services.list(namespace).length > 0
  }
}
