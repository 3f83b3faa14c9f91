/** What the scheduler says about a pod: the PodScheduled condition and the notices `kubectl describe` shows. Plain functions. */
import { timestamp } from '#events/meta/time.ts'
import type { Intent } from '#events/Intent.ts'
import type { Pod } from '#events/schema/generated/core.v1.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionOf, setCondition, type Condition } from '#events/meta/Conditions.ts'
import { statusWrite } from '#events/meta/halves.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import type { Refusal } from './plugin.ts'

/**
 * `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: 0/3 nodes are available: …`
 * Pods are not preempted: for nodes where that could help, no victim is found.
 */
export const fitError = (nodes: number, refusals: ReadonlyMap<Refusal, number>, counts: ReadonlyMap<string, number>, pod: Pod): string => {
  const list = (reasons: Iterable<readonly [string, number]>): string =>
    [...reasons]
      .map(([reason, count]) => `${count} ${reason}`)
      .toSorted()
      .join(', ')
  const head = `0/${nodes} nodes are available: ${list(counts)}.`
  if (pod.spec.preemptionPolicy === 'Never') return `${head} preemption: not eligible due to preemptionPolicy=Never.`
  const preemption = new Map<string, number>()
  for (const [{ unresolvable }, count] of refusals) {
    const why = unresolvable ? 'Preemption is not helpful for scheduling' : 'No preemption victims found for incoming pod'
    preemption.set(why, (preemption.get(why) ?? 0) + count)
  }
  return `${head} preemption: 0/${nodes} nodes are available: ${list(preemption)}.`
}

/** The pod with its condition, or undefined when it says so already. `now`: milliseconds. */
export const podScheduledCondition = (pod: Pod, message: string, now: number): KubeObject | undefined => {
  const present = conditionOf(pod, 'PodScheduled')
  if (present?.status === 'False' && present.message === message) return undefined
  const condition: Condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }
  // The version is a lock: a pod that was bound meanwhile is the kubelet's to report on.
  return statusWrite(pod, { ...pod.status, conditions: setCondition<Condition>(pod.status?.conditions, condition, timestamp(now)) })
}

export const schedulingNotice = (
  view: ObjectsView,
  pod: Entry,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  now: number
): Omit<Intent, 'id' | 'source' | 'cause'> =>
  noticeDraft(view, {
    about: pod.object,
    type,
    reason,
    message,
    component: 'default-scheduler',
    time: timestamp(now)
  })
