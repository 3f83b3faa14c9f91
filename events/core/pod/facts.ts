/** The past-tense fact a change of a pod is, for the event's type. */
import type { Pod } from '#events/schema/generated/core.v1.ts'
import { isTrue } from '#events/meta/Conditions.ts'
import type { ObjectChange } from '#events/meta/eventType.ts'

const restartsOf = (pod: Pod): number =>
  (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + (restartCount ?? 0), 0)

const runningOf = (pod: Pod): number => (pod.status?.containerStatuses ?? []).filter(({ state }) => state?.running).length

const factOf = ({ before, after, deleted, subresource }: ObjectChange<Pod>): string | undefined => {
  if (deleted) return 'deleted'
  if (before === undefined) return 'created'
  if (after.metadata.deletionTimestamp !== undefined && before.metadata.deletionTimestamp === undefined) return 'deletion-requested'
  if (after.spec?.nodeName && !before.spec?.nodeName) return 'scheduled'
  if (subresource === '') return undefined
  const [was, is] = [before.status?.phase, after.status?.phase]
  if (is === 'Failed' && was !== 'Failed') return 'failed'
  if (is === 'Succeeded' && was !== 'Succeeded') return 'succeeded'
  if (restartsOf(after) > restartsOf(before)) return 'container-restarted'
  const [wasReady, isReady] = [isTrue(before, 'Ready'), isTrue(after, 'Ready')]
  if (isReady && !wasReady) return 'ready'
  if (is === 'Running' && (was !== 'Running' || runningOf(after) > runningOf(before))) return 'started'
  if (wasReady && !isReady) return 'not-ready'
  return undefined
}

export const podEventType = (change: ObjectChange<Pod>): string | undefined => {
  const fact = factOf(change)
  return fact === undefined ? undefined : `reckon.pod.${fact}.v1`
}
