/** What the scheduler says about a pod: the PodScheduled condition and the notices `kubectl describe` shows. Plain functions. */
import type { Intent } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionOf, setCondition, type Condition } from '#events/meta/Conditions.ts'
import { noticeDraft } from '#events/core/notice.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'

/** The pod with its condition, or undefined when it says so already. `now`: milliseconds. */
export const podScheduledCondition = (pod: KubeObject, message: string, now: number): KubeObject | undefined => {
  const present = conditionOf(pod, 'PodScheduled')
  if (present?.status === 'False' && present.message === message) return undefined
  const condition: Condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.metadata.name as string, namespace: pod.metadata.namespace as string, uid: pod.metadata.uid as string },
    status: { ...pod['status'], conditions: setCondition(pod['status']?.conditions, condition, new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')) }
  }
}

export const schedulingNotice = (view: ObjectsView, pod: Entry, type: 'Normal' | 'Warning', reason: string, message: string, now: number): Omit<Intent, 'id' | 'source' | 'cause'> =>
  noticeDraft(view, {
    about: pod.object,
    type,
    reason,
    message,
    component: 'default-scheduler',
    time: `${new Date(now).toISOString().slice(0, 19)}Z`
  })
