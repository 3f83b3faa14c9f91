/** The pod garbage collector's decision: pods of nodes that are gone, pods that never got one and are going, and old finished ones. */
import { Pod } from '#events/core/pod/Pod.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type DecideContext, type Decision } from '../../platform/decision.ts'
import { remove } from '../asks.ts'
import { isTerminating } from '../pods.ts'

export const NAME = 'pod-garbage-collector'
export const PODS = { group: '', resource: 'pods' }
export const NODES = { group: '', resource: 'nodes' }
/** As upstream's --terminated-pod-gc-threshold. */
export const FINISHED_MAX = 12_500
/** How long a node may be gone before its pods are given up. */
const NODE_GONE_MS = 40_000
const AGAIN_MS = 20_000

/**
 * One key for the whole cluster: the collector looks at everything, seldom.
 * @param goneSince since when (milliseconds) a node is known to be gone
 */
export const decide = (view: ObjectsView, _key: string, { now }: DecideContext, goneSince: (node: string) => number): Decision => {
  const asks = []
  let waiting = false
  const finished: KubeObject[] = []
  for (const { object: pod } of view.collection(PODS).values()) {
    const node = (pod['spec']?.nodeName as string | undefined) ?? ''
    const phase = pod['status']?.phase as string | undefined
    if (node === '' && isTerminating(pod)) asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
    else if (node !== '' && view.get({ ...NODES, namespace: '', name: node }) === undefined) {
      if (now - goneSince(node) >= NODE_GONE_MS) asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
      else waiting = true
    } else if (phase === 'Succeeded' || phase === 'Failed') finished.push(pod)
  }
  const surplus = finished.length - FINISHED_MAX
  if (surplus > 0) for (const pod of finished.sort((a, b) => Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '')).slice(0, surplus)) asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
  if (asks.length === 0 && !waiting) return NOTHING
  return { asks: asks.slice(0, 500), requeueAfterMs: AGAIN_MS }
}
