/** The intents controllers ask for, without the ceremony: one helper per verb. Plain functions. */
import type { KubeObject } from '#events/KubeObject.ts'
import { kindNamed } from '#events/scheme.ts'
import type { Kind } from '#events/Kind.ts'
import type { Ask } from '../platform/Controller.ts'

const kindFor = (object: KubeObject): Kind => {
  const [group = '', version = ''] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion]
  const kind = kindNamed(group, version, object.kind)
  if (kind === undefined) throw new Error(`no kind ${object.kind} in ${object.apiVersion}`)
  return kind
}

const base = (object: KubeObject): Pick<Ask, 'ref' | 'version' | 'namespace' | 'name'> => {
  const kind = kindFor(object)
  return { ref: { group: kind.group, resource: kind.resource }, version: kind.version, namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '' }
}

export const create = (object: KubeObject): Ask => ({ ...base(object), verb: 'create', object })

/** The object as changed; its resourceVersion is the lock. */
export const update = (object: KubeObject): Ask => ({ ...base(object), verb: 'update', object })

export const updateStatus = (object: KubeObject, status: unknown): Ask => ({ ...base(object), verb: 'update', subresource: 'status', object: { ...object, status } })

export const merge = (object: KubeObject, patch: unknown, subresource?: string): Ask => ({
  ...base(object),
  verb: 'patch',
  patch: { type: 'application/merge-patch+json', body: patch },
  ...(subresource === undefined ? {} : { subresource })
})

export const remove = (object: KubeObject, options: Ask['deleteOptions'] = {}): Ask => ({
  ...base(object),
  verb: 'delete',
  deleteOptions: { preconditions: { uid: object.metadata.uid as string }, ...options }
})
