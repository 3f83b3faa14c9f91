/** Who may do what: the roles a cluster begins with, what nodes are kept to, and what nobody can give away. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Event } from '#events/Event.ts'
import { bodyOf } from '#events/Event.ts'
import type { UserInfo } from '#events/Intent.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { validateMeta } from '#events/meta/ObjectMeta.ts'
import { bootstrapRbac } from '#events/rbac/bootstrap.ts'
import { Refusal } from '#events/Refusal.ts'
import { builtIns, kindNamed } from '#test/support/builtIns.ts'
import { Objects } from '#projections/Objects.ts'
import type { Attributes } from '#projections/Attributes.ts'
import { authorize, checkEscalation, rulesFor } from '#projections/Rbac.ts'

const RBAC = 'rbac.authorization.k8s.io/v1'

const kindOfObject = (object: KubeObject) =>
  kindNamed(object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] as string) : '', undefined, object.kind)!

const given = (...objects: KubeObject[]): Objects => {
  const view = new Objects(builtIns)
  let sequence = 0
  for (const object of [...bootstrapRbac(), ...objects]) {
    const kind = kindOfObject(object)
    const facts = {
      key: { group: kind.group, resource: kind.resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name },
      sequence: ++sequence,
      deleted: false
    } as Omit<Event, 'object'>
    view.apply(facts, bodyOf(object))
  }
  return view
}

const user = (username: string, ...groups: string[]): UserInfo => ({ username, groups: [...groups, 'system:authenticated'] })
const bob = user('bob')

const ask = (verb: string, resource: string, place: Partial<Attributes> = {}): Attributes => {
  const [name, group = ''] = resource.split(/\.(.*)/) as [string, string?]
  const [plain, subresource = ''] = name.split('/') as [string, string?]
  return { verb, group, resource: plain, subresource, namespace: 'default', name: '', ...place }
}

const bind = (role: string, who: string, namespace?: string): KubeObject => ({
  apiVersion: RBAC,
  kind: namespace === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
  metadata: { name: `${role}-${who}`, ...(namespace === undefined ? {} : { namespace }) },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
  subjects: [{ kind: 'User', name: who }]
})

const roles = suite('the roles a cluster begins with')
roles('are valid', () => {
  for (const object of bootstrapRbac()) {
    const kind = kindOfObject(object)
    assert.equal([...validateMeta(kind, object), ...(kind.validate?.(object) ?? [])], [], object.metadata.name ?? '')
  }
})
roles('grant what people expect of view, edit and admin', () => {
  const view = given(
    bind('view', 'viewer', 'default'),
    bind('edit', 'editor', 'default'),
    bind('admin', 'owner', 'default'),
    bind('cluster-admin', 'root')
  )
  const may = (name: string, attributes: Attributes): boolean => authorize(view, user(name), attributes).allowed
  assert.ok(may('viewer', ask('list', 'pods')))
  assert.ok(may('viewer', ask('get', 'pods/log')))
  assert.not.ok(may('viewer', ask('get', 'secrets')), 'secrets are not for viewers')
  assert.not.ok(may('viewer', ask('delete', 'pods')))
  assert.not.ok(may('viewer', ask('list', 'pods', { namespace: 'other' })), 'a RoleBinding ends at its namespace')
  assert.not.ok(may('viewer', ask('list', 'pods', { namespace: '' })))
  assert.ok(may('editor', ask('create', 'deployments.apps')))
  assert.ok(may('editor', ask('get', 'secrets')))
  assert.not.ok(may('editor', ask('create', 'rolebindings.rbac.authorization.k8s.io')))
  assert.ok(may('owner', ask('create', 'rolebindings.rbac.authorization.k8s.io')))
  assert.ok(may('root', ask('delete', 'nodes', { namespace: '' })))
  assert.ok(authorize(view, user('admin', 'system:masters'), ask('anything', 'things.example.com')).allowed)
  assert.not.ok(authorize(view, bob, ask('get', 'pods')).allowed)
})
roles('leave to the system what upstream leaves to it', () => {
  const everywhere = { namespace: '' }
  const view = given(bind('view', 'viewer'), bind('edit', 'editor'), bind('admin', 'owner'))
  const may = (name: string, verb: string, resource: string, place?: Partial<Attributes>): boolean =>
    authorize(view, user(name), ask(verb, resource, place)).allowed
  for (const name of ['viewer', 'editor', 'owner']) {
    assert.ok(may(name, 'list', 'events'))
    assert.ok(may(name, 'get', 'resourcequotas'))
    assert.not.ok(may(name, 'list', 'events.events.k8s.io'), 'nobody upstream is granted them under their other name')
    assert.not.ok(may(name, 'list', 'servicecidrs.networking.k8s.io', everywhere))
    assert.not.ok(may(name, 'get', 'servicecidrs.networking.k8s.io', { ...everywhere, name: 'kubernetes' }))
    for (const [verb, resource] of [
      ['update', 'endpoints'],
      ['update', 'endpointslices.discovery.k8s.io'],
      ['update', 'deployments/status.apps'],
      ['create', 'controllerrevisions.apps'],
      ['delete', 'pods/eviction'],
      ['delete', 'namespaces'],
      ['create', 'resourcequotas']
    ] as const)
      assert.not.ok(may(name, verb, resource), `${name} may ${verb} ${resource}`)
    assert.not.ok(may(name, 'delete', 'ipaddresses.networking.k8s.io', everywhere))
  }
  for (const name of ['editor', 'owner']) {
    assert.ok(may(name, 'create', 'pods/eviction'))
    assert.ok(may(name, 'patch', 'deployments/scale.apps'))
    assert.ok(may(name, 'create', 'pods/exec'))
    assert.ok(may(name, 'get', 'pods/exec'))
    assert.ok(may(name, 'create', 'networkpolicies.networking.k8s.io'))
  }
})
roles('let everybody who signed in discover the API and ask what they may do', () => {
  const view = given()
  assert.ok(authorize(view, bob, { ...ask('get', ''), path: '/apis/apps/v1' }).allowed)
  assert.not.ok(authorize(view, bob, { ...ask('get', ''), path: '/metrics' }).allowed)
  assert.ok(authorize(view, bob, ask('create', 'selfsubjectaccessreviews.authorization.k8s.io', { namespace: '' })).allowed)
})
roles('keep components to their job', () => {
  const view = given()
  const scheduler = user('system:kube-scheduler')
  assert.ok(authorize(view, scheduler, ask('create', 'pods/binding')).allowed)
  assert.not.ok(authorize(view, scheduler, ask('delete', 'pods')).allowed)
  const replicaSets = user('system:serviceaccount:kube-system:replicaset-controller')
  assert.ok(authorize(view, replicaSets, ask('create', 'pods')).allowed)
  assert.not.ok(authorize(view, replicaSets, ask('get', 'secrets')).allowed)
  assert.not.ok(authorize(view, user('system:serviceaccount:default:replicaset-controller'), ask('create', 'pods')).allowed)
})
roles('are listed for can-i --list', () => {
  const rules = rulesFor(given(bind('view', 'bob', 'default')), bob, 'default')
  assert.ok(rules.resourceRules.some((rule) => rule.resources?.includes('pods')))
  assert.ok(rules.nonResourceRules.some((rule) => rule.nonResourceURLs?.includes('/version')))
})
roles('are looked up by whom they are for: the bindings of others cost nothing, and each kind of subject is found once', () => {
  const subject = (kind: string, name: string, namespace?: string) => ({ kind, name, ...(namespace === undefined ? {} : { namespace }) })
  const view = given(
    {
      ...bind('view', 'mixed', 'default'),
      subjects: [subject('User', 'ann'), subject('Group', 'team'), subject('ServiceAccount', 'robot', 'default'), subject('User', 'ann')]
    },
    bind('view', 'other', 'elsewhere')
  )
  for (const resource of ['rolebindings', 'clusterrolebindings']) {
    const collection = view.collection({ group: 'rbac.authorization.k8s.io', resource })
    collection.list = collection.values = (): never => {
      throw new Error('all bindings were looked at')
    }
  }
  const may = (who: UserInfo, namespace = 'default'): boolean => authorize(view, who, ask('list', 'pods', { namespace })).allowed
  for (const who of [user('ann'), user('x', 'team'), user('system:serviceaccount:default:robot')]) assert.ok(may(who), who.username)
  for (const who of [user('bob'), user('team'), user('robot'), user('x', 'ann'), user('system:serviceaccount:other:robot')])
    assert.not.ok(may(who), who.username)
  assert.not.ok(may(user('ann'), 'elsewhere'))
  assert.ok(may(user('other'), 'elsewhere'))
  assert.is(
    rulesFor(view, user('ann', 'team'), 'default').resourceRules.length,
    rulesFor(view, user('ann'), 'default').resourceRules.length
  )
})
roles.run()

const nodes = suite('a node')
const pod = (name: string, nodeName: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { nodeName }
})
nodes('touches its own node, lease and pods only', () => {
  const view = given(pod('mine', 'n1'), pod('theirs', 'n2'))
  const may = (attributes: Attributes): boolean => authorize(view, user('system:node:n1', 'system:nodes'), attributes).allowed
  const why = (attributes: Attributes): string => authorize(view, user('system:node:n1', 'system:nodes'), attributes).reason
  assert.ok(may(ask('get', 'pods', { name: 'mine' })))
  assert.is(why(ask('get', 'pods', { name: 'theirs' })), "no relationship found between node 'n1' and this object")
  assert.is(why(ask('get', 'pods', { name: 'nobodys' })), "no relationship found between node 'n1' and this object")
  assert.is(why(ask('list', 'pods')), 'can only list/watch pods with spec.nodeName field selector')
  assert.ok(may(ask('get', 'nodes', { namespace: '', name: 'n1' })))
  assert.is(why(ask('get', 'nodes', { namespace: '', name: 'n2' })), "node 'n1' cannot read 'n2', only its own Node object")
  assert.is(why(ask('list', 'nodes', { namespace: '' })), "node 'n1' cannot read all nodes, only its own Node object")
  assert.ok(may(ask('update', 'leases.coordination.k8s.io', { namespace: 'kube-node-lease', name: 'n1' })))
  assert.is(
    why(ask('update', 'leases.coordination.k8s.io', { namespace: 'kube-node-lease', name: 'n2' })),
    'can only access node lease with the same name as the requesting node'
  )
  assert.is(
    why(ask('update', 'leases.coordination.k8s.io', { namespace: 'kube-system', name: 'n1' })),
    'can only access leases in the "kube-node-lease" system namespace'
  )
  assert.is(
    why(ask('list', 'leases.coordination.k8s.io', { namespace: 'kube-node-lease' })),
    'can only get, create, update, patch, or delete a node lease'
  )
  assert.is(why(ask('create', 'serviceaccounts/token', { name: 'default' })), "no relationship found between node 'n1' and this object")
  assert.not.ok(may(ask('get', 'secrets', { name: 's' })))
  assert.not.ok(may(ask('create', 'pods/exec', { name: 'mine' })))
  // Whose object it is that is written only admission can see: it refuses, not the authorizer.
  assert.ok(may(ask('update', 'pods/status', { name: 'theirs' })))
  assert.ok(may(ask('delete', 'pods', { name: 'theirs' })))
  assert.ok(may(ask('update', 'nodes/status', { namespace: '', name: 'n2' })))
  assert.not.ok(may(ask('delete', 'nodes', { namespace: '', name: 'n1' })))
})
nodes.run()

const escalation = suite('nobody')
const granting = (view: Objects, who: UserInfo, object: KubeObject): string => {
  try {
    checkEscalation(view, who, kindOfObject(object), object)
    return 'allowed'
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return `${error.status.code} ${error.message}`
  }
}
const role = (rules: unknown[]): KubeObject => ({ apiVersion: RBAC, kind: 'Role', metadata: { name: 'r', namespace: 'default' }, rules })
escalation('gives away more than they have', () => {
  const view = given(bind('admin', 'bob', 'default'))
  assert.is(granting(view, bob, role([{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }])), 'allowed')
  assert.is(
    granting(view, bob, role([{ verbs: ['get'], apiGroups: [''], resources: ['nodes'] }])),
    '403 roles.rbac.authorization.k8s.io "r" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}'
  )
  assert.match(granting(view, bob, role([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }])), /^403/)
})
escalation('hides a grant behind an empty list of paths, or breaks the check with a rule that has no verbs', () => {
  const view = given(bind('admin', 'bob', 'default'))
  assert.match(granting(view, bob, role([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], nonResourceURLs: [] }])), /^403/)
  assert.match(granting(view, bob, role([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], nonResourceURLs: ['/version'] }])), /^403/)
  assert.is(granting(view, bob, role([{ apiGroups: [''], resources: ['pods'] }])), 'allowed')
})
escalation('binds a role they do not cover, or one that is not there yet', () => {
  const view = given(bind('admin', 'bob', 'default'))
  assert.match(
    granting(view, bob, bind('cluster-admin', 'eve', 'default')),
    /^403 rolebindings.rbac.authorization.k8s.io "cluster-admin-eve" is forbidden/
  )
  assert.is(granting(view, bob, bind('view', 'eve', 'default')), 'allowed')
  assert.is(granting(view, bob, bind('later', 'eve', 'default')), '404 clusterroles.rbac.authorization.k8s.io "later" not found')
  assert.is(granting(view, user('root', 'system:masters'), bind('later', 'eve', 'default')), 'allowed')
})
escalation.run()
