/** Erasing a Secret that was deleted: its keys go at once, and with them what every version of it said, in all of history. */
import { SECRETS } from '#events/collections.ts'
import { conflict, notFound } from '#events/Refusal.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import type { ObjectKeys } from '#services/platform/secrets/ObjectKeys.ts'

export interface Erased {
  readonly uid: string
  /** RFC 3339: when the Secret was deleted; absent for one whose deletion nobody noted. */
  readonly deleted?: string
}

/**
 * Every Secret that ever had the name and can still be read, but for one that is there now: 409, for its owner must mean to
 * lose it first. 404 when there is none.
 */
export const eraseSecrets = async (view: ObjectsView, keys: ObjectKeys, namespace: string, name: string): Promise<readonly Erased[]> => {
  const live = view.get({ ...SECRETS, namespace, name })?.object.metadata.uid
  const left = [...keys.deleted()].filter(({ uid, of }) => of === `${namespace}/${name}` && uid !== live)
  if (left.length === 0 && live !== undefined)
    throw conflict(SECRETS, name, 'it is still there, and nothing else had its name: delete it first')
  if (left.length === 0) throw notFound(SECRETS, name)
  const erased: Erased[] = []
  for (const { uid, since } of left) {
    await keys.destroy(uid)
    erased.push({ uid, ...(since === undefined ? {} : { deleted: new Date(since).toISOString() }) })
  }
  return erased
}
