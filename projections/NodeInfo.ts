/** A node as the scheduler sees it, with the pods on it and what they ask for together. */
import type { Taint } from '#events/schema/generated/core.v1.ts'
import type { Labels } from '#events/meta/LabelSelector.ts'
import type { PodAffinity } from './PodAffinity.ts'

export type { Taint }

/** CPU in millicores; everything else in whole units (bytes, counts). */
export type Resources = Readonly<Record<string, number>>

/** A pod that is on a node, or assumed to be. */
export interface PodInfo {
  readonly id: string
  readonly uid: string
  readonly namespace: string
  readonly labels: Labels
  readonly terminating: boolean
  readonly requests: Resources
  /** What it is taken to use when it asks for nothing: keeps such pods from piling up on one node. */
  readonly usual: Usual
  /** `TCP/0.0.0.0/80` of host ports. */
  readonly ports: readonly string[]
  /** The uid of its controller. */
  readonly owner: string | undefined
  readonly affinity: PodAffinity | undefined
}

export interface Usual {
  /** Millicores. */
  readonly cpu: number
  /** Bytes. */
  readonly memory: number
}

/** One object per node, changed in place, so that lists of nodes stay valid. */
export interface NodeInfo {
  readonly name: string
  labels: Labels
  taints: readonly Taint[]
  unschedulable: boolean
  allocatable: Resources
  readonly requested: Record<string, number>
  readonly usual: { cpu: number; memory: number }
  readonly pods: Map<string, PodInfo>
  /** Pods per controller uid: what default spreading looks at. */
  readonly owners: Map<string, number>
  /** Bytes by image name. */
  images: ReadonlyMap<string, number>
}

export const addPod = (node: NodeInfo, pod: PodInfo): void => {
  node.pods.set(pod.id, pod)
  count(node, pod, 1)
}

export const removePod = (node: NodeInfo, pod: PodInfo): void => {
  node.pods.delete(pod.id)
  count(node, pod, -1)
}

const count = (node: NodeInfo, { requests, usual, owner }: PodInfo, by: 1 | -1): void => {
  for (const name in requests) node.requested[name] = (node.requested[name] ?? 0) + by * (requests[name] as number)
  node.usual.cpu += by * usual.cpu
  node.usual.memory += by * usual.memory
  if (owner === undefined) return
  const pods = (node.owners.get(owner) ?? 0) + by
  if (pods === 0) node.owners.delete(owner)
  else node.owners.set(owner, pods)
}
