/** What a container gets: environment, resolv.conf, resources, volume files, image names and credentials. */
import type { Container, Pod } from '#events/schema/generated/core.v1.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Binding } from '#events/node/messages.ts'
import { environment, expand } from '#services/kubelet/container/env.ts'
import { containerSpec } from '#services/kubelet/container/spec.ts'
import type { Image, Observed } from '#services/platform/Runtime.ts'
import { isImageName, pullCredentials, pullPolicy, registryOf } from '#services/kubelet/container/image.ts'
import { resolvConf } from '#services/kubelet/container/resolv.ts'
import { qosClassOf } from '#events/core/pod/qos.ts'
import { kernelResources } from '#services/kubelet/container/resources.ts'
import { goDuration, timestamp } from '#events/meta/time.ts'
import { volumeFiles } from '#services/kubelet/volumes/content.ts'

const facts = { podIP: '10.0.0.2', hostIP: '192.0.2.1', nodeName: 'n1', cores: 4, memory: 2 ** 33 }
const binding = (container: object, extra: Partial<Binding> = {}, spec: object = {}): Binding => ({
  pod: {
    metadata: { name: 'web', namespace: 'default', uid: 'u', labels: { app: 'web' } },
    spec: { containers: [{ name: 'main', ...container }], ...spec }
  } as unknown as Pod,
  configMaps: { config: { data: { a: '1', b: '2' } } },
  secrets: { secret: { type: 'Opaque', data: { key: btoa('s3cret') } } },
  serviceEnv: { KUBERNETES_SERVICE_HOST: '10.96.0.1' },
  cause: { eventId: 'e', ref: 'EVENTS:1', correlationId: 'e' },
  ...extra
})
const envOf = (container: object): Record<string, string> => {
  const bound = binding(container)
  return Object.fromEntries(environment(bound, bound.pod.spec?.containers[0] as Container, facts))
}

const test = suite('kubelet: containers')

test('environment: every source, in order', () =>
  assert.equal(
    envOf({
      envFrom: [{ prefix: 'C_', configMapRef: { name: 'config' } }, { secretRef: { name: 'none', optional: true } }],
      env: [
        { name: 'X', value: '$(C_a) $(KUBERNETES_SERVICE_HOST) $(NONE) $$(C_a)' },
        { name: 'S', valueFrom: { secretKeyRef: { name: 'secret', key: 'key' } } },
        { name: 'L', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
        { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
        { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
        { name: 'O', valueFrom: { configMapKeyRef: { name: 'config', key: 'none', optional: true } } }
      ],
      resources: { limits: { memory: '64Mi' } }
    }),
    {
      C_a: '1',
      C_b: '2',
      X: '1 10.96.0.1 $(NONE) $(C_a)',
      S: 's3cret',
      L: 'web',
      IP: '10.0.0.2',
      CPU: '4',
      MEM: '64',
      KUBERNETES_SERVICE_HOST: '10.96.0.1'
    }
  ))
test('environment: what is missing, in upstream words', () => {
  assert.throws(() => envOf({ env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'none', key: 'x' } } }] }), 'secret "none" not found')
  assert.throws(
    () => envOf({ env: [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'config', key: 'x' } } }] }),
    "couldn't find key x in ConfigMap default/config"
  )
  assert.throws(() => envOf({ envFrom: [{ configMapRef: { name: 'none' } }] }), 'configmap "none" not found')
})
test('profiles a node does not have are refused, not left out', () => {
  const identity = {
    podUid: 'u',
    namespace: 'default',
    pod: 'web',
    container: 'main',
    sandbox: 0,
    attempt: 0,
    backOff: 0,
    specHash: '',
    podStart: 0
  }
  const specOf = (container: object, spec: object = {}) => {
    const { pod } = binding(container, {}, spec)
    const machine = { cores: 1, memory: 2 ** 30, negativeScores: false }
    return containerSpec(
      pod,
      pod.spec?.containers[0] as Container,
      identity,
      { id: 's', identity } as Observed,
      { id: 'i', user: '' } as Image,
      new Map(),
      [],
      machine
    )
  }
  const local = { type: 'Localhost', localhostProfile: 'mine' }
  assert.throws(
    () => specOf({ securityContext: { appArmorProfile: local } }),
    'AppArmor profiles of type Localhost are not supported on this node'
  )
  assert.throws(
    () => specOf({}, { securityContext: { appArmorProfile: local } }),
    'AppArmor profiles of type Localhost are not supported on this node'
  )
  assert.throws(
    () => specOf({ securityContext: { seccompProfile: local } }),
    'seccomp profiles of type Localhost are not supported on this node'
  )
  assert.is(
    specOf({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } }, { securityContext: { appArmorProfile: local } }).image,
    'i'
  )
})
test('expansion', () => assert.is(expand('$(A)$$$(B)$', new Map([['A', 'x']])), 'x$$(B)$'))
test('resolv.conf by policy', () => {
  const dns = { clusterDNS: ['10.96.0.10'], clusterDomain: 'cluster.local', node: 'search example.org\nnameserver 192.0.2.53\n' }
  const pod = (spec: object): Pod => ({ metadata: { namespace: 'shop' }, spec: { containers: [], ...spec } }) as unknown as Pod
  assert.is(
    resolvConf(pod({}), dns),
    'search shop.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\noptions ndots:5\n'
  )
  assert.is(resolvConf(pod({ dnsPolicy: 'Default' }), dns), 'search example.org\nnameserver 192.0.2.53\n')
  assert.is(resolvConf(pod({ hostNetwork: true }), dns), 'search example.org\nnameserver 192.0.2.53\n')
  assert.is(
    resolvConf(pod({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.9'], options: [{ name: 'ndots', value: '1' }] } }), dns),
    'nameserver 192.0.2.9\noptions ndots:1\n'
  )
})
test('resources and quality of service', () => {
  const of = (resources: object): [string, unknown] => {
    const container = { name: 'main', resources } as Container
    const pod = { spec: { containers: [container] } } as Pod
    return [qosClassOf(pod.spec ?? { containers: [] }), kernelResources(pod, container, 2 ** 30, true)]
  }
  assert.equal(of({}), ['BestEffort', { cpuShares: 2, cpuQuota: 0, memory: 0, oomScoreAdj: 1000 }])
  assert.equal(of({ limits: { cpu: '500m', memory: '64Mi' } }), [
    'Guaranteed',
    { cpuShares: 512, cpuQuota: 50_000, memory: 67_108_864, oomScoreAdj: -997 }
  ])
  assert.equal(of({ requests: { memory: '512Mi' } }), ['Burstable', { cpuShares: 2, cpuQuota: 0, memory: 0, oomScoreAdj: 500 }])
})
test('projected volume: token, CA, namespace', () => {
  const volume = {
    name: 'v',
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } }
      ]
    }
  }
  const files = volumeFiles(binding({}, { serviceAccountToken: { token: 'jwt', expiresAt: '' }, clusterCA: 'pem' }), volume, facts) ?? []
  assert.equal(
    files.map(({ path, content }) => `${path}=${new TextDecoder().decode(content)}`),
    ['token=jwt', 'ca.crt=pem', 'namespace=default']
  )
  assert.throws(() => volumeFiles(binding({}), { name: 'v', secret: { secretName: 'none' } }, facts), 'secret "none" not found')
  assert.equal(volumeFiles(binding({}), { name: 'v', secret: { secretName: 'none', optional: true } }, facts), [])
})
test('image names', () => {
  for (const name of ['web', 'web:1', 'reckon/demo:1', 'registry.example:5000/a/b:v1', `web@sha256:${'a'.repeat(64)}`])
    assert.ok(isImageName(name), name)
  for (const name of ['', 'Web', 'web:', 'a b', 'web@sha256:1', '/web']) assert.not(isImageName(name), name)
  assert.equal([pullPolicy({ name: 'c', image: 'web' }), pullPolicy({ name: 'c', image: 'h:5000/web:1' })], ['Always', 'IfNotPresent'])
  assert.equal(['web', 'a/web', 'h:5000/web', 'localhost/web'].map(registryOf), ['docker.io', 'docker.io', 'h:5000', 'localhost'])
})
test('pull credentials are those of the image’s registry', () => {
  const config = btoa(
    JSON.stringify({ auths: { 'h:5000': { auth: btoa('alice:a:b') }, 'https://index.docker.io/v1/': { username: 'u', password: 'p' } } })
  )
  const bound = binding(
    {},
    { secrets: { pull: { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': config } } } },
    { imagePullSecrets: [{ name: 'pull' }] }
  )
  assert.equal(pullCredentials(bound, 'h:5000/web'), [{ username: 'alice', password: 'a:b' }])
  assert.equal(pullCredentials(bound, 'web'), [{ username: 'u', password: 'p' }])
  assert.equal(pullCredentials(bound, 'other:5000/web'), [])
})
test('times', () => {
  for (const text of ['1970-01-01T00:00:00Z', '2000-02-29T23:59:59Z', '2024-03-01T00:00:00Z', '2026-12-31T12:34:56Z'])
    assert.is(timestamp(Date.parse(text)), text)
  assert.equal([10, 60, 80, 300, 3661].map(goDuration), ['10s', '1m0s', '1m20s', '5m0s', '1h1m1s'])
})
test.run()
