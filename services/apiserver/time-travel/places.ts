/** Where all events of one object are, from the index of the past: what would else be looked for through the whole log. */
import { objectId, type ObjectKey } from '#events/Key.ts'
import type { StreamName } from '#events/Subject.ts'
import type { Past } from './Reader.ts'

/** Who asks waits no longer for an index that is behind; the log has them as well. */
const SETTLE_MS = 2_000
/** In one answer. */
const MOST = 50_000

/** Ascending, deletions among them. Undefined when the index does not tell of all of them, or there are too many for an answer. */
export const placesOf = async (
  { views, histories }: Pick<Past, 'views' | 'histories'>,
  stream: StreamName,
  key: ObjectKey
): Promise<readonly number[] | undefined> => {
  const [view, history] = [views.byStream.get(stream), histories.get(stream)]
  if (view === undefined || history?.placesOf === undefined) return undefined
  const { sequence } = view.objects
  if (!(await history.reaches(sequence, SETTLE_MS)) || (history.begins ?? 0) > 0) return undefined
  const places = history.placesOf(key, objectId(key.namespace, key.name))
  // One that was begun anew meanwhile has answered with less than there was.
  return history.lastSequence < sequence || places.length > MOST ? undefined : places
}
