/** The registry of kinds, in the order discovery lists them. Adding a kind is adding its file and one line here. */
import { Deployment } from './apps/Deployment.ts'
import { ReplicaSet } from './apps/ReplicaSet.ts'
import { Lease } from './coordination/Lease.ts'
import { ConfigMap } from './core/ConfigMap.ts'
import { Endpoints } from './core/Endpoints.ts'
import { Event } from './core/Event.ts'
import { Namespace } from './core/Namespace.ts'
import { Node } from './core/Node.ts'
import { Pod } from './core/pod/Pod.ts'
import { Secret } from './core/Secret.ts'
import { Service } from './core/Service.ts'
import { ServiceAccount } from './core/ServiceAccount.ts'
import { EndpointSlice } from './discovery/EndpointSlice.ts'
import { resourceId, type ResourceRef } from './Key.ts'
import type { Kind } from './Kind.ts'
import { ClusterRole } from './rbac/ClusterRole.ts'
import { ClusterRoleBinding } from './rbac/ClusterRoleBinding.ts'
import { Role } from './rbac/Role.ts'
import { RoleBinding } from './rbac/RoleBinding.ts'
import type { StreamName } from './Subject.ts'

/** Groups in order of preference, core first; within a group as upstream lists them. */
export const KINDS: readonly Kind[] = [
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  Pod,
  Secret,
  ServiceAccount,
  Service,
  Deployment,
  ReplicaSet,
  ClusterRoleBinding,
  ClusterRole,
  RoleBinding,
  Role,
  Lease,
  EndpointSlice
]

const byResource = new Map(KINDS.map((kind) => [resourceId(kind), kind]))
const byName = new Map(KINDS.map((kind) => [`${kind.group}/${kind.kind}`, kind]))

export const kindOf = (ref: ResourceRef): Kind | undefined => byResource.get(resourceId(ref))

/** The kind of an object by its `kind` and API group; any version when `version` is undefined. */
export const kindNamed = (group: string, version: string | undefined, kind: string): Kind | undefined => {
  const found = byName.get(`${group}/${kind}`)
  return found === undefined || (version !== undefined && found.version !== version) ? undefined : found
}

/** The stream that holds a collection; what is not registered lives in EVENTS. */
export const streamOf = (ref: ResourceRef): StreamName => kindOf(ref)?.stream ?? 'EVENTS'
