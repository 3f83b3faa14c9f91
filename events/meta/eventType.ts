/** The past-tense fact an event is named after. */
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'

export interface ObjectChange<Some extends KubeObject = KubeObject> {
  readonly before: Some | undefined
  readonly after: Some
  readonly deleted: boolean
  /** '' for the object itself. */
  readonly subresource: string
}

/** `reckon.configmap.updated.v1`: the kind's own fact, or created, updated, status-updated, deletion-requested, deleted. */
export const eventTypeOf = (kind: Kind, change: ObjectChange): string =>
  kind.eventType?.(change) ?? `reckon.${kind.singular}.${plainFact(change)}.v1`

const plainFact = ({ before, after, deleted, subresource }: ObjectChange): string => {
  if (deleted) return 'deleted'
  if (before === undefined) return 'created'
  if (after.metadata.deletionTimestamp !== undefined && before.metadata.deletionTimestamp === undefined) return 'deletion-requested'
  return subresource === 'status' ? 'status-updated' : 'updated'
}
