/** The changes of a collection since a sequence that the window no longer has: read from the log, a batch at a time. */
import { compactedText } from '#events/compaction.ts'
import type { ResourceRef } from '#events/Key.ts'
import { collectionOf } from '#events/Kind.ts'
import { expired, Refusal } from '#events/Refusal.ts'
import { subjectsOf } from '#events/Subject.ts'
import type { Entry } from '#projections/Objects.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import type { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { typeOf, type EventType, type WatchRequest } from './watch.ts'

/** Objects whose last version's match is remembered; for others it is looked up again. */
const KNOWN = 4_096

export interface Past {
  readonly view: View
  readonly history: PastIndex
  readonly versions: Versions
}

export interface Told {
  readonly type: EventType
  readonly entry: Entry
}

/**
 * 410 when the log no longer reaches back to `from`: it expired, or its history was compacted; and when `from` is of what was
 * lost or left behind by a restore: who saw that has objects that never were, and nothing that comes would take them away.
 */
export const checkReach = async ({ view }: Past, from: number): Promise<void> => {
  // PULSE keeps the last version of each object only, which is all that a watcher of Leases misses.
  if (view.stream === 'PULSE') return
  const { first, last, floor, losses } = await view.log.state()
  checkFloor(view, from)
  // The end of a loss is where the log stands until something happens, and then a list's own version.
  const lost = losses.find((range) => range.first <= from && (from < range.last || (from === range.last && range.last < last)))
  if (lost !== undefined)
    throw expired(`too old resource version: ${from} (${lost.last}): what had the versions ${lost.first} to ${lost.last} is lost`)
  if (floor === 0 && from + 1 < first) throw expired(`too old resource version: ${from} (${first - 1})`)
}

/** What was compacted is known to the view as soon as it was done, also while somebody reads. */
const checkFloor = ({ floor, floorTime }: View, from: number): void => {
  if (from < floor) throw expired(`too old resource version: ${from} (${floor}): ${compactedText(floor, floorTime)}`)
}

export async function* replay(
  past: Past,
  { kind, namespace, selection }: Pick<WatchRequest, 'kind' | 'namespace' | 'selection'>,
  from: number,
  to: number
): AsyncGenerator<readonly Told[]> {
  const { view } = past
  const ref = collectionOf(kind)
  const matched = new Map<string, boolean>()
  const matchedBefore = async ({ id, sequence }: Entry, subject: string): Promise<boolean> => {
    const before = await versionBefore(past, ref, id, sequence, subject)
    if (before === undefined) return false
    if (selection.all) return true
    return matched.get(id) ?? (await versionMatches(past, before, subject, selection.matches))
  }
  let reached = from - 1
  for await (const batch of view.log.read({ from, to, filter: subjectsOf(view.stream, ref, namespace) })) {
    const told: Told[] = []
    // Where this batch began: behind that something may have been taken away while it was read.
    checkFloor(view, reached)
    reached = batch.at(-1)?.sequence ?? reached
    for (const stored of batch) {
      const entry = view.versionOf(stored)
      // What is no event of ours tells nobody anything.
      if (entry === undefined) continue
      const { deleted } = entry.facts
      const is = selection.matches(entry)
      const type = typeOf(deleted, is, await matchedBefore(entry, stored.subject))
      if (type !== undefined) told.push({ type, entry })
      if (selection.all) continue
      matched.delete(entry.id)
      if (!deleted) matched.set(entry.id, is)
      if (matched.size > KNOWN) matched.delete(matched.keys().next().value as string)
    }
    if (told.length > 0) yield told
  }
  checkFloor(view, reached)
}

/** From the index; while that is not so far, the log knows as well, only slower. */
const versionBefore = async (
  { view, history }: Past,
  ref: ResourceRef,
  id: string,
  sequence: number,
  subject: string
): Promise<number | undefined> => {
  if (history.lastSequence >= sequence - 1 && sequence > (history.begins ?? 0)) return history.versionAt(ref, id, sequence - 1)
  const before = await view.log.lastOn(subject, sequence - 1)
  return before === undefined || before.headers['reckon-deleted'] === 'true' ? undefined : before.sequence
}

const versionMatches = async (
  { view, versions }: Past,
  sequence: number,
  subject: string,
  matches: (entry: Entry) => boolean
): Promise<boolean> => {
  try {
    return matches(await versions.read(view, sequence, subject))
  } catch (error) {
    // Its version is gone from the log: to the watcher the object is new.
    if (error instanceof Refusal) return false
    throw error
  }
}
