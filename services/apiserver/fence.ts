/**
 * Holds a leader's writes to its term. That the term goes on is looked up when a write is decided, which spares most; but this
 * API server may not have heard of a newer one, or stop between looking and writing for as long as it likes. So what makes or
 * removes an object is stored together with a guard: an entry that the log takes only if the marker is still the term's own.
 */
import { encodeEvent } from '#events/Event.ts'
import type { Intent } from '#events/Intent.ts'
import type { Append } from '#events/Log.ts'
import { subjectOf } from '#events/Subject.ts'
import { guardKey, markerKey, termEnded, type Term } from '#events/coordination/term.ts'
import type { Clock } from '#services/platform/Clock.ts'
import type { Views } from '#services/platform/Views.ts'

/**
 * An update is tied to the version it was decided on; what comes to be or goes is tied to nothing. A binding is tied to the pod
 * without a node, but not to the room there is on the node, which the next leader has given to others.
 */
const isGuarded = ({ verb, subresource = '' }: Intent): boolean =>
  (verb === 'create' && (subresource === '' || subresource === 'binding')) || verb === 'delete'

/** The guard of an intent that needs one. Rejects with a Refusal when its term has ended. */
export const fence = async (views: Views, intent: Intent, clock: Clock): Promise<Append | undefined> => {
  const { term } = intent
  if (term === undefined) return undefined
  const marker = markerKey(term.lease)
  const view = views.of(marker)
  // A leader may know of its term before we do.
  if (view.objects.sequence < term.sequence) await view.waitFor(term.sequence)
  if (view.objects.head(marker) !== term.sequence) throw termEnded(term)
  return isGuarded(intent) && views.of(intent.ref) === view ? guardOf(term, view.begins, clock) : undefined
}

const guardOf = (term: Term, begins: number, clock: Clock): Append => {
  const key = guardKey(term.lease)
  const id = clock.uuid()
  const record = encodeEvent({
    stream: 'EVENTS',
    key,
    id,
    type: 'reckon.guard.held.v1',
    source: 'apiserver',
    time: new Date(clock.now()).toISOString(),
    user: 'system:apiserver',
    correlationId: id,
    verb: 'guard',
    // Gone as soon as it is there: nobody lists or watches it.
    deleted: true,
    object: { apiVersion: 'reckon.io/v1', kind: 'Guard', metadata: { name: term.lease }, of: markerKey(term.lease), at: term.sequence },
    expected: 0
  })
  // The marker's own event may have been compacted: its subject is empty then.
  return {
    subject: subjectOf('EVENTS', key),
    ...record,
    expected: term.sequence < begins ? 0 : term.sequence,
    on: subjectOf('EVENTS', markerKey(term.lease))
  }
}
