/**
 * Parts of the pod network: no two nodes have an address in common, whoever gives them out, brings them along or types them in. Plain.
 *
 * A node's range is held by its Node, and is free when that is gone. Ranges have any size, so no name of an object could stand for what
 * they must not share, as an address' does; blocks of one size would have to be claimed by the hundred, and would mean something else
 * after the size was changed. So all assignments write one small object: each is decided on a state that has every one before it.
 */
import { NODES } from '#events/collections.ts'
import type { NodeSpec } from '#events/schema/generated/core.v1.ts'
import type { ObjectKey, ResourceRef } from '#events/Key.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { overlap, parseCIDR } from '#events/meta/cidr.ts'
import { badValue } from '#events/meta/faults.ts'
import type { Network } from '#events/meta/ip.ts'
import { parentRefOf } from '#events/networking/parent.ts'
import { invalid } from '#events/Refusal.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { DecideContext } from '#services/apiserver/decision.ts'

/** Of no kind of the API, as node ports are. */
export const POD_CIDRS: ResourceRef = { group: 'reckon.io', resource: 'podcidrs' }
const LAST: ObjectKey = { ...POD_CIDRS, namespace: '', name: 'assigned' }

export const rangesOf = (node: KubeObject): readonly string[] => {
  const { podCIDR, podCIDRs } = (node['spec'] ?? {}) as NodeSpec
  return podCIDRs?.length ? podCIDRs : podCIDR ? [podCIDR] : []
}

const isPart = (part: Network, { family, base, size }: Network): boolean =>
  part.family === family && part.base >= base && part.base + part.size <= base + size

/** Why a node may not have that range, and what to do; undefined: it may. `clusterCIDRs`: the cluster's pod networks; absent: any. */
export const rangeFault = (
  view: ObjectsView,
  node: string,
  cidr: string,
  clusterCIDRs: readonly string[] | undefined
): string | undefined => {
  const range = parseCIDR(cidr)
  // That it is none at all is for the kind to say.
  if (range === undefined) return undefined
  const advice =
    "leave it out, and the node is given a free part, or name one that no other node has any address of (the machine's nodePodCIDR)"
  const networks = (clusterCIDRs ?? []).flatMap((one) => parseCIDR(one) ?? [])
  if (networks.length > 0 && !networks.some((network) => isPart(range, network)))
    return `is no part of the cluster's pod network ${networks.map(({ text }) => text).join(', ')}: ${advice}`
  for (const { key, object } of view.collection(NODES).values()) {
    if (key.name === node) continue
    const theirs = rangesOf(object).find((other) => touches(range, other))
    if (theirs !== undefined) return `has addresses of ${theirs}, the pod CIDR of node "${key.name}": ${advice}`
  }
  return undefined
}

const touches = (range: Network, cidr: string): boolean => {
  const other = parseCIDR(cidr)
  return other !== undefined && overlap(range, other)
}

/** What it takes. Who has some already may not change it, which is for the kind to say. */
const taken = (node: KubeObject, old: KubeObject | undefined): readonly string[] =>
  old !== undefined && rangesOf(old).length > 0 ? [] : rangesOf(node)

/** Throws 422 for a range that can't be had. */
export const allocateRanges = (node: KubeObject, old: KubeObject | undefined, { view, settings }: DecideContext): void => {
  const name = node.metadata.name ?? ''
  const all = rangesOf(node)
  const faults = taken(node, old).flatMap((cidr) => {
    const fault = rangeFault(view, name, cidr, settings.podCIDRs)
    return fault === undefined ? [] : [badValue(`spec.podCIDRs[${all.indexOf(cidr)}]`, cidr, fault)]
  })
  if (faults.length > 0) throw invalid('', 'Node', name, faults)
}

/** The line through all assignments: who had the last one, on the one before it. Undefined where nothing is assigned. */
export const assignment = (
  owner: ObjectKey,
  node: KubeObject,
  old: KubeObject | undefined
): { readonly key: ObjectKey; readonly object: KubeObject } | undefined => {
  const podCIDRs = taken(node, old)
  if (podCIDRs.length === 0) return undefined
  const spec = { parentRef: parentRefOf(owner), podCIDRs }
  return { key: LAST, object: { apiVersion: 'reckon.io/v1', kind: 'PodCIDRs', metadata: { name: LAST.name }, spec } }
}
