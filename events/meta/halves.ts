/** Keeping the spec and status halves of an object apart: a spec write leaves the status alone, a status write the spec. */
import type { KubeObject } from '#events/KubeObject.ts'

const carry = (object: KubeObject, old: KubeObject, half: 'spec' | 'status'): void => {
  if (old[half] === undefined) delete object[half]
  else object[half] = old[half]
}

/** For `prepareForUpdate` of kinds with no more to it. */
export const keepOtherHalf = (object: KubeObject, old: KubeObject, subresource: string): void =>
  carry(object, old, subresource === 'status' ? 'spec' : 'status')

/** For kinds whose status writes may not touch labels either (Deployments). */
export const keepOtherHalfAndLabels = (object: KubeObject, old: KubeObject, subresource: string): void => {
  keepOtherHalf(object, old, subresource)
  if (subresource !== 'status') return
  if (old.metadata.labels === undefined) delete object.metadata.labels
  else object.metadata.labels = old.metadata.labels
}

/** The metadata as it was; who owns the fields has been worked out by then, and stays. */
export const keepMetadata = (object: KubeObject, old: KubeObject): void => {
  const { managedFields } = object.metadata
  object.metadata = { ...old.metadata, ...(managedFields === undefined ? {} : { managedFields }) }
  if (managedFields === undefined) delete object.metadata.managedFields
}

/** For kinds whose status writes may touch nothing of the metadata (upstream's newer kinds, and custom ones). */
export const keepOtherHalfAndMetadata = (object: KubeObject, old: KubeObject, subresource: string): void => {
  keepOtherHalf(object, old, subresource)
  if (subresource === 'status') keepMetadata(object, old)
}

/**
 * The object as who writes its status sends it. Such a write may change metadata as well, and what is left out of it is taken away: so all
 * of it goes along as it was seen, with the version it was seen at, which is the lock.
 */
export const statusWrite = ({ apiVersion, kind, metadata }: KubeObject, status: unknown): KubeObject => {
  const { managedFields: _, ...seen } = metadata
  return { apiVersion, kind, metadata: seen, status }
}
