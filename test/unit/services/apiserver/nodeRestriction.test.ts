/** What a node's agent may write: upstream's cases of the admission plugin, and the attacks it is there for through the decider. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Event } from '#events/Event.ts'
import { bodyOf } from '#events/Event.ts'
import type { UserInfo } from '#events/Intent.ts'
import type { KubeObject, OwnerReference } from '#events/KubeObject.ts'
import { MIRROR } from '#events/core/pod/mirror.ts'
import { Refusal } from '#events/Refusal.ts'
import type { Attributes } from '#projections/Attributes.ts'
import { nodeRefusal } from '#projections/NodeRestriction.ts'
import { Objects } from '#projections/Objects.ts'
import { restrictNode, restrictToken, type BoundTo, type NodeWrite } from '#services/apiserver/admission/nodeRestriction.ts'
import { accepted, refused, startTestApi, type TestApi } from '#test/support/api.ts'
import { startTestServer } from '#test/support/server.ts'
import { builtIns } from '#test/support/builtIns.ts'

type Json = Record<string, unknown>

const MYNODE: UserInfo = { username: 'system:node:mynode', groups: ['system:nodes', 'system:authenticated'] }
const BOB: UserInfo = { username: 'bob', groups: ['system:authenticated'] }
const PODS = { group: '', resource: 'pods' }
const NODES = { group: '', resource: 'nodes' }
const LEASES = { group: 'coordination.k8s.io', resource: 'leases' }

const owner = (node: string, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'Node',
  name: node,
  uid: `${node}-uid`,
  controller: true,
  ...more
})
const podOf = (name: string, nodeName: string, mirror: boolean, metadata: Json = {}, spec: Json = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    namespace: 'ns',
    uid: 'pod-uid',
    ...(mirror ? { annotations: { [MIRROR]: 'true' }, ownerReferences: [owner(nodeName)] } : {}),
    ...metadata
  },
  spec: { ...(nodeName === '' ? {} : { nodeName }), ...spec }
})
const nodeObject = (name: string, metadata: Json = {}, spec: Json = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, uid: `${name}-uid`, ...metadata },
  spec
})

const view = new Objects(builtIns)
let sequence = 0
const put = (object: KubeObject): void => {
  const facts = {
    key: {
      group: '',
      resource: object.kind === 'Node' ? 'nodes' : 'pods',
      namespace: object.metadata.namespace ?? '',
      name: object.metadata.name
    },
    sequence: ++sequence,
    deleted: false
  } as Omit<Event, 'object'>
  view.apply(facts, bodyOf(object))
}
put(nodeObject('mynode'))
put(podOf('mypod', 'mynode', false, {}, { serviceAccountName: 'mine' }))
put(podOf('otherpod', 'othernode', false, {}, { serviceAccountName: 'theirs' }))

/** The refusal's message; '' when it may be written. */
const told = (write: Partial<NodeWrite> & Pick<NodeWrite, 'operation' | 'kind'>, user: UserInfo = MYNODE): string => {
  try {
    restrictNode(
      user,
      { subresource: '', namespace: '', name: write.object?.metadata.name ?? write.old?.metadata.name ?? '', ...write },
      view
    )
    return ''
  } catch (error) {
    assert.instance(error, Refusal)
    return (error as Refusal).message
  }
}

const says = (write: Parameters<typeof told>[0], expected: string): void => {
  const message = told(write)
  if (expected === '') assert.is(message, '')
  else assert.ok(message.includes(expected), `${JSON.stringify(message)} should say ${JSON.stringify(expected)}`)
}

const ALLOWED = ''
const UNEXPECTED = 'unexpected operation'
const ITSELF = 'spec.nodeName set to itself'

const pods = suite('pods of a node')
/** Upstream's table: whose pod it is decides what may be done to it, mirror or not. */
const BOUND: readonly (readonly [whose: string, node: string, mine: boolean])[] = [
  ['bound to self', 'mynode', true],
  ['bound to another', 'othernode', false],
  ['unbound', '', false]
]
for (const [whose, node, mine] of BOUND)
  for (const mirror of [true, false]) {
    const pod = podOf('pod', node, mirror)
    const what = `${mirror ? 'mirror' : 'normal'} pod ${whose}`
    pods(`create, update and delete: ${what}`, () => {
      says({ operation: 'CREATE', kind: PODS, object: pod }, mirror ? (mine ? ALLOWED : ITSELF) : 'can only create mirror pods')
      says({ operation: 'UPDATE', kind: PODS, object: pod, old: pod }, UNEXPECTED)
      says({ operation: 'DELETE', kind: PODS, old: pod }, mine ? ALLOWED : ITSELF)
    })
    pods(`status: ${what}`, () => {
      says({ operation: 'CREATE', kind: PODS, subresource: 'status', object: pod }, UNEXPECTED)
      says({ operation: 'UPDATE', kind: PODS, subresource: 'status', object: pod, old: pod }, mine ? ALLOWED : ITSELF)
      says({ operation: 'DELETE', kind: PODS, subresource: 'status', old: pod }, UNEXPECTED)
    })
    pods(`eviction: ${what}`, () => {
      says({ operation: 'CREATE', kind: PODS, subresource: 'eviction', old: pod }, mine ? ALLOWED : ITSELF)
      says({ operation: 'UPDATE', kind: PODS, subresource: 'eviction', old: pod }, UNEXPECTED)
      says({ operation: 'DELETE', kind: PODS, subresource: 'eviction', old: pod }, UNEXPECTED)
    })
    pods(`other subresources: ${what}`, () => {
      for (const subresource of ['binding', 'exec', 'attach'])
        says(
          { operation: 'CREATE', kind: PODS, subresource, old: pod },
          `unexpected pod subresource "${subresource}", only 'status' and 'eviction' are allowed`
        )
    })
  }
pods('keep their labels in a status update', () => {
  const [a, ab] = [podOf('p', 'mynode', false, { labels: { a: 'a' } }), podOf('p', 'mynode', false, { labels: { a: 'a', b: 'b' } })]
  const status = (object: KubeObject, old: KubeObject): Parameters<typeof told>[0] => ({
    operation: 'UPDATE',
    kind: PODS,
    subresource: 'status',
    object,
    old
  })
  says(status(ab, a), 'node "mynode" cannot update labels through pod status')
  says(status(a, ab), 'cannot update labels through pod status')
  says(status(ab, podOf('p', 'mynode', false)), 'cannot update labels through pod status')
  says(status(ab, ab), ALLOWED)
  // A status write says the metadata, too: what it leaves out it takes away.
  says(status(podOf('p', 'mynode', false), ab), 'cannot update labels through pod status')
})
pods('keep their claims in a status update', () => {
  const claims = (...names: readonly string[]): KubeObject => ({
    ...podOf('p', 'mynode', false),
    status: { resourceClaimStatuses: names.map((name) => ({ name })) }
  })
  const write = (object: KubeObject, old: KubeObject): Parameters<typeof told>[0] => ({
    operation: 'UPDATE',
    kind: PODS,
    subresource: 'status',
    object,
    old
  })
  says(write(claims('a'), claims('b')), 'node "mynode" cannot update resource claim statues')
  says(write(claims('a'), claims('a')), ALLOWED)
})
pods('that are not there are not found', () => {
  says({ operation: 'DELETE', kind: PODS, name: 'unknown' }, 'pods "unknown" not found')
  says({ operation: 'CREATE', kind: PODS, subresource: 'eviction', name: 'unknown' }, 'pods "unknown" not found')
})

const mirrors = suite('mirror pods')
const mirrored = (metadata: Json = {}, spec: Json = {}): Parameters<typeof told>[0] => ({
  operation: 'CREATE',
  kind: PODS,
  object: podOf('p', 'mynode', true, metadata, spec)
})
const OWNERS: readonly (readonly [what: string, owners: readonly OwnerReference[] | undefined, expected: string])[] = [
  ['by their node', [owner('mynode')], ALLOWED],
  ['by nobody', undefined, 'node "mynode" can only create pods with an owner reference set to itself'],
  ['by two', [owner('mynode'), owner('mynode')], 'node "mynode" can only create pods with a single owner reference set to itself'],
  ['by another node', [owner('othernode')], 'can only create pods with an owner reference set to itself'],
  ['by another kind', [owner('mynode', { kind: 'Pod' })], 'can only create pods with an owner reference set to itself'],
  ['by another version', [owner('mynode', { apiVersion: 'v2' })], 'can only create pods with an owner reference set to itself'],
  [
    'without control',
    [{ apiVersion: 'v1', kind: 'Node', name: 'mynode', uid: 'mynode-uid' }],
    'node "mynode" can only create pods with a controller owner reference set to itself'
  ],
  [
    'with a hold on its deletion',
    [owner('mynode', { blockOwnerDeletion: true })],
    'node "mynode" must not set blockOwnerDeletion on an owner reference'
  ],
  ['by an earlier node of the name', [owner('mynode', { uid: 'old' })], 'node mynode UID mismatch: expected old got mynode-uid']
]
for (const [what, ownerReferences, expected] of OWNERS) mirrors(`owned ${what}`, () => says(mirrored({ ownerReferences }), expected))

mirrors("of a node that is not there are nobody's", () => {
  const user: UserInfo = { username: 'system:node:unknown', groups: ['system:nodes', 'system:authenticated'] }
  assert.is(told({ operation: 'CREATE', kind: PODS, object: podOf('p', 'unknown', true) }, user), 'nodes "unknown" not found')
})

const container = (more: Json): Json => ({ containers: [{ name: 'a', image: 'a', ...more }] })
const volume = (source: Json): Json => ({ volumes: [{ name: 'v', ...source }] })
const REFERENCES: readonly (readonly [spec: Json, expected: string])[] = [
  [{ serviceAccountName: 'default' }, 'serviceaccounts'],
  [{ imagePullSecrets: [{ name: 's' }] }, 'secrets'],
  [container({ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }), 'secrets'],
  [container({ envFrom: [{ secretRef: { name: 's' } }] }), 'secrets'],
  [{ initContainers: [{ name: 'i', image: 'i', envFrom: [{ secretRef: { name: 's' } }] }] }, 'secrets'],
  [volume({ secret: { secretName: 's' } }), 'secrets'],
  [volume({ cephfs: { secretRef: { name: 's' } } }), 'secrets'],
  [volume({ projected: { sources: [{ secret: { name: 's' } }] } }), 'secrets'],
  [container({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] }), 'configmaps'],
  [container({ envFrom: [{ configMapRef: { name: 'c' } }] }), 'configmaps'],
  [volume({ configMap: { name: 'c' } }), 'configmaps'],
  [volume({ configMap: {} }), 'configmaps (via configmap volumes)'],
  [volume({ projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }), 'serviceaccounts (via projected volumes)'],
  [volume({ projected: { sources: [{ clusterTrustBundle: { path: 'x' } }] } }), 'clustertrustbundles'],
  [volume({ projected: { sources: [{ newThing: {} }] } }), 'unknown sources of projected volumes'],
  [volume({ persistentVolumeClaim: { claimName: 'c' } }), 'persistentvolumeclaims'],
  [volume({ ephemeral: {} }), 'persistentvolumeclaims (via ephemeral volumes)'],
  [volume({ csi: { driver: 'd' } }), 'csidrivers (via CSI volumes)'],
  [volume({ newThing: {} }), 'unknown volume types'],
  [{ resourceClaims: [{ name: 'r' }] }, 'resourceclaims']
]
for (const [spec, expected] of REFERENCES)
  mirrors(`that need ${expected}: ${JSON.stringify(spec).slice(0, 80)}`, () =>
    says(mirrored({}, spec), `node "mynode" can not create pods that reference ${expected}`)
  )
mirrors('that stand alone', () => {
  says(
    mirrored({}, { ...container({ env: [{ name: 'secret', value: 'secretRef' }] }), ...volume({ hostPath: { path: '/etc' } }) }),
    ALLOWED
  )
  says(mirrored({}, volume({ projected: { sources: [{ downwardAPI: { items: [] } }] } })), ALLOWED)
})

const nodes = suite('nodes')
const mine = (metadata: Json = {}, spec: Json = {}): KubeObject => nodeObject('mynode', metadata, spec)
const updated = (object: KubeObject, old: KubeObject, subresource = ''): Parameters<typeof told>[0] => ({
  operation: 'UPDATE',
  kind: NODES,
  subresource,
  object,
  old
})
const labelled = (value: string, ...names: readonly string[]): Json => ({ labels: Object.fromEntries(names.map((name) => [name, value])) })

const OWN = [
  'foo',
  'example.com/foo',
  'kubernetes.io/hostname',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'kubelet.kubernetes.io/foo',
  'foo.kubelet.kubernetes.io/foo',
  'node.kubernetes.io/foo',
  'foo.node.kubernetes.io/foo'
]
const STEERING = [
  'node-restriction.kubernetes.io/foo',
  'foo.node-restriction.kubernetes.io/foo',
  'other.kubernetes.io/foo',
  'other.k8s.io/foo',
  'node-role.kubernetes.io/control-plane'
]
const TOLD =
  'foo.node-restriction.kubernetes.io/foo, node-restriction.kubernetes.io/foo, node-role.kubernetes.io/control-plane, other.k8s.io/foo, other.kubernetes.io/foo'
const taint = (value: string): Json => ({ taints: [{ key: 'mykey', value, effect: 'NoSchedule' }] })
const owned = (name: string): Json => ({ ownerReferences: [owner(name)] })

nodes('are made with their own labels, and taints', () => {
  says({ operation: 'CREATE', kind: NODES, object: mine() }, ALLOWED)
  says({ operation: 'CREATE', kind: NODES, object: mine({}, taint('A')) }, ALLOWED)
  says({ operation: 'CREATE', kind: NODES, object: mine(labelled('v', ...OWN)) }, ALLOWED)
  says(
    { operation: 'CREATE', kind: NODES, object: mine(labelled('v', ...OWN, ...STEERING)) },
    `nodes "mynode" is forbidden: node "mynode" is not allowed to set the following labels: ${TOLD}`
  )
  says(
    { operation: 'CREATE', kind: NODES, object: mine({}, { configSource: {} }) },
    'node "mynode" is not allowed to create pods with a non-nil configSource'
  )
})
nodes('keep where their configuration comes from', () => {
  says(
    updated(mine({}, { configSource: { a: 1 } }), mine()),
    'node "mynode" is not allowed to update configSource to a new non-nil configSource'
  )
  says(updated(mine({}, { configSource: { a: 1 } }), mine({}, { configSource: { a: 1 } })), ALLOWED)
  says(updated(mine(), mine({}, { configSource: { a: 1 } })), ALLOWED)
})
nodes('keep the labels that steer workloads', () => {
  says(updated(mine(labelled('v', ...OWN)), mine()), ALLOWED)
  says(updated(mine(), mine(labelled('v', ...OWN))), ALLOWED)
  says(updated(mine(labelled('w', ...OWN)), mine(labelled('v', ...OWN))), ALLOWED)
  says(
    updated(mine({ labels: { ...(labelled('v', ...STEERING)['labels'] as Json), foo: 'new' } }), mine(labelled('v', ...STEERING))),
    ALLOWED
  )
  for (const [after, before] of [
    [mine(labelled('v', ...STEERING)), mine()],
    [mine(), mine(labelled('v', ...STEERING))],
    [mine(labelled('w', ...STEERING)), mine(labelled('v', ...STEERING))]
  ] as const)
    says(updated(after, before), `nodes "mynode" is forbidden: is not allowed to modify labels: ${TOLD}`)
})
nodes('keep their taints and owners', () => {
  says(updated(mine({}, taint('A')), mine({}, taint('A'))), ALLOWED)
  says(updated(mine({}, { taints: [] }), mine()), ALLOWED)
  for (const [after, before] of [
    [taint('A'), {}],
    [{}, taint('A')],
    [taint('A'), taint('B')]
  ] as const)
    says(updated(mine({}, after), mine({}, before)), 'nodes "mynode" is forbidden: node "mynode" is not allowed to modify taints')
  for (const [after, before] of [
    [owned('a'), {}],
    [{}, owned('a')],
    [owned('a'), owned('b')]
  ] as const)
    says(updated(mine(after), mine(before)), 'node "mynode" is not allowed to modify ownerReferences')
})
nodes('keep them in a status update as well, which may leave out the half it does not write', () => {
  const full = mine({ ...labelled('v', ...STEERING), ...owned('a') }, taint('A'))
  const meta = { ...labelled('v', ...STEERING), ...owned('a') }
  says(updated(mine(meta), full, 'status'), ALLOWED)
  says(updated(full, full, 'status'), ALLOWED)
  says(updated(mine(meta, taint('B')), full, 'status'), 'is not allowed to modify taints')
  says(updated(mine(meta, { taints: [] }), full, 'status'), 'is not allowed to modify taints')
  says(updated(mine(), full, 'status'), 'is not allowed to modify ownerReferences')
  says(updated(mine(owned('a')), full, 'status'), 'is not allowed to modify labels')
  says(updated(mine(owned('b')), full, 'status'), 'is not allowed to modify ownerReferences')
  says(updated(mine({ ...labelled('w', ...STEERING), ...owned('a') }), full, 'status'), 'is not allowed to modify labels')
})
nodes('take no part of the pod network that another node has', () => {
  const range = (cidr: string): Json => ({ podCIDR: cidr, podCIDRs: [cidr] })
  put(nodeObject('neighbour', {}, range('10.244.7.0/24')))
  for (const cidr of ['10.244.7.0/24', '10.244.7.128/25', '10.244.0.0/16']) {
    const expected = `node "mynode" is not allowed to set the pod CIDR ${cidr}, which has addresses of another node's`
    says({ operation: 'CREATE', kind: NODES, object: mine({}, range(cidr)) }, expected)
    says(updated(mine({}, range(cidr)), mine()), expected)
  }
  says(updated(mine({}, range('10.244.8.0/24')), mine()), ALLOWED)
  says(updated(mine({}, range('10.244.7.0/24')), mine({}, range('10.244.7.0/24'))), ALLOWED)
})
nodes('leave other nodes alone', () => {
  const other = nodeObject('othernode')
  for (const write of [
    { operation: 'CREATE', kind: NODES, object: other },
    updated(other, other),
    updated(other, other, 'status'),
    { operation: 'DELETE', kind: NODES, old: other }
  ] as const)
    says(write, 'nodes "othernode" is forbidden: node "mynode" is not allowed to modify node "othernode"')
  says(
    { operation: 'CREATE', kind: NODES, object: { ...other, metadata: { generateName: 'my' } }, name: '' },
    'node "mynode" is not allowed to modify node ""'
  )
})
nodes('have one lease', () => {
  for (const operation of ['CREATE', 'UPDATE', 'DELETE'] as const) {
    says({ operation, kind: LEASES, namespace: 'kube-node-lease', name: 'mynode' }, ALLOWED)
    says({ operation, kind: LEASES, namespace: 'foo', name: 'mynode' }, 'can only access leases in the "kube-node-lease" system namespace')
    says(
      { operation, kind: LEASES, namespace: 'kube-node-lease', name: 'foo' },
      'can only access node lease with the same name as the requesting node'
    )
  }
})
nodes('are known by name and group', () => {
  const write = {
    operation: 'UPDATE',
    kind: PODS,
    object: podOf('otherpod', 'othernode', false),
    old: podOf('otherpod', 'othernode', false)
  } as const
  assert.is(told(write, BOB), '')
  assert.is(told(write, { username: 'system:node:mynode', groups: [] }), '')
  assert.match(told(write, { username: 'system:node:', groups: ['system:nodes'] }), /could not determine node from user "system:node:"/)
})
const TOKENS: readonly (readonly [what: string, bound: BoundTo | undefined, expected: string])[] = [
  ['of a pod it runs', { apiVersion: 'v1', kind: 'Pod', name: 'mypod', uid: 'pod-uid' }, ALLOWED],
  ['of no pod', undefined, 'node requested token not bound to a pod'],
  ['of a Secret', { apiVersion: 'v1', kind: 'Secret', name: 's', uid: 'u' }, 'node requested token not bound to a pod'],
  ['without a uid', { apiVersion: 'v1', kind: 'Pod', name: 'mypod' }, 'node requested token with a pod binding without a uid'],
  [
    'of an earlier pod of the name',
    { apiVersion: 'v1', kind: 'Pod', name: 'mypod', uid: 'old' },
    'the UID in the bound object reference (old) does not match the UID in record'
  ],
  ['of a pod that is not there', { apiVersion: 'v1', kind: 'Pod', name: 'gone', uid: 'u' }, 'pods "gone" not found'],
  [
    "of another node's pod",
    { apiVersion: 'v1', kind: 'Pod', name: 'otherpod', uid: 'pod-uid' },
    'node requested token bound to a pod scheduled on a different node'
  ]
]
for (const [what, bound, expected] of TOKENS)
  nodes(`may ask for tokens ${what}: ${expected === '' ? 'yes' : 'no'}`, () => {
    let message = ''
    try {
      restrictToken(MYNODE, 'ns', 'default', bound, view)
    } catch (error) {
      message = (error as Error).message
    }
    assert.ok(expected === '' ? message === '' : message.includes(expected), message)
  })

const asking = suite('what a node may ask')
const NONE = "no relationship found between node 'mynode' and this object"
/** Upstream's words; undefined where its role or admission has the last word. */
const ASKED: readonly (readonly [verb: string, resource: string, name: string, refusal: string | undefined, namespace?: string])[] = [
  ['get', 'nodes', 'mynode', undefined],
  ['get', 'nodes', 'othernode', "node 'mynode' cannot read 'othernode', only its own Node object"],
  ['list', 'nodes', '', "node 'mynode' cannot read all nodes, only its own Node object"],
  ['patch', 'nodes', 'othernode', undefined],
  ['get', 'pods', 'mypod', undefined, 'ns'],
  ['get', 'pods', 'otherpod', NONE, 'ns'],
  ['get', 'pods', 'gone', NONE, 'ns'],
  ['get', 'pods/log', 'mypod', 'cannot get subresource', 'ns'],
  ['list', 'pods', '', 'can only list/watch pods with spec.nodeName field selector'],
  ['create', 'pods/eviction', 'otherpod', undefined, 'ns'],
  ['delete', 'pods', 'otherpod', undefined, 'ns'],
  ['get', 'serviceaccounts', 'mine', undefined, 'ns'],
  ['get', 'serviceaccounts', 'theirs', NONE, 'ns'],
  ['get', 'serviceaccounts', 'mine', NONE, 'elsewhere'],
  ['create', 'serviceaccounts/token', 'mine', undefined, 'ns'],
  ['create', 'serviceaccounts/token', 'theirs', NONE, 'ns'],
  ['create', 'serviceaccounts/token', '', 'can only create tokens for individual service accounts', 'ns'],
  ['delete', 'serviceaccounts', 'mine', 'can only create tokens for individual service accounts', 'ns'],
  ['create', 'serviceaccounts', 'mine', 'can only create token subresource of serviceaccount', 'ns'],
  ['get', 'leases', 'mynode', undefined, 'kube-node-lease'],
  ['get', 'leases', 'othernode', 'can only access node lease with the same name as the requesting node', 'kube-node-lease'],
  ['get', 'leases', 'mynode', 'can only access leases in the "kube-node-lease" system namespace', 'kube-system'],
  ['list', 'leases', '', 'can only get, create, update, patch, or delete a node lease', 'kube-node-lease'],
  ['create', 'leases', '', undefined, 'kube-node-lease'],
  ['get', 'configmaps', 'any', undefined, 'ns']
]
for (const [verb, what, name, refusal, namespace = ''] of ASKED)
  asking(`${verb} ${what} ${namespace}/${name}: ${refusal === undefined ? 'yes' : 'no'}`, () => {
    const [resource = '', subresource = ''] = what.split('/')
    const request: Attributes = { verb, group: resource === 'leases' ? 'coordination.k8s.io' : '', resource, subresource, namespace, name }
    assert.is(nodeRefusal(view, 'mynode', request), refusal)
    assert.is(nodeRefusal(view, '', request), 'unknown node for user "system:node:"')
  })

const decided = suite("a node's agent")
let api: TestApi
decided.before(async () => {
  api = await startTestApi()
  accepted(await api.create(mine(labelled('prod', 'node-restriction.kubernetes.io/pool'), taint('A'))))
  accepted(await api.create(nodeObject('othernode')))
  for (const [name, node] of [
    ['mypod', 'mynode'],
    ['otherpod', 'othernode']
  ] as const)
    accepted(
      await api.create({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: { nodeName: node, containers: [{ name: 'a', image: 'a' }] }
      })
    )
})
const patchNode = (
  body: Json,
  subresource?: string,
  type = 'application/merge-patch+json',
  name = 'mynode'
): ReturnType<TestApi['submit']> =>
  api.submit(
    {
      verb: 'patch',
      ref: NODES,
      name,
      ...(subresource === undefined ? {} : { subresource }),
      patch: { type: type as 'application/merge-patch+json', body },
      options: { fieldManager: 'kubelet', force: true }
    },
    MYNODE
  )

decided('can not take its taints off, in no way', async () => {
  const forbidden = '403 Forbidden: nodes "mynode" is forbidden: node "mynode" is not allowed to modify taints'
  assert.is(refused(await patchNode({ spec: { taints: null } })), forbidden)
  assert.is(
    refused(
      await patchNode(
        { spec: { taints: [{ $patch: 'delete', effect: 'NoSchedule', key: 'mykey' }] } },
        undefined,
        'application/strategic-merge-patch+json'
      )
    ),
    forbidden
  )
  assert.is(
    refused(await patchNode([{ op: 'remove', path: '/spec/taints/0' }] as unknown as Json, undefined, 'application/json-patch+json')),
    forbidden
  )
  assert.is(
    refused(
      await patchNode(
        { apiVersion: 'v1', kind: 'Node', metadata: { name: 'mynode' }, spec: { taints: [{ key: 'more', effect: 'NoSchedule' }] } },
        undefined,
        'application/apply-patch+yaml'
      )
    ),
    forbidden
  )
  assert.is(refused(await patchNode({ spec: { taints: [] } }, 'status')), forbidden)
  const { resourceVersion: _, ...metadata } = api.get({ kind: 'Node', apiVersion: 'v1', name: 'mynode' })?.metadata ?? {}
  assert.is(
    refused(
      await api.submit(
        { verb: 'update', ref: NODES, name: 'mynode', object: { apiVersion: 'v1', kind: 'Node', metadata, spec: {} } },
        MYNODE
      )
    ),
    forbidden
  )
})
decided('can not steer workloads to itself', async () => {
  const labels = { 'node-restriction.kubernetes.io/pool': 'secret' }
  assert.is(
    refused(await patchNode({ metadata: { labels } })),
    '403 Forbidden: nodes "mynode" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/pool'
  )
  assert.is(
    refused(await patchNode({ metadata: { labels: null } })),
    '403 Forbidden: nodes "mynode" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/pool'
  )
  assert.match(refused(await patchNode({ metadata: { labels } }, 'status')), /^403 Forbidden: .*is not allowed to modify labels/)
  accepted(await patchNode({ metadata: { labels: { 'kubernetes.io/os': 'linux', mine: 'yes' } } }))
})
decided('leaves the others alone, in dry runs too', async () => {
  assert.is(
    refused(await patchNode({ metadata: { labels: { a: 'b' } } }, undefined, undefined, 'othernode')),
    '403 Forbidden: nodes "othernode" is forbidden: node "mynode" is not allowed to modify node "othernode"'
  )
  for (const options of [{}, { dryRun: true }])
    assert.is(
      refused(await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'otherpod', options }, MYNODE)),
      '403 Forbidden: pods "otherpod" is forbidden: node "mynode" can only delete pods with spec.nodeName set to itself'
    )
  assert.is(
    refused(
      await api.submit(
        {
          verb: 'patch',
          ref: PODS,
          namespace: 'default',
          name: 'otherpod',
          subresource: 'status',
          patch: { type: 'application/merge-patch+json', body: { status: { phase: 'Failed' } } }
        },
        MYNODE
      )
    ),
    '403 Forbidden: pods "otherpod" is forbidden: node "mynode" can only update pod status for pods with spec.nodeName set to itself'
  )
  assert.match(
    refused(await api.submit({ verb: 'create', ref: NODES, object: nodeObject('third') }, MYNODE)),
    /node "mynode" is not allowed to modify node "third"$/
  )
  assert.match(
    refused(
      await api.submit(
        {
          verb: 'create',
          ref: LEASES,
          namespace: 'kube-node-lease',
          object: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'othernode' }, spec: {} }
        },
        MYNODE
      )
    ),
    /can only access node lease with the same name as the requesting node$/
  )
})
decided('may change a pod of its own in its status only', async () => {
  const change = (body: Json, subresource?: string): ReturnType<TestApi['submit']> =>
    api.submit(
      {
        verb: 'patch',
        ref: PODS,
        namespace: 'default',
        name: 'mypod',
        ...(subresource === undefined ? {} : { subresource }),
        patch: { type: 'application/merge-patch+json', body }
      },
      MYNODE
    )
  // Its role has no patch of pods; that is asked first.
  assert.match(
    refused(await change({ metadata: { labels: { a: 'b' } } })),
    /^403 Forbidden: pods "mypod" is forbidden: User "system:node:mynode" cannot patch resource "pods"/
  )
  assert.match(
    refused(await change({ metadata: { labels: { a: 'b' } } }, 'status')),
    /node "mynode" cannot update labels through pod status$/
  )
  accepted(await change({ status: { phase: 'Running' } }, 'status'))
  accepted(
    await api.submit({ verb: 'delete', ref: PODS, namespace: 'default', name: 'mypod', deleteOptions: { gracePeriodSeconds: 0 } }, MYNODE)
  )
})
decided('and nobody else makes a mirror pod into another pod', async () => {
  const mirror = (metadata: Json, spec: Json = {}): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'mirror', annotations: { [MIRROR]: 'x' }, ...metadata },
    spec: { containers: [{ name: 'a', image: 'a' }], ...spec }
  })
  assert.match(
    refused(await api.create(mirror({}))),
    /metadata\.annotations\[kubernetes\.io\/config\.mirror\]: Invalid value: "x": must set spec\.nodeName if mirror pod annotation is set/
  )
  assert.match(
    refused(await api.create(mirror({}, { nodeName: 'mynode', serviceAccountName: 'default' }))),
    /a mirror pod may not reference service accounts$/
  )
  const made = accepted(await api.create(mirror({}, { nodeName: 'mynode' })))
  assert.equal([at(made, 'spec.serviceAccountName'), at(made, 'spec.volumes')], [undefined, undefined])
  assert.match(
    refused(
      await api.submit({
        verb: 'patch',
        ref: PODS,
        namespace: 'default',
        name: 'mirror',
        patch: { type: 'application/merge-patch+json', body: { metadata: { annotations: null } } }
      })
    ),
    /may not remove or update mirror pod annotation/
  )
  assert.match(
    refused(
      await api.submit({
        verb: 'patch',
        ref: PODS,
        namespace: 'default',
        name: 'otherpod',
        patch: { type: 'application/merge-patch+json', body: { metadata: { annotations: { [MIRROR]: 'x' } } } }
      })
    ),
    /may not add mirror pod annotation/
  )
})

decided('and gets tokens only for the pods it runs, whatever its role', async () => {
  const server = await startTestServer()
  try {
    const rbac = '/apis/rbac.authorization.k8s.io/v1'
    await server.json('POST', `${rbac}/clusterroles`, {
      metadata: { name: 'tokens' },
      rules: [{ apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] }]
    })
    await server.json('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'tokens' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'tokens' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:nodes' }]
    })
    const made = await server.json('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'mypod' },
      spec: { nodeName: 'mynode', containers: [{ name: 'a', image: 'a' }] }
    })
    const ask = async (boundObjectRef: unknown): Promise<readonly [number, string]> => {
      const headers = { 'content-type': 'application/json', 'impersonate-user': 'system:node:mynode', 'impersonate-group': 'system:nodes' }
      const { code, text } = await server.send({
        method: 'POST',
        path: '/api/v1/namespaces/default/serviceaccounts/default/token',
        headers,
        body: JSON.stringify({ spec: { boundObjectRef } })
      })
      return [code, (JSON.parse(text) as { message?: string }).message ?? '']
    }
    assert.equal(await ask(undefined), [403, 'serviceaccounts "default" is forbidden: node requested token not bound to a pod'])
    assert.is((await ask({ apiVersion: 'v1', kind: 'Pod', name: 'mypod', uid: made.object.metadata.uid }))[0], 201)
  } finally {
    await server.stop()
  }
})

for (const part of [pods, mirrors, nodes, asking, decided]) part.run()
