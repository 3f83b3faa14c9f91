/**
 * The node IPAM controller's decision: every node gets a part of each of the cluster's pod networks, one per address family, which
 * no other node has. It keeps it for as long as it is there; then the part is free again (upstream's RangeAllocator).
 */
import { NODES } from '#events/collections.ts'
import { Node } from '#events/core/Node.ts'
import type { Node as NodeType } from '#events/schema/generated/core.v1.ts'
import type { Family, Network } from '#events/meta/ip.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { merge } from '#services/controller-manager/asks.ts'
import { isTerminating } from '#services/controller-manager/pods.ts'
import { record } from '#services/controller-manager/recorder.ts'
import { freePart, networksOf } from './ranges.ts'

export const NAME = 'node-ipam-controller'
/** Nodes are given theirs one after the other: one that is asked for at a time can't be given to two. */
export const KEY = '/'

export interface NodeIpamConfig {
  /** The cluster's pod networks: one, or one of each family. */
  readonly clusterCIDRs: readonly string[]
  /** Leading bits of a node's part, as --node-cidr-mask-size-ipv4 and -ipv6. */
  readonly maskSizes: Readonly<Record<Family, number>>
}

/** Nodes decided at once: a thousand that come together are many small writes, not one long turn. */
const BATCH = 50
/** Where there is no room a node may leave at any time, which is seen; a person may also widen the network, which is not. */
const AGAIN_MS = 60_000

export const cidrsOf = (node: NodeType): readonly string[] => {
  const { podCIDR, podCIDRs } = node.spec ?? {}
  return podCIDRs?.length ? podCIDRs : podCIDR ? [podCIDR] : []
}

const younger = (a: NodeType, b: NodeType): number => {
  const [one, other] = [a, b].map(({ metadata }) => `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''}`) as [string, string]
  return one < other ? -1 : one > other ? 1 : 0
}

export const decide = (view: ObjectsView, { clusterCIDRs, maskSizes }: NodeIpamConfig, { now }: DecideContext): Decision => {
  const nodes = [...view.collection(NODES).values()].map(({ object }) => object)
  const waiting = nodes.filter((node) => cidrsOf(node).length === 0 && !isTerminating(node)).sort(younger)
  if (waiting.length === 0) return NOTHING
  const taken: Network[] = nodes.flatMap((node) => networksOf(cidrsOf(node)))
  const asks: Ask[] = []
  let short = false
  for (const node of waiting.slice(0, BATCH)) {
    const given = networksOf(clusterCIDRs).map((network) => freePart(network, maskSizes[network.family], taken))
    const parts = given.filter((part) => part !== undefined)
    if (parts.length < given.length || parts.length === 0) {
      short = true
      asks.push(
        record(view, node, 'cidrAllocator', 'Normal', 'CIDRNotAvailable', `Node ${node.metadata.name} status is now: CIDRNotAvailable`, now)
      )
      continue
    }
    taken.push(...networksOf(parts))
    // On the version that was seen: another one may have a part by now.
    asks.push(
      merge(Node, node, {
        metadata: { uid: node.metadata.uid, resourceVersion: node.metadata.resourceVersion },
        spec: { podCIDR: parts[0], podCIDRs: parts }
      })
    )
  }
  return { asks, ...(short ? { requeueAfterMs: AGAIN_MS } : waiting.length > BATCH ? { requeueAfterMs: 1 } : {}) }
}
