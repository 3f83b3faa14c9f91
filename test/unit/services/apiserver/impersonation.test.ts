/** Acting as somebody else: each part of who one wants to be is a right of its own (upstream's impersonation filter). */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { accepted } from '#test/support/api.ts'
import { startTestServer, type TestServer } from '#test/support/server.ts'

const RBAC = 'rbac.authorization.k8s.io'
const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

const impersonation = suite('impersonation')
let server: TestServer
let token = ''
impersonation.before(async () => {
  server = await startTestServer()
  const create = async (object: unknown): Promise<void> => void accepted(await server.api.create(object as KubeObject))
  await create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'actor', namespace: 'default' } })
  const rules = [
    { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['bob'], verbs: ['impersonate'] },
    { apiGroups: [''], resources: ['users'], resourceNames: ['alice'], verbs: ['impersonate'] },
    { apiGroups: ['authentication.k8s.io'], resources: ['uids'], resourceNames: ['u-1'], verbs: ['impersonate'] },
    { apiGroups: ['authentication.k8s.io'], resources: ['userextras/scopes'], resourceNames: ['view'], verbs: ['impersonate'] }
  ]
  await create({ apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: 'acts' }, rules })
  await create({
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'acts' },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'acts' },
    subjects: [{ kind: 'ServiceAccount', name: 'actor', namespace: 'default' }]
  })
  const { object } = await server.json('POST', '/api/v1/namespaces/default/serviceaccounts/actor/token', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {}
  })
  token = (object['status'] as { token: string }).token
})
impersonation.after(() => server.stop())

const who = async (
  headers: Readonly<Record<string, string | readonly string[]>>
): Promise<{ readonly code: number; readonly user: Record<string, unknown>; readonly message: string }> => {
  const { code, text } = await server.send({
    method: 'POST',
    path: REVIEW,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: '{}'
  })
  const answer = JSON.parse(text) as { status?: { userInfo?: Record<string, unknown> }; message?: string }
  return { code, user: answer.status?.userInfo ?? {}, message: answer.message ?? '' }
}

impersonation('a user, with a uid and extra information, each asked for', async () => {
  const { code, user } = await who({ 'impersonate-user': 'alice', 'impersonate-uid': 'u-1', 'impersonate-extra-scopes': 'view' })
  assert.is(code, 201)
  assert.equal(user, { username: 'alice', uid: 'u-1', groups: ['system:authenticated'], extra: { scopes: ['view'] } })
  for (const [headers, resource] of [
    [{ 'impersonate-uid': 'u-2' }, 'uids'],
    [{ 'impersonate-extra-scopes': 'edit' }, 'userextras/scopes'],
    [{ 'impersonate-extra-other': 'view' }, 'userextras/other'],
    [{ 'impersonate-group': 'system:masters' }, 'groups']
  ] as const) {
    const refused = await who({ 'impersonate-user': 'alice', ...headers })
    assert.is(refused.code, 403)
    assert.match(refused.message, `cannot impersonate resource "${resource}"`)
  }
})

impersonation('what belongs to a user is nothing without one', async () => {
  for (const headers of [{ 'impersonate-uid': 'u-1' }, { 'impersonate-extra-scopes': 'view' }, { 'impersonate-group': 'a' }] as Record<
    string,
    string
  >[])
    assert.is((await who(headers)).code, 403)
})

impersonation('a service account has a namespace and a name, and nothing more', async () => {
  const { code, user } = await who({ 'impersonate-user': 'system:serviceaccount:team:bob' })
  assert.is(code, 201)
  assert.equal(user['groups'], ['system:serviceaccounts', 'system:serviceaccounts:team', 'system:authenticated'])
  for (const name of [
    'system:serviceaccount:team:bob:admin',
    'system:serviceaccount:team:',
    'system:serviceaccount::bob',
    'system:serviceaccount:bob'
  ])
    assert.is((await who({ 'impersonate-user': name })).code, 403, name)
})

impersonation('of two users the first is meant', async () => {
  assert.is((await who({ 'impersonate-user': ['alice', 'kubernetes-admin'] })).user['username'], 'alice')
})
impersonation.run()
