/** Which endpoints a Service's ports may use on a node. */
import { asOneOf } from '#events/KubeObject.ts'
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { narrowedToEndpoints, proxyPorts } from '#projections/Proxy.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { service, slice } from '#test/support/services.ts'

const proxy = suite('Proxy')

const READY = { ready: true, serving: true, terminating: false }
const LEAVING = { ready: false, serving: true, terminating: true }
const BROKEN = { ready: false, serving: false, terminating: false }
const web = service('web', '10.96.0.7', [{ name: 'http', port: 80, nodePort: 30080 }])
const ips = (endpoints: readonly { ip: string }[] | undefined) => endpoints?.map(({ ip }) => ip)

proxy('takes ready endpoints of the port with the same name, from all slices', () => {
  const [port] = proxyPorts(
    web,
    [
      slice('web', [{ ip: '10.244.0.3' }, { ip: '10.244.0.2' }], [{ name: 'http', port: 8080 }]),
      slice(
        'web',
        [{ ip: '10.244.1.9' }],
        [
          { name: 'http', port: 8081 },
          { name: 'other', port: 1 }
        ],
        'b'
      )
    ],
    'n1'
  )
  assert.equal(port?.cluster, [
    { ip: '10.244.0.2', port: 8080 },
    { ip: '10.244.0.3', port: 8080 },
    { ip: '10.244.1.9', port: 8081 }
  ])
  assert.is(port?.id, 'default/web:http')
  assert.is(port?.nodePort, 30080)
})

proxy('of what a node holds of them, Services and slices give the same ports, and little else is held', () => {
  const noise = { annotations: { note: 'x'.repeat(500) }, uid: 'u', generateName: 'web-', finalizers: ['a/b'] }
  const full = <Some extends KubeObject>(object: Some): Some => ({
    ...object,
    metadata: { ...object.metadata, ...noise, labels: { ...object.metadata.labels, app: 'web' } }
  })
  const [there] = [
    slice(
      'web',
      [
        { ip: '10.0.0.1', node: 'n1', conditions: LEAVING },
        { ip: '10.0.0.2', node: 'n2', conditions: READY }
      ],
      [{ name: 'http', port: 8080 }]
    )
  ] as const
  const balanced = asOneOf(SERVICES, {
    ...full(web),
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.7' }] }, conditions: [{ type: 'x' }] }
  })
  const targeted = {
    ...full(there),
    endpoints: (there.endpoints ?? []).map((endpoint) => ({
      ...endpoint,
      hostname: 'db-0',
      targetRef: { kind: 'Pod', name: 'p', uid: 'u' },
      zone: 'z'
    }))
  }
  const service = asOneOf(SERVICES, narrowedToEndpoints(balanced))
  const held = asOneOf(ENDPOINT_SLICES, narrowedToEndpoints(targeted))
  for (const node of ['n1', 'n2', 'n3']) assert.equal(proxyPorts(service, [held], node), proxyPorts(balanced, [targeted], node))
  assert.equal(service.metadata, { name: 'web', namespace: 'default' })
  assert.equal(held.metadata.labels, { 'kubernetes.io/service-name': 'web' })
  assert.equal(Object.keys((held['endpoints'] as object[])[0] as object), ['addresses', 'conditions', 'hostname', 'nodeName'])
  assert.is((service['spec'] as { selector?: unknown }).selector, undefined)
})

proxy('uses endpoints that serve while terminating only when none is ready', () => {
  const ports = [{ name: 'http', port: 80 }]
  const some = slice(
    'web',
    [
      { ip: '10.0.0.1', conditions: LEAVING },
      { ip: '10.0.0.2', conditions: READY },
      { ip: '10.0.0.3', conditions: BROKEN }
    ],
    ports
  )
  assert.equal(ips(proxyPorts(web, [some], 'n1')[0]?.cluster), ['10.0.0.2'])
  const none = slice(
    'web',
    [
      { ip: '10.0.0.1', conditions: LEAVING },
      { ip: '10.0.0.3', conditions: BROKEN }
    ],
    ports
  )
  assert.equal(ips(proxyPorts(web, [none], 'n1')[0]?.cluster), ['10.0.0.1'])
})

proxy('chooses among local endpoints on their own', () => {
  const there = slice(
    'web',
    [
      { ip: '10.0.0.1', node: 'n1', conditions: LEAVING },
      { ip: '10.0.0.2', node: 'n2' }
    ],
    [{ name: 'http', port: 80 }]
  )
  const [port] = proxyPorts(web, [there], 'n1')
  assert.equal(ips(port?.cluster), ['10.0.0.2'])
  assert.equal(ips(port?.local), ['10.0.0.1'])
})

proxy('takes an endpoint without conditions as ready', () => {
  assert.equal(ips(proxyPorts(web, [slice('web', [{ ip: '10.0.0.1', conditions: {} }], [{ name: 'http', port: 80 }])], 'n1')[0]?.cluster), [
    '10.0.0.1'
  ])
})

proxy("leaves headless, ExternalName and other proxies' Services alone", () => {
  assert.equal(proxyPorts(service('a', 'None', [{ port: 80 }]), [], 'n1'), [])
  assert.equal(proxyPorts(service('a', '', [], { type: 'ExternalName', externalName: 'example.org' }), [], 'n1'), [])
  const other = service('a', '10.96.0.1', [{ port: 80 }])
  other.metadata.labels = { 'service.kubernetes.io/service-proxy-name': 'mesh' }
  assert.equal(proxyPorts(other, [], 'n1'), [])
})

proxy('never lets an address that is none into the rules', () => {
  const bad = slice('web', [{ ip: '10.0.0.1\n-A INPUT -j ACCEPT' }, { ip: 'fd00::1' }], [{ name: 'http', port: 80 }])
  assert.equal(proxyPorts(web, [bad], 'n1')[0]?.cluster, [])
  const external = service('x', '10.96.0.1', [{ port: 80 }], { externalIPs: ['192.0.2.1', '192.0.2.1\n', 'fd00::1'] })
  assert.equal(proxyPorts(external, [], 'n1')[0]?.externalIPs, ['192.0.2.1'])
})

proxy('keeps a client with its endpoint for three hours unless told otherwise', () => {
  assert.is(proxyPorts(service('a', '10.96.0.1', [{ port: 80 }], { sessionAffinity: 'ClientIP' }), [], 'n1')[0]?.affinitySeconds, 10800)
})

proxy.run()
