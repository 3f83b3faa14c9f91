/** What controllers ask of pods: are they ready, since when, do they still count. Plain functions. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { conditionOf } from '#events/meta/Conditions.ts'

export const isTerminating = (object: KubeObject): boolean => object.metadata.deletionTimestamp !== undefined

export const isReady = (pod: Pod): boolean => conditionOf(pod, 'Ready')?.status === 'True'

/** Still wanted and still able to run: neither done nor going. */
export const isActive = (pod: Pod): boolean => pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed' && !isTerminating(pod)

/** Milliseconds until the pod counts as available; 0: it does; undefined: it is not ready. */
export const availableIn = (pod: Pod, minReadySeconds: number, now: number): number | undefined => {
  const ready = conditionOf(pod, 'Ready')
  if (ready?.status !== 'True') return undefined
  if (minReadySeconds === 0) return 0
  const since = Date.parse(ready.lastTransitionTime ?? '')
  return Math.max(0, since + minReadySeconds * 1000 - now)
}
