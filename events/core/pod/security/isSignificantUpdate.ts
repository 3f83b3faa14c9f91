/** Which changes of a pod are judged anew: those that bring something to run. The rest of a spec can't change. */
import type { Container, PodSpec } from '#events/schema/generated/core.v1.ts'

const changed = (now: readonly Container[] = [], before: readonly Container[] = []): boolean =>
  now.length !== before.length || now.some(({ image }, index) => (image ?? '') !== (before[index]?.image ?? ''))

/** Removing a debugging container is no reason; adding one, or another image for one, is. */
const debugged = (now: readonly Container[] = [], before: readonly Container[] = []): boolean =>
  now.some(({ name, image }) => {
    const old = before.find((one) => one.name === name)
    return old === undefined || (image ?? '') !== (old.image ?? '')
  })

export const isSignificantUpdate = (now: PodSpec, before: PodSpec): boolean =>
  changed(now.containers, before.containers) ||
  changed(now.initContainers, before.initContainers) ||
  debugged(now.ephemeralContainers as readonly Container[] | undefined, before.ephemeralContainers as readonly Container[] | undefined)
