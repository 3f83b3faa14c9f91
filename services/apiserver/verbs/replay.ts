/** The changes of a collection since a sequence that the window no longer has: read from the log, a batch at a time. */
import { expired, Refusal } from '#events/Refusal.ts'
import { subjectsOf } from '#events/Subject.ts'
import type { History } from '#projections/History.ts'
import type { Entry } from '#projections/Objects.ts'
import type { View } from '../../platform/View.ts'
import type { Versions } from '../time-travel/Versions.ts'
import { typeOf, type EventType, type WatchRequest } from './watch.ts'

/** Objects whose last version's match is remembered; for others it is looked up again. */
const KNOWN = 4_096

export interface Past {
  readonly view: View
  readonly history: History
  readonly versions: Versions
}

export interface Told {
  readonly type: EventType
  readonly entry: Entry
}

/** 410 when the log no longer reaches back to `from`. */
export const checkReach = async ({ view }: Past, from: number): Promise<void> => {
  // PULSE keeps the last version of each object only, which is all that a watcher of Leases misses.
  if (view.stream === 'PULSE') return
  const { first } = await view.log.state()
  if (from + 1 < first) throw expired(`too old resource version: ${from} (${first - 1})`)
}

export async function* replay(past: Past, { kind, namespace, selection }: Pick<WatchRequest, 'kind' | 'namespace' | 'selection'>, from: number, to: number): AsyncGenerator<readonly Told[]> {
  const { view, history } = past
  const matched = new Map<string, boolean>()
  const matchedBefore = async ({ id, sequence }: Entry): Promise<boolean> => {
    const before = history.versionAt(kind, id, sequence - 1)
    if (before === undefined) return false
    if (selection.all) return true
    return matched.get(id) ?? (await versionMatches(past, before, selection.matches))
  }
  for await (const batch of view.log.read({ from, to, filter: subjectsOf(view.stream, kind, namespace) })) {
    const told: Told[] = []
    for (const stored of batch) {
      const entry = view.versionOf(stored)
      // What is no event of ours tells nobody anything.
      if (entry === undefined) continue
      const { deleted } = entry.facts
      const is = selection.matches(entry)
      const type = typeOf(deleted, is, await matchedBefore(entry))
      if (type !== undefined) told.push({ type, entry })
      if (selection.all) continue
      matched.delete(entry.id)
      if (!deleted) matched.set(entry.id, is)
      if (matched.size > KNOWN) matched.delete(matched.keys().next().value as string)
    }
    if (told.length > 0) yield told
  }
}

const versionMatches = async ({ view, versions }: Past, sequence: number, matches: (entry: Entry) => boolean): Promise<boolean> => {
  try {
    return matches(await versions.read(view, sequence))
  } catch (error) {
    // Its version is gone from the log: to the watcher the object is new.
    if (error instanceof Refusal) return false
    throw error
  }
}
