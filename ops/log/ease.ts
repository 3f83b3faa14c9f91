/** Work beside a cluster that works: a part of the time, so that the disk and the log's server have the rest. */
import { setTimeout as wait } from 'node:timers/promises'

/** Rests are taken together: a timer is not exact to the millisecond. */
const AT_LEAST_MS = 20

/** Calls that lie between two of these are work; it rests as long as that took. */
export const easing = (eased: boolean): (() => Promise<void>) => {
  let begun = performance.now()
  return async () => {
    const worked = performance.now() - begun
    if (!eased || worked < AT_LEAST_MS) return
    await wait(worked)
    begun = performance.now()
  }
}
