/** Objects of built-in kinds by the kind's name, which is how tests speak of them; and parts of objects that tests know by their path. */
import type { CustomResourceDefinition } from '#events/schema/generated/apiextensions.v1.ts'
import type { Deployment, ReplicaSet } from '#events/schema/generated/apps.v1.ts'
import type { Lease } from '#events/schema/generated/coordination.v1.ts'
import type {
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  Pod,
  Secret,
  Service,
  ServiceAccount
} from '#events/schema/generated/core.v1.ts'
import type { EndpointSlice } from '#events/schema/generated/discovery.v1.ts'
import type { IPAddress, ServiceCIDR } from '#events/schema/generated/networking.v1.ts'
import type { KubeObject, ObjectMeta } from '#events/KubeObject.ts'
import { isObject, own, type JsonObject } from '#events/meta/json.ts'

interface Named {
  ConfigMap: ConfigMap
  CustomResourceDefinition: CustomResourceDefinition
  Deployment: Deployment
  EndpointSlice: EndpointSlice
  Endpoints: Endpoints
  Event: Event
  IPAddress: IPAddress
  Lease: Lease
  Namespace: Namespace
  Node: Node
  Pod: Pod
  ReplicaSet: ReplicaSet
  Secret: Secret
  Service: Service
  ServiceAccount: ServiceAccount
  ServiceCIDR: ServiceCIDR
}

export type OfKind<Name extends string> = Name extends keyof Named ? Named[Name] : KubeObject

/** `at(object, 'spec.containers.0.image')`: what lies there, of an object whose type says nothing of it; undefined when nothing does. */
export const at = (object: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>((value, field) => (typeof value === 'object' && value !== null ? own(value as JsonObject, field) : undefined), object)

/** The same of what is text. */
export const textAt = (object: unknown, path: string): string => String(at(object, path))

/** The same of what is an object, to make another of. */
export const partAt = (object: unknown, path: string): Record<string, unknown> => {
  const found = at(object, path)
  if (!isObject(found)) throw new Error(`there is no object at ${path}`)
  return found
}

/** Puts a value there, in place. */
export const setAt = (object: unknown, path: string, value: unknown): void => {
  const dot = path.lastIndexOf('.')
  partAt({ object }, dot < 0 ? 'object' : `object.${path.slice(0, dot)}`)[path.slice(dot + 1)] = value
}

/** A document of the API as tests read it: an object, a list, a table, a Status or discovery, with the fields that are looked at. */
export interface Document extends KubeObject {
  readonly metadata: ObjectMeta & { readonly continue?: string; readonly remainingItemCount?: number }
  readonly items: readonly Document[]
  readonly columnDefinitions: readonly { readonly name: string }[]
  readonly rows: readonly { readonly cells: readonly unknown[]; readonly object: KubeObject }[]
  readonly data: Readonly<Record<string, string>>
  readonly spec: Readonly<Record<string, unknown>>
  readonly message: string
  readonly reason: string
  readonly details?: { readonly causes?: readonly { readonly field: string }[]; readonly retryAfterSeconds?: number }
  readonly groups: readonly { readonly name: string }[]
  readonly versions: readonly { readonly version: string; readonly freshness: string; readonly resources: readonly Served[] }[]
  readonly resources: readonly Served[]
  readonly groupVersion: string
}
interface Served {
  readonly kind?: string
  readonly name?: string
  readonly resource?: string
}

/** The document a body holds. */
export const documentOf = (body: Buffer | Uint8Array | string): Document => JSON.parse(Buffer.from(body).toString()) as Document
