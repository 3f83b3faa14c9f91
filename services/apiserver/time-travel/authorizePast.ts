/**
 * Who may read the past. Who may read a thing now may not therefore read what was there under its name before: the right is one
 * of its own (`history`), and what is read must be the same thing still, or the reader somebody who sees the whole cluster.
 */
import { NAMESPACES } from '#events/collections.ts'
import type { UserInfo } from '#events/Intent.ts'
import { isConfidential } from '#events/confidential.ts'
import { forbidden, type Refusal } from '#events/Refusal.ts'
import type { Attributes } from '#projections/Attributes.ts'
import type { Entry, ObjectsView } from '#projections/Objects.ts'
import { authorize } from '#projections/Rbac.ts'
import { deniedMessage } from '#services/apiserver/request/denied.ts'

const HISTORY = 'history'
/**
 * How old a version may be that is read without that right: the next page of a list, `Exact`, a watch that goes on. Upstream forgets
 * sooner.
 */
export const LATELY_MS = 15 * 60_000

export interface PastRight {
  /** False: a new tenant of a name may not read what the one before had. */
  readonly wholeCluster: boolean
}

/** Throws 403 unless the user has the verb, now, and `history` on the same resource. */
export const authorizePast = (present: ObjectsView, user: UserInfo, attributes: Attributes): PastRight => {
  for (const verb of [attributes.verb, HISTORY]) {
    const asked = { ...attributes, verb }
    if (!authorize(present, user, asked).allowed) throw forbidden(attributes, attributes.name, deniedMessage(user, asked))
  }
  return { wholeCluster: attributes.namespace === '' || readsWholeCluster(present, user, attributes) }
}

/** Whether nobody's past is closed to the user: whichever tenant had the name. */
export const readsWholeCluster = (present: ObjectsView, user: UserInfo, attributes: Attributes): boolean =>
  [attributes.verb, HISTORY].every((verb) => authorize(present, user, { ...attributes, verb, namespace: '' }).allowed)

/** Why a namespace's past is not this reader's, if it is not: it must be the same namespace then and now. */
export const otherNamespace = (
  present: ObjectsView,
  { wholeCluster }: PastRight,
  { group, resource, namespace, name }: Attributes,
  then: Entry | undefined
): Refusal | undefined => {
  if (wholeCluster || namespace === '') return undefined
  const now = present.get({ ...NAMESPACES, namespace: '', name: namespace })?.object.metadata.uid
  const before = then?.object.metadata.uid
  if (now !== undefined && now === before) return undefined
  return forbidden(
    { group, resource },
    name,
    `the namespace "${namespace}" of that moment ${before === undefined ? 'was not there yet, or is not known' : 'was another one'}: its past is for those who may read in all namespaces`
  )
}

/** Of confidential objects, only those that are there still are shown to who sees only a namespace. */
export const stillThere = (present: ObjectsView, { wholeCluster }: PastRight, entry: Entry): boolean =>
  wholeCluster || !isConfidential(entry.key) || present.get(entry.key)?.object.metadata.uid === entry.object.metadata.uid
