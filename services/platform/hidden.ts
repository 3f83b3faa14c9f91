/**
 * Entries that are no events of ours hide, from who reads only the newest of each subject, the version of the object that
 * stands before them. A replay passes over them; a start from the newest looks behind them.
 */
import type { Log, LogEntry } from '#events/Log.ts'
import type { Entry } from '#projections/Objects.ts'

const PARALLEL = 16

/** The versions that stand before `hidden` (subject → the place of what hides it); of a subject that never had one, none. */
export const versionsBehind = async (
  log: Log,
  hidden: ReadonlyMap<string, number>,
  versionOf: (stored: LogEntry) => Entry | undefined
): Promise<ReadonlyMap<string, Entry>> => {
  const found = new Map<string, Entry>()
  const lookBehind = async ([subject, sequence]: readonly [string, number]): Promise<void> => {
    for (let at = sequence; at > 1;) {
      const stored = await log.lastOn(subject, at - 1)
      if (stored === undefined) return
      const version = versionOf(stored)
      if (version !== undefined) return void found.set(subject, version)
      at = stored.sequence
    }
  }
  const all = [...hidden]
  for (let from = 0; from < all.length; from += PARALLEL) await Promise.all(all.slice(from, from + PARALLEL).map(lookBehind))
  return found
}
