/**
 * The pod garbage collector's decision: pods of nodes that are gone, pods that never got one and are going, and old finished ones.
 *
 * A node that is gone may be back in a moment. Since when it is gone is said on its pods, as a condition: in a process's memory it
 * would begin anew with each leader, and nobody who replays the decision would have it.
 */
import { NODES, PODS } from '#events/collections.ts'
import { Pod } from '#events/core/pod/Pod.ts'
import type { Pod as PodType } from '#events/schema/generated/core.v1.ts'
import { conditionOf, type Condition } from '#events/meta/Conditions.ts'
import { timestamp } from '#events/meta/time.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { NOTHING, type Ask, type DecideContext, type Decision } from '#services/platform/decision.ts'
import { remove, updateStatus } from '#services/controller-manager/asks.ts'
import { isTerminating } from '#services/controller-manager/pods.ts'

export const NAME = 'pod-garbage-collector'
/** As upstream's --terminated-pod-gc-threshold. */
export const FINISHED_MAX = 12_500
/** True since the pod's node is not there. */
export const NODE_GONE = 'reckon.io/NodeGone'
/** How long a node may be gone before its pods are given up. */
const NODE_GONE_MS = 40_000
const AGAIN_MS = 20_000
const MOST = 500

const marked = (pod: PodType, status: 'True' | 'False', message: string, now: number): Ask => {
  const old = pod.status?.conditions ?? []
  const condition: Condition = {
    type: NODE_GONE,
    status,
    reason: status === 'True' ? 'NodeNotFound' : 'NodeFound',
    message,
    lastTransitionTime: timestamp(now)
  }
  return updateStatus(Pod, pod, { ...pod.status, conditions: [...old.filter(({ type }) => type !== NODE_GONE), condition] })
}

/** One key for the whole cluster: the collector looks at everything, seldom. */
export const decide = (view: ObjectsView, _key: string, { now }: DecideContext): Decision => {
  const asks: Ask[] = []
  let waiting = false
  const finished: PodType[] = []
  for (const { object: pod } of view.collection(PODS).values()) {
    const node = pod.spec?.nodeName ?? ''
    const phase = pod.status?.phase
    const there = node !== '' && view.get({ ...NODES, namespace: '', name: node }) !== undefined
    const gone = conditionOf(pod, NODE_GONE)
    if (node === '' && isTerminating(pod)) asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
    else if (node !== '' && !there) {
      if (gone?.status !== 'True') asks.push(marked(pod, 'True', `node ${node} is not there`, now))
      else if (now - Date.parse(gone.lastTransitionTime ?? '') >= NODE_GONE_MS) asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
      waiting = true
    } else if (there && gone?.status === 'True') asks.push(marked(pod, 'False', `node ${node} is back`, now))
    else if (phase === 'Succeeded' || phase === 'Failed') finished.push(pod)
  }
  const surplus = finished.length - FINISHED_MAX
  if (surplus > 0)
    for (const pod of finished
      .sort((a, b) => Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? ''))
      .slice(0, surplus))
      asks.push(remove(Pod, pod, { gracePeriodSeconds: 0 }))
  if (asks.length === 0 && !waiting) return NOTHING
  return { asks: asks.slice(0, MOST), requeueAfterMs: AGAIN_MS }
}
