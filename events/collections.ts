/**
 * Collections of built-in kinds by name, with the types of their objects: what is read from one is typed without a cast, and a
 * misspelt field is found by tsc. The types are all there is to it; at run time these are two words.
 */
import type { ResourceRef } from './Key.ts'
import type { CustomResourceDefinition } from './schema/generated/apiextensions.v1.ts'
import type { Deployment, ReplicaSet } from './schema/generated/apps.v1.ts'
import type { Lease } from './schema/generated/coordination.v1.ts'
import type { ConfigMap, Endpoints, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount } from './schema/generated/core.v1.ts'
import type { EndpointSlice } from './schema/generated/discovery.v1.ts'
import type { IPAddress, ServiceCIDR } from './schema/generated/networking.v1.ts'
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from './schema/generated/rbac.v1.ts'

export const CONFIGMAPS: ResourceRef<ConfigMap> = { group: '', resource: 'configmaps' }
export const ENDPOINTS: ResourceRef<Endpoints> = { group: '', resource: 'endpoints' }
export const NOTICES: ResourceRef<Event> = { group: '', resource: 'events' }
export const NAMESPACES: ResourceRef<Namespace> = { group: '', resource: 'namespaces' }
export const NODES: ResourceRef<Node> = { group: '', resource: 'nodes' }
export const PODS: ResourceRef<Pod> = { group: '', resource: 'pods' }
export const SECRETS: ResourceRef<Secret> = { group: '', resource: 'secrets' }
export const SERVICE_ACCOUNTS: ResourceRef<ServiceAccount> = { group: '', resource: 'serviceaccounts' }
export const SERVICES: ResourceRef<Service> = { group: '', resource: 'services' }
export const DEPLOYMENTS: ResourceRef<Deployment> = { group: 'apps', resource: 'deployments' }
export const REPLICASETS: ResourceRef<ReplicaSet> = { group: 'apps', resource: 'replicasets' }
export const LEASES: ResourceRef<Lease> = { group: 'coordination.k8s.io', resource: 'leases' }
export const ENDPOINT_SLICES: ResourceRef<EndpointSlice> = { group: 'discovery.k8s.io', resource: 'endpointslices' }
export const IP_ADDRESSES: ResourceRef<IPAddress> = { group: 'networking.k8s.io', resource: 'ipaddresses' }
export const SERVICE_CIDRS: ResourceRef<ServiceCIDR> = { group: 'networking.k8s.io', resource: 'servicecidrs' }
export const CLUSTER_ROLE_BINDINGS: ResourceRef<ClusterRoleBinding> = {
  group: 'rbac.authorization.k8s.io',
  resource: 'clusterrolebindings'
}
export const CLUSTER_ROLES: ResourceRef<ClusterRole> = { group: 'rbac.authorization.k8s.io', resource: 'clusterroles' }
export const ROLE_BINDINGS: ResourceRef<RoleBinding> = { group: 'rbac.authorization.k8s.io', resource: 'rolebindings' }
export const ROLES: ResourceRef<Role> = { group: 'rbac.authorization.k8s.io', resource: 'roles' }
export const DEFINITIONS: ResourceRef<CustomResourceDefinition> = {
  group: 'apiextensions.k8s.io',
  resource: 'customresourcedefinitions'
}
