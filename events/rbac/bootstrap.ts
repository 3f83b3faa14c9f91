/** The roles and bindings every cluster begins with, as data: people's roles, and least privilege for components. */
import type { KubeObject } from '#events/KubeObject.ts'

interface Rule {
  readonly verbs: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
}

const RBAC = 'rbac.authorization.k8s.io'
const LABELS = { 'kubernetes.io/bootstrapping': 'rbac-defaults' }
/** Rules a newer version adds are added to the stored role at a start, unless somebody says no here. */
export const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate'
const ANNOTATIONS = { [AUTOUPDATE]: 'true' }
const READ = ['get', 'list', 'watch'] as const
/** With the right to read what was there before. */
const READ_PAST = [...READ, 'history'] as const
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'] as const

const rule = (apiGroups: string | readonly string[], resources: readonly string[], verbs: readonly string[]): Rule => ({
  apiGroups: typeof apiGroups === 'string' ? [apiGroups] : apiGroups,
  resources,
  verbs
})

const role = (name: string, rules: readonly Rule[]): KubeObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'ClusterRole',
  metadata: { name, labels: LABELS, annotations: ANNOTATIONS },
  rules
})

const binding = (name: string, roleName: string, subjects: readonly { kind: string; name: string; namespace?: string }[]): KubeObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'ClusterRoleBinding',
  metadata: { name, labels: LABELS, annotations: ANNOTATIONS },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: roleName },
  subjects: subjects.map((subject) => ({ ...(subject.kind === 'ServiceAccount' ? {} : { apiGroup: RBAC }), ...subject }))
})

/** Where a component that is elected marks the beginning of its term (`coordination/term.ts`): in kube-system, under its own name. */
const leaderLocking = (component: string): readonly KubeObject[] => {
  const metadata = { name: `system::leader-locking-${component}`, namespace: 'kube-system', labels: LABELS, annotations: ANNOTATIONS }
  const rules = [
    rule('', ['configmaps'], ['create', 'watch']),
    { ...rule('', ['configmaps'], ['get', 'update']), resourceNames: [component] }
  ]
  return [
    { apiVersion: `${RBAC}/v1`, kind: 'Role', metadata, rules },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: RBAC, kind: 'Role', name: metadata.name },
      subjects: [{ apiGroup: RBAC, ...user(`system:${component}`) }]
    }
  ]
}

const user = (name: string): { kind: string; name: string } => ({ kind: 'User', name })
const group = (name: string): { kind: string; name: string } => ({ kind: 'Group', name })

/**
 * As the roles that upstream aggregates into `view`, `edit` and `admin` (bootstrappolicy/policy.go), but for the groups `extensions` and
 * `resource.k8s.io`, in which nothing is served. Endpoints are not for editors: whoever writes them sends a Service's clients anywhere
 * (CVE-2021-25740).
 */
const VIEW: readonly Rule[] = [
  rule(
    '',
    [
      'configmaps',
      'endpoints',
      'persistentvolumeclaims',
      'persistentvolumeclaims/status',
      'pods',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'serviceaccounts',
      'services',
      'services/status'
    ],
    READ_PAST
  ),
  rule(
    '',
    [
      'bindings',
      'events',
      'limitranges',
      'namespaces/status',
      'pods/log',
      'pods/status',
      'replicationcontrollers/status',
      'resourcequotas',
      'resourcequotas/status'
    ],
    READ_PAST
  ),
  // Of the namespace the role is bound in: it tells which ones a person has access to.
  rule('', ['namespaces'], READ_PAST),
  rule('discovery.k8s.io', ['endpointslices'], READ_PAST),
  rule(
    'apps',
    [
      'controllerrevisions',
      'daemonsets',
      'daemonsets/status',
      'deployments',
      'deployments/scale',
      'deployments/status',
      'replicasets',
      'replicasets/scale',
      'replicasets/status',
      'statefulsets',
      'statefulsets/scale',
      'statefulsets/status'
    ],
    READ_PAST
  ),
  rule('autoscaling', ['horizontalpodautoscalers', 'horizontalpodautoscalers/status'], READ_PAST),
  rule('batch', ['cronjobs', 'cronjobs/status', 'jobs', 'jobs/status'], READ_PAST),
  rule('policy', ['poddisruptionbudgets', 'poddisruptionbudgets/status'], READ_PAST),
  rule('networking.k8s.io', ['ingresses', 'ingresses/status', 'networkpolicies'], READ_PAST)
]
const EDIT: readonly Rule[] = [
  ...VIEW,
  rule('', ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy'], READ),
  rule('', ['serviceaccounts'], ['impersonate']),
  rule('', ['pods', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy'], WRITE),
  rule('', ['pods/eviction'], ['create']),
  rule(
    '',
    [
      'configmaps',
      'events',
      'persistentvolumeclaims',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'secrets',
      'serviceaccounts',
      'services',
      'services/proxy'
    ],
    WRITE
  ),
  rule('', ['serviceaccounts/token'], ['create']),
  rule(
    'apps',
    ['daemonsets', 'deployments', 'deployments/scale', 'replicasets', 'replicasets/scale', 'statefulsets', 'statefulsets/scale'],
    WRITE
  ),
  rule('autoscaling', ['horizontalpodautoscalers'], WRITE),
  rule('batch', ['cronjobs', 'jobs'], WRITE),
  rule('policy', ['poddisruptionbudgets'], WRITE),
  rule('networking.k8s.io', ['ingresses', 'networkpolicies'], WRITE),
  rule('coordination.k8s.io', ['leases'], [...READ, ...WRITE])
]
/** Who may edit Secrets may read them; what they held before is for who administers the namespace. */
const ADMIN: readonly Rule[] = [
  ...EDIT,
  rule('', ['secrets'], ['history']),
  rule(RBAC, ['roles', 'rolebindings'], [...READ, ...WRITE]),
  rule('authorization.k8s.io', ['localsubjectaccessreviews'], ['create'])
]

const EVENTS = rule(['', 'events.k8s.io'], ['events'], ['create', 'patch', 'update'])

/** What each controller may do: what its decisions ask for, and nothing else. */
const CONTROLLERS: Readonly<Record<string, readonly Rule[]>> = {
  'deployment-controller': [
    rule('apps', ['deployments', 'deployments/status', 'deployments/finalizers'], ['get', 'list', 'update', 'patch', 'watch']),
    rule('apps', ['replicasets'], [...READ, ...WRITE]),
    rule('', ['pods'], READ),
    EVENTS
  ],
  'replicaset-controller': [
    rule('apps', ['replicasets', 'replicasets/status', 'replicasets/finalizers'], ['get', 'list', 'update', 'patch', 'watch']),
    rule('', ['pods'], ['create', 'delete', 'list', 'patch', 'update', 'watch']),
    EVENTS
  ],
  'endpoint-controller': [rule('', ['pods', 'services'], READ), rule('', ['endpoints'], [...READ, ...WRITE]), EVENTS],
  'endpointslice-controller': [
    rule('', ['nodes', 'pods', 'services'], READ),
    rule('discovery.k8s.io', ['endpointslices'], [...READ, ...WRITE]),
    EVENTS
  ],
  'customresourcedefinition-controller': [
    rule(
      'apiextensions.k8s.io',
      ['customresourcedefinitions', 'customresourcedefinitions/status'],
      ['get', 'list', 'watch', 'patch', 'update']
    ),
    rule('*', ['*'], ['delete', 'get', 'list']),
    EVENTS
  ],
  'namespace-controller': [
    rule('', ['namespaces', 'namespaces/finalize', 'namespaces/status'], ['delete', 'get', 'list', 'update', 'patch', 'watch']),
    rule('*', ['*'], ['delete', 'deletecollection', 'get', 'list'])
  ],
  'serviceaccount-controller': [rule('', ['serviceaccounts'], ['create', 'get', 'list']), EVENTS],
  'service-cidrs-controller': [
    rule(
      'networking.k8s.io',
      ['servicecidrs', 'servicecidrs/finalizers', 'servicecidrs/status'],
      ['get', 'list', 'patch', 'update', 'watch']
    ),
    rule('networking.k8s.io', ['ipaddresses'], READ),
    EVENTS
  ],
  'root-ca-cert-publisher': [rule('', ['configmaps'], ['create', 'get', 'list', 'update', 'patch']), EVENTS],
  'generic-garbage-collector': [rule('*', ['*'], ['delete', 'get', 'list', 'patch', 'update', 'watch']), EVENTS],
  'node-ipam-controller': [rule('', ['nodes'], ['get', 'list', 'patch', 'update']), EVENTS],
  'node-lifecycle-controller': [
    rule('', ['nodes', 'nodes/status'], ['get', 'list', 'patch', 'update']),
    rule('', ['pods', 'pods/status'], ['delete', 'get', 'list', 'patch', 'update']),
    rule('', ['pods/eviction'], ['create']),
    EVENTS
  ],
  'pod-garbage-collector': [
    rule('', ['pods'], ['delete', 'get', 'list']),
    rule('', ['pods/status'], ['patch', 'update']),
    rule('', ['nodes'], ['get', 'list'])
  ]
}

const EVERYTHING: readonly Rule[] = [rule('*', ['*'], ['*']), { verbs: ['*'], nonResourceURLs: ['*'] }]
const DISCOVERY: Rule = {
  verbs: ['get'],
  nonResourceURLs: [
    '/',
    '/api',
    '/api/*',
    '/apis',
    '/apis/*',
    '/healthz',
    '/healthz/*',
    '/livez',
    '/livez/*',
    '/openapi',
    '/openapi/*',
    '/readyz',
    '/readyz/*',
    '/version',
    '/version/'
  ]
}

export const bootstrapRbac = (): readonly KubeObject[] => [
  role('cluster-admin', EVERYTHING),
  role('admin', ADMIN),
  role('edit', EDIT),
  role('view', VIEW),
  role('system:discovery', [DISCOVERY]),
  role('system:public-info-viewer', [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'] }]),
  role('system:basic-user', [
    rule('authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule('authentication.k8s.io', ['selfsubjectreviews'], ['create'])
  ]),
  // What a node may touch of these is narrowed further: reports are taken for its own pods only.
  role('system:node', [
    rule('', ['nodes'], ['create', 'get', 'list', 'watch', 'patch', 'update']),
    rule('', ['nodes/status', 'pods/status'], ['patch', 'update']),
    rule('', ['pods'], ['get', 'delete']),
    rule('coordination.k8s.io', ['leases'], ['create', 'get', 'patch', 'update', 'delete']),
    EVENTS
  ]),
  role('system:kube-scheduler', [
    rule('', ['nodes', 'pods', 'namespaces'], READ),
    rule('', ['pods/binding', 'bindings'], ['create']),
    rule('', ['pods/status'], ['patch', 'update']),
    rule('apps', ['replicasets', 'statefulsets'], READ),
    rule('coordination.k8s.io', ['leases'], ['create', 'get', 'list', 'update', 'patch']),
    EVENTS
  ]),
  role('system:kube-controller-manager', [rule('coordination.k8s.io', ['leases'], ['create', 'get', 'list', 'update', 'patch']), EVENTS]),
  role('system:kube-proxy', [
    rule('', ['services', 'endpoints', 'nodes'], READ),
    rule('discovery.k8s.io', ['endpointslices'], READ),
    EVENTS
  ]),
  role('system:kube-dns', [
    rule('', ['services', 'endpoints', 'namespaces', 'pods'], ['list', 'watch']),
    rule('discovery.k8s.io', ['endpointslices'], ['list', 'watch'])
  ]),
  ...Object.entries(CONTROLLERS).map(([name, rules]) => role(`system:controller:${name}`, rules)),
  binding('cluster-admin', 'cluster-admin', [group('system:masters')]),
  binding('system:discovery', 'system:discovery', [group('system:authenticated')]),
  binding('system:public-info-viewer', 'system:public-info-viewer', [group('system:authenticated')]),
  binding('system:basic-user', 'system:basic-user', [group('system:authenticated')]),
  binding('system:node', 'system:node', [group('system:nodes')]),
  binding('system:kube-scheduler', 'system:kube-scheduler', [user('system:kube-scheduler')]),
  binding('system:kube-controller-manager', 'system:kube-controller-manager', [user('system:kube-controller-manager')]),
  binding('system:kube-proxy', 'system:kube-proxy', [user('system:kube-proxy')]),
  binding('system:kube-dns', 'system:kube-dns', [user('system:kube-dns')]),
  ...['kube-controller-manager', 'kube-scheduler'].flatMap(leaderLocking),
  ...Object.keys(CONTROLLERS).map((name) =>
    binding(`system:controller:${name}`, `system:controller:${name}`, [{ kind: 'ServiceAccount', name, namespace: 'kube-system' }])
  )
]
