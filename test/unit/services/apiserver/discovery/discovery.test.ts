import { documentOf, type Document } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Discovery } from '#services/apiserver/discovery/Discovery.ts'
import {
  aggregated,
  apiGroup,
  apiGroupList,
  apiResourceList,
  compareVersions,
  groupsOf,
  versionsOf,
  type DiscoveryKind
} from '#services/apiserver/discovery/documents.ts'
import { aggregatedVersion, discoveryContentType } from '#services/apiserver/discovery/negotiate.ts'

const all = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']
const kind = (group: string, version: string, name: string, more: Partial<DiscoveryKind> = {}): DiscoveryKind => ({
  group,
  version,
  kind: name,
  resource: `${name.toLowerCase()}s`,
  singular: name.toLowerCase(),
  namespaced: true,
  verbs: all,
  ...more
})
const kinds: readonly DiscoveryKind[] = [
  kind('metrics.k8s.io', 'v1beta1', 'PodMetric'),
  kind('example.com', 'v1', 'Widget'),
  kind('', 'v1', 'Pod', {
    shortNames: ['po'],
    categories: ['all'],
    subresources: [
      { name: 'log', verbs: ['get'] },
      { name: 'eviction', group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] },
      { name: 'binding', group: '', version: 'v1', kind: 'Binding', verbs: ['create'] }
    ]
  }),
  kind('', 'v1', 'Namespace', { namespaced: false, shortNames: ['ns'] }),
  kind('autoscaling', 'v1', 'HorizontalPodAutoscaler'),
  kind('autoscaling', 'v2', 'HorizontalPodAutoscaler'),
  kind('apps', 'v1', 'Deployment', {
    subresources: [{ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['update', 'get', 'patch'] }]
  })
]

const discovery = suite('discovery')

discovery('orders versions as kube clients do', () => {
  assert.equal(['v1alpha1', 'v2', 'foo', 'v1', 'v1beta2', 'v10', 'v1beta1', 'v11alpha2'].sort(compareVersions), [
    'v10',
    'v2',
    'v1',
    'v1beta2',
    'v1beta1',
    'v11alpha2',
    'v1alpha1',
    'foo'
  ])
})

discovery('orders groups by importance, extensions after, metrics last', () => {
  assert.equal(groupsOf(kinds), ['apps', 'autoscaling', 'example.com', 'metrics.k8s.io'])
  assert.equal(versionsOf(kinds, 'autoscaling'), ['v2', 'v1'])
})

discovery('aggregates the core group without a name', () => {
  const document = aggregated(kinds, 'v2', 'core') as unknown as Document
  assert.is(document.apiVersion, 'apidiscovery.k8s.io/v2')
  assert.is(document.items.length, 1)
  assert.is(document.items[0]?.metadata.name, undefined)
  const version = document.items[0]?.versions[0]
  assert.is(version?.freshness, 'Current')
  assert.equal(
    version?.resources.map((each) => each.resource),
    ['namespaces', 'pods']
  )
  assert.equal(version?.resources[1], {
    resource: 'pods',
    responseKind: { group: '', version: 'v1', kind: 'Pod' },
    scope: 'Namespaced',
    singularResource: 'pod',
    verbs: all,
    shortNames: ['po'],
    categories: ['all'],
    subresources: [
      { subresource: 'binding', responseKind: { group: '', version: 'v1', kind: 'Binding' }, verbs: ['create'] },
      { subresource: 'eviction', responseKind: { group: 'policy', version: 'v1', kind: 'Eviction' }, verbs: ['create'] },
      { subresource: 'log', responseKind: { group: '', version: 'v1', kind: 'Pod' }, verbs: ['get'] }
    ]
  })
})

discovery('aggregates the named groups', () => {
  const document = aggregated(kinds, 'v2beta1', 'apis') as unknown as Document
  assert.is(document.apiVersion, 'apidiscovery.k8s.io/v2beta1')
  assert.equal(
    document.items.map((item) => [item.metadata.name, item.versions.map((each) => each.version)]),
    [
      ['apps', ['v1']],
      ['autoscaling', ['v2', 'v1']],
      ['example.com', ['v1']],
      ['metrics.k8s.io', ['v1beta1']]
    ]
  )
})

discovery('tells drain that evictions are policy/v1', () => {
  const document = apiResourceList(kinds, '', 'v1') as unknown as Document
  assert.is(document.groupVersion, 'v1')
  assert.equal(
    document.resources.map((each) => each.name),
    ['namespaces', 'pods', 'pods/binding', 'pods/eviction', 'pods/log']
  )
  assert.equal(document.resources[3], {
    name: 'pods/eviction',
    singularName: '',
    namespaced: true,
    group: 'policy',
    version: 'v1',
    kind: 'Eviction',
    verbs: ['create']
  })
  assert.equal(document.resources[2], { name: 'pods/binding', singularName: '', namespaced: true, kind: 'Binding', verbs: ['create'] })
  assert.is(apiResourceList(kinds, 'apps', 'v2'), undefined)
})

discovery('lists groups with their preferred version', () => {
  assert.equal(apiGroup(kinds, 'autoscaling'), {
    kind: 'APIGroup',
    apiVersion: 'v1',
    name: 'autoscaling',
    versions: [
      { groupVersion: 'autoscaling/v2', version: 'v2' },
      { groupVersion: 'autoscaling/v1', version: 'v1' }
    ],
    preferredVersion: { groupVersion: 'autoscaling/v2', version: 'v2' }
  })
  assert.is(apiGroup(kinds, 'nope'), undefined)
  assert.is((apiGroupList(kinds) as Document).groups.length, 4)
})

discovery('honours the version in Accept', () => {
  const v2 = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
  const beta = 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList'
  assert.is(aggregatedVersion(`${v2},${beta},application/json`), 'v2')
  assert.is(aggregatedVersion(`${beta},application/json`), 'v2beta1')
  assert.is(aggregatedVersion(`${v2};profile=nopeer, application/json`), 'v2')
  assert.is(aggregatedVersion(`application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,${beta}`), 'v2beta1')
  assert.is(aggregatedVersion(`application/json, ${v2};q=0.9`), undefined)
  assert.is(aggregatedVersion('application/json, */*'), undefined)
  assert.is(aggregatedVersion(undefined), undefined)
  assert.is(discoveryContentType('v2'), v2)
  assert.is(discoveryContentType(undefined), 'application/json')
})

discovery('serves each form at its path, and 304 to who has it', () => {
  const server = new Discovery(kinds, '10.0.0.1:6443')
  const at = (path: string, accept?: string): Document => {
    const answer = server.answer({ path, accept })
    return documentOf(answer?.body ?? 'null')
  }
  const v2 = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
  assert.equal(at('/api')['serverAddressByClientCIDRs'], [{ clientCIDR: '0.0.0.0/0', serverAddress: '10.0.0.1:6443' }])
  assert.is(at('/api', v2).kind, 'APIGroupDiscoveryList')
  assert.is(at('/apis/').kind, 'APIGroupList')
  assert.is(at('/apis/apps').kind, 'APIGroup')
  assert.is(at('/apis/apps/v1', v2).groupVersion, 'apps/v1')
  assert.is(at('/api/v1').groupVersion, 'v1')
  for (const path of ['/', '/api/v2', '/apis/nope', '/apis/apps/v9', '/api/v1/pods', '/apis/apps/v1/deployments', '/version'])
    assert.is(at(path), null, path)
  const first = server.answer({ path: '/apis', accept: v2 })
  assert.is(first?.headers['Content-Type'], v2)
  assert.is(server.answer({ path: '/apis', accept: v2, ifNoneMatch: first?.headers['ETag'] })?.code, 304)
  assert.is(server.answer({ path: '/apis', ifNoneMatch: first?.headers['ETag'] })?.code, 200)
})

discovery.run()
