/**
 * The kinds reckon brings along, in the order discovery lists them. Adding one is adding its file and one line here.
 * Only what puts a process together reads this list; everybody else is given the `Api` made of it.
 */
import { Api } from './Api.ts'
import { CustomResourceDefinition } from './apiextensions/CustomResourceDefinition.ts'
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
import { Event as EventOfEvents } from './events/Event.ts'
import type { Kind } from './Kind.ts'
import { IPAddress } from './networking/IPAddress.ts'
import { ServiceCIDR } from './networking/ServiceCIDR.ts'
import { ClusterRole } from './rbac/ClusterRole.ts'
import { ClusterRoleBinding } from './rbac/ClusterRoleBinding.ts'
import { Role } from './rbac/Role.ts'
import { RoleBinding } from './rbac/RoleBinding.ts'

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
  EventOfEvents,
  ClusterRoleBinding,
  ClusterRole,
  RoleBinding,
  Role,
  IPAddress,
  ServiceCIDR,
  Lease,
  EndpointSlice,
  CustomResourceDefinition
]

/** The API of a cluster without CustomResourceDefinitions. */
export const builtInApi = (): Api => new Api(KINDS)
