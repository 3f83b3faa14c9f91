/**
 * Pods this agent must not run, because it can't give them what they were admitted for: Pod Security asks less of a pod
 * that names Windows or has a user namespace of its own, and nothing of one whose runtime class is exempt. A pod that got
 * none of these would run with what it was spared.
 *
 * Upstream fails a pod for another system, and a ReplicaSet then makes the next one, as fast as it can and for ever. Here
 * it waits, and an event says why: its maker makes no other, and the log stays quiet.
 */
import type { Pod } from '#events/schema/generated/core.v1.ts'

export interface PodRefusal {
  readonly reason: string
  readonly message: string
}

export const refusalOf = ({ spec }: Pod): PodRefusal | undefined => {
  const system = spec?.os?.name ?? ''
  if (system !== '' && system !== 'linux')
    return { reason: 'PodOSNotSupported', message: "Failed to admit pod as the OS field doesn't match node OS" }
  if (spec?.hostUsers === false)
    return {
      reason: 'FailedCreatePodSandBox',
      message: "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces"
    }
  if (spec?.runtimeClassName)
    return {
      reason: 'FailedCreatePodSandBox',
      message: `Failed to create pod sandbox: no runtime for "${spec.runtimeClassName}" is configured`
    }
  return undefined
}
