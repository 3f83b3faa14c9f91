/** A literal list of kinds for the tests of discovery and OpenAPI, so that they do not depend on the registry. */
import type { DiscoveryKind, DiscoverySubresource } from '#services/apiserver/discovery/documents.ts'

const ALL = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const status: DiscoverySubresource = { name: 'status', verbs: ['get', 'patch', 'update'] }
const scale: DiscoverySubresource = { name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['get', 'patch', 'update'] }

interface More {
  readonly cluster?: true
  readonly short?: string
  readonly all?: true
  readonly verbs?: readonly string[]
  readonly sub?: readonly DiscoverySubresource[]
  readonly resource?: string
}

const kind = (groupVersion: string, name: string, more: More = {}): DiscoveryKind => {
  const [group = '', version = ''] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion]
  const singular = name.toLowerCase()
  return {
    group,
    version,
    kind: name,
    resource:
      more.resource ?? (singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : singular.endsWith('s') ? singular : `${singular}s`),
    singular,
    namespaced: more.cluster === undefined,
    verbs: more.verbs ?? ALL,
    ...(more.short === undefined ? {} : { shortNames: [more.short] }),
    ...(more.all === undefined ? {} : { categories: ['all'] }),
    ...(more.sub === undefined ? {} : { subresources: more.sub })
  }
}

export const builtInKinds: readonly DiscoveryKind[] = [
  kind('v1', 'Namespace', { cluster: true, short: 'ns', sub: [status] }),
  kind('v1', 'Node', { cluster: true, short: 'no', sub: [status] }),
  kind('v1', 'Pod', {
    short: 'po',
    all: true,
    sub: [
      status,
      { name: 'log', verbs: ['get'] },
      { name: 'exec', verbs: ['create', 'get'] },
      { name: 'binding', group: '', version: 'v1', kind: 'Binding', verbs: ['create'] },
      { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] }
    ]
  }),
  kind('v1', 'Service', { short: 'svc', all: true, sub: [status] }),
  kind('v1', 'Endpoints', { short: 'ep' }),
  kind('v1', 'ConfigMap', { short: 'cm' }),
  kind('v1', 'Secret'),
  kind('v1', 'ServiceAccount', {
    short: 'sa',
    sub: [{ name: 'token', group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', verbs: ['create'] }]
  }),
  kind('v1', 'Event', { short: 'ev' }),
  kind('v1', 'Binding', { verbs: ['create'] }),
  kind('v1', 'ResourceQuota', { short: 'quota', sub: [status] }),
  kind('v1', 'PersistentVolumeClaim', { short: 'pvc', sub: [status] }),
  kind('apps/v1', 'Deployment', { short: 'deploy', all: true, sub: [scale, status] }),
  kind('apps/v1', 'ReplicaSet', { short: 'rs', all: true, sub: [scale, status] }),
  kind('apps/v1', 'StatefulSet', { short: 'sts', all: true, sub: [scale, status] }),
  kind('apps/v1', 'DaemonSet', { short: 'ds', all: true, sub: [status] }),
  kind('batch/v1', 'Job', { all: true, sub: [status] }),
  kind('batch/v1', 'CronJob', { short: 'cj', all: true, sub: [status] }),
  kind('autoscaling/v2', 'HorizontalPodAutoscaler', { short: 'hpa', all: true, sub: [status] }),
  kind('autoscaling/v1', 'HorizontalPodAutoscaler', { short: 'hpa', all: true, sub: [status] }),
  kind('networking.k8s.io/v1', 'Ingress', { short: 'ing', resource: 'ingresses', sub: [status] }),
  kind('policy/v1', 'PodDisruptionBudget', { short: 'pdb', sub: [status] }),
  kind('scheduling.k8s.io/v1', 'PriorityClass', { cluster: true, short: 'pc', resource: 'priorityclasses' }),
  kind('coordination.k8s.io/v1', 'Lease'),
  kind('discovery.k8s.io/v1', 'EndpointSlice'),
  kind('rbac.authorization.k8s.io/v1', 'Role'),
  kind('rbac.authorization.k8s.io/v1', 'RoleBinding'),
  kind('rbac.authorization.k8s.io/v1', 'ClusterRole', { cluster: true }),
  kind('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', { cluster: true }),
  kind('authorization.k8s.io/v1', 'SelfSubjectAccessReview', { cluster: true, verbs: ['create'] }),
  kind('authorization.k8s.io/v1', 'SelfSubjectRulesReview', { cluster: true, verbs: ['create'] }),
  kind('authentication.k8s.io/v1', 'SelfSubjectReview', { cluster: true, verbs: ['create'] }),
  kind('authentication.k8s.io/v1', 'TokenReview', { cluster: true, verbs: ['create'] })
]
