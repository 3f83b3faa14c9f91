/** EndpointSlices and Endpoints of a Service, given its pods; slices change as little as they can. */
import { asOneOf } from '#events/KubeObject.ts'
import { SERVICES } from '#events/collections.ts'
import type { Endpoints, Pod, Service } from '#events/schema/generated/core.v1.ts'
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { endpoint } from '#services/controller-manager/endpoint/controller.ts'
import { endpointslice } from '#services/controller-manager/endpointslice/controller.ts'
import { servicesOf } from '#services/controller-manager/endpointslice/endpoints.ts'
import { watchesOf } from '#services/platform/decision.ts'
import { Model, node, pod, running, shown } from '#test/support/model.ts'
import { builtIns } from '#test/support/builtIns.ts'

const KEY = 'default/web'
const service = (spec: Record<string, unknown> = {}, labels?: Record<string, string>): Service =>
  asOneOf(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', uid: 'svc', ...(labels === undefined ? {} : { labels }) },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.7',
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }],
      ...spec
    }
  })
const up = (name: string, ip: string, ready = true, spec: Record<string, unknown> = {}): Pod => ({
  ...pod(name, { nodeName: 'n1', ...spec }),
  status: running(ip, ready)
})
const given = (...objects: KubeObject[]): Model => {
  const model = new Model()
  for (const object of objects) model.put(object)
  model.settle(endpointslice, KEY)
  model.settle(endpoint, KEY)
  return model
}
const slices = (model: Model): KubeObject[] => model.list('EndpointSlice')
const addresses = (slice: KubeObject | undefined): string[] =>
  ((slice?.['endpoints'] ?? []) as { addresses: string[] }[]).map(({ addresses: [ip] }) => ip as string)
const endpointsOf = (model: Model) => model.list('Endpoints').find(({ metadata }) => metadata.name === 'web') as Endpoints
const subsets = (model: Model): unknown => endpointsOf(model).subsets

const both = suite('endpoints')
both('a ready pod and one that is not', () => {
  const model = given(
    service({}, { team: 'x' }),
    node('n1', undefined, { labels: { 'topology.kubernetes.io/zone': 'z' } }),
    up('a', '10.0.0.1'),
    up('b', '10.0.0.2', false)
  )
  const [slice] = slices(model)
  assert.is(slice?.['addressType'], 'IPv4')
  assert.equal(slice?.metadata.labels, {
    team: 'x',
    'kubernetes.io/service-name': 'web',
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io'
  })
  assert.is(slice?.metadata.ownerReferences?.[0]?.uid, 'svc')
  assert.equal(slice?.['ports'], [{ name: 'http', port: 8080, protocol: 'TCP' }])
  const target = (name: string) => ({ kind: 'Pod', namespace: 'default', name, uid: model.get(pod(name)).metadata.uid })
  assert.equal(slice?.['endpoints'], [
    {
      addresses: ['10.0.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: 'n1',
      zone: 'z',
      targetRef: target('a')
    },
    {
      addresses: ['10.0.0.2'],
      conditions: { ready: false, serving: false, terminating: false },
      nodeName: 'n1',
      zone: 'z',
      targetRef: target('b')
    }
  ])
  assert.equal(subsets(model), [
    {
      addresses: [{ ip: '10.0.0.1', nodeName: 'n1', targetRef: target('a') }],
      notReadyAddresses: [{ ip: '10.0.0.2', nodeName: 'n1', targetRef: target('b') }],
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }]
    }
  ])
})
both('a pod that goes serves until it is gone, for those who ask', () => {
  const going = up('a', '10.0.0.1')
  const model = given(service(), { ...going, metadata: { ...going.metadata, deletionTimestamp: '2029-12-31T23:59:59Z' } })
  assert.equal(at(slices(model)[0], 'endpoints.0.conditions'), { ready: false, serving: true, terminating: true })
  assert.is(subsets(model), undefined)
})
both('publishNotReadyAddresses', () => {
  assert.equal(at(slices(given(service({ publishNotReadyAddresses: true }), up('a', '10.0.0.1', false)))[0], 'endpoints.0.conditions'), {
    ready: true,
    serving: false,
    terminating: false
  })
})
both('pods without an address, done, or not selected are none', () => {
  const model = given(
    service(),
    { ...up('a', '10.0.0.1'), status: { phase: 'Pending' } },
    { ...up('b', '10.0.0.2'), status: { ...running('10.0.0.2'), phase: 'Failed' } },
    { ...up('c', '10.0.0.3'), metadata: { name: 'c', labels: { app: 'no' } } }
  )
  assert.equal(
    slices(model).map(({ endpoints }) => endpoints),
    [[]]
  )
})
both('ports by name, as each pod has them', () => {
  const ports = (containerPort: number) => ({ containers: [{ name: 'main', ports: [{ name: 'main', containerPort, protocol: 'TCP' }] }] })
  const model = given(
    service({ ports: [{ port: 80, targetPort: 'main' }] }),
    up('a', '10.0.0.1', true, ports(1111)),
    up('b', '10.0.0.2', true, ports(2222))
  )
  assert.equal(
    slices(model)
      .map((slice) => [at(slice, 'ports.0.port'), addresses(slice)])
      .toSorted(),
    [
      [1111, ['10.0.0.1']],
      [2222, ['10.0.0.2']]
    ]
  )
})
both('headless services say so; pods keep their hostname', () => {
  const model = given(service({ clusterIP: 'None' }), up('a', '10.0.0.1', true, { hostname: 'a-0', subdomain: 'web' }))
  assert.is(slices(model)[0]?.metadata.labels?.['service.kubernetes.io/headless'], '')
  assert.is(at(slices(model)[0], 'endpoints.0.hostname'), 'a-0')
})
both('a lost node takes its endpoints out, and gives them back', () => {
  const model = given(service(), node('n1'), up('a', '10.0.0.1'))
  const lose = (status: string): void => {
    model.change(model.get(node('n1')), { status: { conditions: [{ type: 'Ready', status }] } })
    const change = model.changes.at(-1) as (typeof model.changes)[number]
    assert.equal(
      watchesOf(endpointslice, builtIns)
        .find(({ ref }) => ref.resource === 'nodes')
        ?.keys(change, model.view, builtIns),
      [KEY]
    )
    model.settle(endpointslice, KEY)
  }
  lose('Unknown')
  assert.is(at(slices(model)[0], 'endpoints.0.conditions.ready'), false)
  lose('True')
  assert.is(at(slices(model)[0], 'endpoints.0.conditions.ready'), true)
})
both('more than a hundred share slices; one that goes changes one slice', () => {
  const model = given(
    service(),
    ...Array.from({ length: 250 }, (_, n) => up(`p-${String(n).padStart(3, '0')}`, `10.0.${Math.floor(n / 200)}.${n % 200}`))
  )
  assert.equal(
    slices(model)
      .map((slice) => addresses(slice).length)
      .toSorted(),
    [100, 100, 50]
  )
  model.gone(model.get(pod('p-003')))
  assert.is(shown(model.decide(endpointslice, KEY)).length, 1)
  model.settle(endpointslice, KEY)
  model.put(up('p-900', '10.0.9.9'))
  const asks = model.decide(endpointslice, KEY).asks
  assert.is(asks.length, 1)
  assert.is(addresses(asks[0]?.object).length, 100, 'the fullest slice with room')
})
both('decided twice, names the same slice', () => {
  const model = new Model()
  model.put(service())
  assert.equal(shown(model.decide(endpointslice, KEY)), shown(model.decide(endpointslice, KEY)))
})
both('slices of others are left alone, ours go with the service or its selector', () => {
  const model = given(service(), up('a', '10.0.0.1'))
  model.put({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'mine', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: []
  })
  model.put({ apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'mine' } })
  model.gone(model.get(service()))
  model.settle(endpointslice, KEY)
  model.settle(endpoint, KEY)
  model.settle(endpoint, 'default/mine')
  assert.equal(
    slices(model).map(({ metadata }) => metadata.name),
    ['mine']
  )
  assert.equal(
    model.list('Endpoints').map(({ metadata }) => metadata.name),
    ['mine']
  )
  assert.equal(shown(given(service({ selector: undefined }), up('a', '10.0.0.1')).decide(endpointslice, KEY)), [])
})
both('Endpoints hold a thousand addresses and say when there are more', () => {
  const model = given(
    service(),
    ...Array.from({ length: 1_005 }, (_, n) => up(`p-${String(n).padStart(4, '0')}`, `10.${Math.floor(n / 200)}.0.${n % 200}`, n !== 0))
  )
  const { subsets, metadata } = endpointsOf(model)
  assert.equal([subsets?.[0]?.addresses?.length, subsets?.[0]?.notReadyAddresses], [1_000, undefined])
  assert.is(metadata.annotations?.['endpoints.kubernetes.io/over-capacity'], 'truncated')
})
both('a pod is asked which Services select it by its labels; all others cost nothing', () => {
  const named = (name: string, selector: Record<string, string> | undefined, namespace = 'default'): KubeObject => ({
    ...service({ selector }),
    metadata: { name, namespace, uid: `svc-${name}` }
  })
  const model = new Model()
  for (const one of [
    named('by-app', { app: 'web' }),
    named('by-both', { app: 'web', tier: 'front' }),
    named('other', { app: 'db' }),
    named('none', undefined),
    named('empty', {}),
    named('elsewhere', { app: 'web' }, 'team')
  ])
    model.put(one)
  const services = model.view.collection({ group: '', resource: 'services' })
  services.list = services.values = (): never => {
    throw new Error('all Services were looked at')
  }
  const labelled = (labels: Record<string, string>): Pod => ({ ...pod('a'), metadata: { name: 'a', namespace: 'default', labels } })
  assert.equal(servicesOf(model.view, [labelled({ app: 'web' })], 'default'), ['default/by-app'])
  assert.equal(servicesOf(model.view, [labelled({ tier: 'front', app: 'web' })], 'default').sort(), ['default/by-app', 'default/by-both'])
  assert.equal(servicesOf(model.view, [labelled({ app: 'db' }), undefined, labelled({ app: 'web' })], 'default').sort(), [
    'default/by-app',
    'default/other'
  ])
  assert.equal(servicesOf(model.view, [labelled({})], 'default'), [])
})
both('a Service of IPv6 has slices of IPv6, and those of before go', () => {
  const six = up('a', 'fd00::5')
  const two = up('b', '10.0.0.2')
  const model = given(service(), two, { ...six, status: { ...six.status, podIPs: [{ ip: 'fd00::5' }, { ip: '10.0.0.5' }] } })
  assert.equal(
    slices(model).map((slice) => [slice['addressType'], addresses(slice)]),
    [['IPv4', ['10.0.0.5', '10.0.0.2']]]
  )
  model.change(service(), { spec: { ...service().spec, clusterIP: 'fd00:96::7', ipFamilies: ['IPv6'] } })
  model.settle(endpointslice, KEY)
  assert.equal(
    slices(model).map((slice) => [slice['addressType'], addresses(slice)]),
    [['IPv6', ['fd00::5']]]
  )
})

both.run()
