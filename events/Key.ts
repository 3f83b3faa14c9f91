/** The identity of an object: which collection it belongs to and its place there. */
import type { KubeObject, Of } from './KubeObject.ts'

export interface ResourceRef<Some extends KubeObject = KubeObject> extends Of<Some> {
  /** API group; '' is the core group. */
  readonly group: string
  /** Plural resource name, lower case: `pods`. */
  readonly resource: string
}

export interface ObjectKey<Some extends KubeObject = KubeObject> extends ResourceRef<Some> {
  /** '' for cluster-scoped objects. */
  readonly namespace: string
  readonly name: string
}

/** `apps/deployments`, `/pods`: the id of a collection in maps. */
export const resourceId = (ref: ResourceRef): string => `${ref.group}/${ref.resource}`

/** The collection of an id. */
export const refOf = (id: string): ResourceRef => {
  const slash = id.lastIndexOf('/')
  return { group: id.slice(0, slash), resource: id.slice(slash + 1) }
}

/** `default/web`, or `/web` for a cluster-scoped object: the id of an object within its collection. */
export const objectId = (namespace: string, name: string): string => `${namespace}/${name}`

/** A string that names the object in the whole cluster: `apps/deployments/default/web`. */
export const keyId = (key: ObjectKey): string => `${key.group}/${key.resource}/${key.namespace}/${key.name}`

/** `deployments.apps "web"`, `pods "web-1"`: how messages name an object. */
export const qualifiedResource = (ref: ResourceRef): string => (ref.group === '' ? ref.resource : `${ref.resource}.${ref.group}`)
