/**
 * The ServiceCIDR controller's decision (KEP-1880): a network is ready to give addresses, and one that goes waits for those it has given.
 */
import { IP_ADDRESSES, SERVICE_CIDRS } from '#events/collections.ts'
import { isWithin, parseIP, parseNetwork, type Network } from '#events/meta/ip.ts'
import type { Condition } from '#events/schema/generated/meta.v1.ts'
import type { ServiceCIDR as CIDRObject } from '#events/schema/generated/networking.v1.ts'
import { cidrsOf, READY, SERVICE_CIDR_FINALIZER, ServiceCIDR } from '#events/networking/ServiceCIDR.ts'
import { timestamp } from '#events/meta/time.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { merge } from '#services/controller-manager/asks.ts'

export const NAME = 'service-cidrs-controller'
/** An API server that has not heard yet that the network goes may still give an address from it. */
const GRACE_MS = 10_000

const networksOf = (object: CIDRObject): readonly Network[] => cidrsOf(object).flatMap((cidr) => parseNetwork(cidr) ?? [])

/** True when every address in `network` is in one of the others as well. */
const isCovered = (network: Network, others: readonly Network[]): boolean =>
  others.some(({ family, base, size }) => family === network.family && base <= network.base && base + size >= network.base + network.size)

/** True while somebody has an address that no other network would hold. */
const isNeeded = (view: ObjectsView, going: CIDRObject): boolean => {
  const staying = view
    .collection(SERVICE_CIDRS)
    .list()
    .filter(({ object }) => object.metadata.deletionTimestamp === undefined)
    .flatMap(({ object }) => networksOf(object))
  const alone = networksOf(going).filter((network) => !isCovered(network, staying))
  if (alone.length === 0) return false
  for (const { key } of view.collection(IP_ADDRESSES).values()) {
    const ip = parseIP(key.name)
    if (ip !== undefined && alone.some((network) => isWithin(ip, network)) && !staying.some((network) => isWithin(ip, network))) return true
  }
  return false
}

const withReady = (
  object: CIDRObject,
  ready: Pick<Condition, 'status' | 'message'> & { readonly reason?: string },
  now: number
): readonly Condition[] | undefined => {
  const conditions = object.status?.conditions ?? []
  const before = conditions.find(({ type }) => type === READY)
  if (before?.status === ready.status && (before.reason ?? '') === (ready.reason ?? '')) return undefined
  const lastTransitionTime = before?.status === ready.status ? (before.lastTransitionTime as string) : timestamp(now)
  return [...conditions.filter(({ type }) => type !== READY), { type: READY, reason: '', ...ready, lastTransitionTime }]
}

/** `key`: the network's name. */
export const decide = (view: ObjectsView, key: string, { now }: DecideContext): Decision => {
  const object = view.get({ ...SERVICE_CIDRS, namespace: '', name: key })?.object
  if (object === undefined) return NOTHING
  const finalizers = object.metadata.finalizers ?? []
  if (object.metadata.deletionTimestamp === undefined) {
    const conditions = withReady(object, { status: 'True', message: 'Kubernetes Service CIDR is ready' }, now)
    return {
      asks: [
        ...(finalizers.includes(SERVICE_CIDR_FINALIZER)
          ? []
          : [merge(ServiceCIDR, object, { metadata: { finalizers: [...finalizers, SERVICE_CIDR_FINALIZER] } })]),
        ...(conditions === undefined ? [] : [merge(ServiceCIDR, object, { status: { conditions } }, 'status')])
      ]
    }
  }
  if (!finalizers.includes(SERVICE_CIDR_FINALIZER)) return NOTHING
  if (isNeeded(view, object)) {
    const message = 'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR'
    const conditions = withReady(object, { status: 'False', reason: 'Terminating', message }, now)
    return conditions === undefined ? NOTHING : { asks: [merge(ServiceCIDR, object, { status: { conditions } }, 'status')] }
  }
  const left = Date.parse(object.metadata.deletionTimestamp) + GRACE_MS - now
  if (left > 0) return { asks: [], requeueAfterMs: left }
  return { asks: [merge(ServiceCIDR, object, { metadata: { finalizers: finalizers.filter((one) => one !== SERVICE_CIDR_FINALIZER) } })] }
}
