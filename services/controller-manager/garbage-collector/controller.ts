/** The garbage collector: looks at an object when it changes, at its dependents when it goes, at its owners when they wait for it. */
import { keyId, type ObjectKey } from '#events/Key.ts'
import type { KubeObject, OwnerReference } from '#events/KubeObject.ts'
import { KINDS, kindNamed } from '#events/scheme.ts'
import type { ControllerDefinition } from '../../platform/Controller.ts'
import { decide, dependentsOf, NAME } from './decide.ts'

const ownerKey = (owner: OwnerReference, namespace: string): ObjectKey | undefined => {
  const [group = '', version] = owner.apiVersion.includes('/') ? owner.apiVersion.split('/') : ['', owner.apiVersion]
  const kind = kindNamed(group, version, owner.kind)
  return kind === undefined ? undefined : { group: kind.group, resource: kind.resource, namespace: kind.namespaced ? namespace : '', name: owner.name }
}

const keyOfObject = (object: KubeObject): string => {
  const [group = '', version] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion]
  return keyId({ group, resource: kindNamed(group, version, object.kind)?.resource ?? '', namespace: object.metadata.namespace ?? '', name: object.metadata.name as string })
}

/** Notices name what they are about, but belong to nobody. */
export const garbageCollector: ControllerDefinition = {
  name: NAME,
  watches: KINDS.filter(({ stream }) => stream === 'EVENTS').map((kind) => ({
    ref: { group: kind.group, resource: kind.resource },
    keys: ({ type, entry, previous }, view) => {
      const { metadata } = entry.object
      const owners = [...(metadata.ownerReferences ?? []), ...(previous?.object.metadata.ownerReferences ?? [])]
      const keys = new Set<string>()
      if (type !== 'DELETED' && (owners.length > 0 || metadata.deletionTimestamp !== undefined)) keys.add(keyId(entry.key))
      const waiting = metadata.deletionTimestamp !== undefined && (metadata.finalizers?.length ?? 0) > 0
      if (type === 'DELETED' || waiting) for (const dependent of dependentsOf(view, metadata.uid as string)) keys.add(keyOfObject(dependent))
      // A dependent that goes (or is let go) may be what its owner waits for.
      if (type === 'DELETED' || (previous !== undefined && previous.object.metadata.ownerReferences !== metadata.ownerReferences))
        for (const owner of owners) {
          const key = ownerKey(owner, entry.key.namespace)
          const found = key === undefined ? undefined : view.get(key)?.object
          if (key !== undefined && found?.metadata.deletionTimestamp !== undefined) keys.add(keyId(key))
        }
      return [...keys]
    }
  })),
  decide
}
