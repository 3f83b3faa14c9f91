/**
 * Holds a leader's writes to its term. That the term goes on is looked up when a write is decided, which spares most; but this
 * API server may not have heard of a newer one, or stop between looking and writing for as long as it likes. So whatever a leader
 * writes is stored together with a guard: an entry that the log takes only if the marker is still the term's own.
 */
import type { Guard } from '#events/guard.ts'
import type { Intent } from '#events/Intent.ts'
import { markerKey, termEnded } from '#events/coordination/term.ts'
import type { Views } from '#services/platform/Views.ts'

/**
 * The guard of an intent that names a term; none where the marker stands in another stream, which no batch reaches. Updates have one as
 * well: each is tied to the version it was decided on, but not to what else the leader knew, and an object that nobody else has
 * written since would take the word of a leader that has been none for long. Rejects with a Refusal when its term has ended.
 */
export const fence = async (views: Views, { term, ref }: Intent): Promise<readonly Guard[]> => {
  if (term === undefined) return []
  const key = markerKey(term.lease)
  const view = views.of(key)
  // A leader may know of its term before we do.
  if (view.objects.sequence < term.sequence) await view.waitFor(term.sequence)
  if (view.objects.head(key) !== term.sequence) throw termEnded(term)
  return views.of(ref) === view ? [{ key, expected: term.sequence }] : []
}
