/** How a node's kube-proxy and DNS see Services and EndpointSlices: the parts of the log they may follow, and what they hold of them. */
import type { ResourceRef } from '#events/Key.ts'
import { narrowedToEndpoints } from '#projections/Proxy.ts'
import type { ViewOptions } from './viewOptions.ts'

/** As the API server names them (`apiserver/door/parts.ts`). */
export const ENDPOINT_PARTS = ['services', 'endpointslices'] as const

/** The part a kind's objects are in. */
export const endpointPartOf = ({ resource }: ResourceRef): string => resource

/** On a node the same few Services are looked at, when they change or are asked for; and nothing is written. */
export const HELD_OF_ENDPOINTS: Pick<ViewOptions, 'narrow' | 'parsedBytes' | 'names'> = {
  narrow: narrowedToEndpoints,
  parsedBytes: 1024 * 1024,
  names: 0
}
