/** Waits until something is so, for tests that have no event to wait for: other processes, servers, what happens in the background. */
import { setTimeout as wait } from 'node:timers/promises'

export interface UntilOptions {
  /** How long it may take: the test fails after that. */
  readonly ms?: number
  /** Between two questions. */
  readonly everyMs?: number
}

/** What can't be asked is not so yet. Rejects with what never was. */
export const until = async (
  what: string,
  check: () => boolean | Promise<boolean>,
  { ms = 20_000, everyMs = 10 }: UntilOptions = {}
): Promise<void> => {
  const deadline = performance.now() + ms
  let why = ''
  for (;;) {
    try {
      if (await check()) return
      why = ''
    } catch (error) {
      why = `: ${error instanceof Error ? error.message : String(error)}`
    }
    if (performance.now() > deadline) throw new Error(`not within ${ms / 1_000} s: ${what}${why}`)
    await wait(everyMs)
  }
}
