/** The intents controllers ask for, without the ceremony: one helper per verb. Plain functions. */
import type { KubeObject } from '#events/KubeObject.ts'
import type { Kind } from '#events/Kind.ts'
import type { Ask } from '#services/platform/decision.ts'

/** Of what kind an object is: the kind's definition. */
type Named = Pick<Kind, 'group' | 'resource' | 'version'>

const base = (kind: Named, object: KubeObject): Pick<Ask, 'ref' | 'version' | 'namespace' | 'name'> => ({
  ref: { group: kind.group, resource: kind.resource },
  version: kind.version,
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name ?? ''
})

export const create = (kind: Named, object: KubeObject): Ask => ({ ...base(kind, object), verb: 'create', object })

/** The object as changed; its resourceVersion is the lock. */
export const update = (kind: Named, object: KubeObject): Ask => ({ ...base(kind, object), verb: 'update', object })

export const updateStatus = (kind: Named, object: KubeObject, status: unknown): Ask => ({
  ...base(kind, object),
  verb: 'update',
  subresource: 'status',
  object: { ...object, status }
})

export const merge = (kind: Named, object: KubeObject, patch: unknown, subresource?: string): Ask => ({
  ...base(kind, object),
  verb: 'patch',
  patch: { type: 'application/merge-patch+json', body: patch },
  ...(subresource === undefined ? {} : { subresource })
})

export const remove = (kind: Named, object: KubeObject, options: Ask['deleteOptions'] = {}): Ask => ({
  ...base(kind, object),
  verb: 'delete',
  deleteOptions: { preconditions: { uid: object.metadata.uid as string }, ...options }
})
