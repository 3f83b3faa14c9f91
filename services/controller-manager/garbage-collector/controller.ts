/** The garbage collector: looks at an object when it changes, at its dependents when it goes, at its owners when they wait for it. */
import type { Api } from '#events/Api.ts'
import { keyId, type ObjectKey } from '#events/Key.ts'
import { collectionOf } from '#events/Kind.ts'
import type { OwnerReference } from '#events/KubeObject.ts'
import type { ControllerDefinition, ControllerWatch } from '#services/platform/decision.ts'
import { decide, dependentsOf, NAME, type Dependent } from './decide.ts'

const ownerKey = (api: Api, owner: OwnerReference, namespace: string): ObjectKey | undefined => {
  const kind = api.kindOfObject(owner)
  return kind === undefined ? undefined : { ...collectionOf(kind), namespace: kind.namespaced ? namespace : '', name: owner.name }
}

const keyOfDependent = ({ kind: { group, resource }, object: { metadata } }: Dependent): string =>
  keyId({ group, resource, namespace: metadata.namespace ?? '', name: metadata.name as string })

const keys: ControllerWatch['keys'] = ({ type, entry, previous }, view, api) => {
  const { metadata } = entry.object
  const owners = [...(metadata.ownerReferences ?? []), ...(previous?.object.metadata.ownerReferences ?? [])]
  const found = new Set<string>()
  if (type !== 'DELETED' && (owners.length > 0 || metadata.deletionTimestamp !== undefined)) found.add(keyId(entry.key))
  const waiting = metadata.deletionTimestamp !== undefined && (metadata.finalizers?.length ?? 0) > 0
  if (type === 'DELETED' || waiting)
    for (const dependent of dependentsOf(view, api, metadata.uid as string)) found.add(keyOfDependent(dependent))
  // A dependent that goes (or is let go) may be what its owner waits for.
  if (type === 'DELETED' || (previous !== undefined && previous.object.metadata.ownerReferences !== metadata.ownerReferences))
    for (const owner of owners) {
      const key = ownerKey(api, owner, entry.key.namespace)
      const present = key === undefined ? undefined : view.get(key)?.object
      if (key !== undefined && present?.metadata.deletionTimestamp !== undefined) found.add(keyId(key))
    }
  return [...found]
}

export const garbageCollector: ControllerDefinition = {
  name: NAME,
  // Notices name what they are about, but belong to nobody.
  watches: (api) =>
    api.kinds.filter(({ stream }) => stream === 'EVENTS').map(({ group, resource }) => ({ ref: { group, resource }, keys })),
  decide
}
