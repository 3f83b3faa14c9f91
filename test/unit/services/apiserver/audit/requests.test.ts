/** What of HTTP's requests reaches the audit trail, and what does not: what was done is in the log itself. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { audited } from '#services/apiserver/audit/audited.ts'
import type { Answered, Asked } from '#services/apiserver/audit/record.ts'
import { accepted, ADMIN } from '#test/support/api.ts'
import { startHttp, type AuditRecord, type TestHttp } from '#test/support/http.ts'

const NS = '/api/v1/namespaces/default'
const map = (name: string): string => JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })
const JSON_BODY = { 'content-type': 'application/json' }

const requests = suite('requests in the audit trail')
let http: TestHttp
requests.before(async () => {
  http = await startHttp({}, { exec: () => Promise.reject(new Error('no agent')) })
  accepted(
    await http.api.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', namespace: 'default' },
      data: { word: btoa('hush') }
    } as unknown as KubeObject)
  )
  accepted(
    await http.api.create({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: 'strict',
        labels: { 'pod-security.kubernetes.io/enforce': 'privileged', 'pod-security.kubernetes.io/audit': 'restricted' }
      }
    })
  )
  accepted(await http.api.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'strict' } }))
})
requests.after(() => http.stop())

/** What a request left in the trail. A record comes when the connection's side of the answer is over, which is after the client has it. */
const records = async (
  method: string,
  path: string,
  asked: Parameters<TestHttp['call']>[2] = {}
): Promise<{ readonly status: number; readonly id: string; readonly left: readonly AuditRecord[] }> => {
  const from = http.records.length
  const { status, headers } = await http.call(method, path, asked)
  // The next answer on the same connection comes after this one's end.
  await http.call('GET', '/version')
  await new Promise((resolve) => setImmediate(resolve))
  return { status, id: String(headers['audit-id']), left: http.records.slice(from) }
}

for (const [what, method, path, body, code] of [
  ['a read', 'GET', `${NS}/configmaps`, undefined, 200],
  ['one that finds nothing', 'GET', `${NS}/configmaps/none`, undefined, 404],
  ['a write that was done', 'POST', `${NS}/configmaps`, map('done'), 201],
  ['a document', 'GET', '/openapi/v2', undefined, 200]
] as const)
  requests(`${what} is not recorded`, async () => {
    const { status, left } = await records(method, path, { ...(body === undefined ? {} : { body, headers: JSON_BODY }) })
    assert.is(status, code)
    assert.equal(left, [])
  })

for (const [what, method, path, body, code, verb] of [
  ['one Secret', 'GET', `${NS}/secrets/key`, undefined, 200, 'get'],
  ['all Secrets', 'GET', '/api/v1/secrets', undefined, 200, 'list'],
  ['a Secret of the past', 'GET', `/at/-0s${NS}/secrets`, undefined, 200, 'list'],
  ['a Secret that is not there', 'GET', `${NS}/secrets/none`, undefined, 404, 'get'],
  [
    'a token',
    'POST',
    `${NS}/serviceaccounts/default/token`,
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":[]}}',
    201,
    'create'
  ],
  ['a write that is refused', 'POST', `${NS}/configmaps`, map('not a name'), 422, 'create'],
  ['a conflict', 'POST', `${NS}/secrets`, JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' } }), 409, 'create'],
  ['deleting what is not there', 'DELETE', `${NS}/configmaps/none`, undefined, 404, 'delete'],
  ['deleting many, refused', 'DELETE', `${NS}/services?propagationPolicy=None`, undefined, 422, 'deletecollection']
] as const)
  requests(`${what} is recorded once, without a body`, async () => {
    const { status, id, left } = await records(method, path, { ...(body === undefined ? {} : { body, headers: JSON_BODY }) })
    assert.is(status, code)
    assert.is(left.length, 1, JSON.stringify(left))
    const [record] = left as [AuditRecord]
    assert.equal(
      [record.auditID, record.verb, record.requestURI, record.responseStatus.code, record.stage],
      [id, verb, path, code, 'ResponseComplete']
    )
    assert.is(record.user.username, 'kubernetes-admin')
    assert.not.match(JSON.stringify(record), /hush|aHVzaA/)
  })

requests('of a Secret that can not be read no piece is recorded', async () => {
  const { status, left } = await records('POST', `${NS}/secrets`, {
    body: '{"apiVersion":"v1","kind":"Secret","data":{"a":hush}}',
    headers: JSON_BODY
  })
  assert.is(status, 400)
  assert.equal([left.length, left[0]?.responseStatus.code, left[0]?.responseStatus.reason], [1, 400, 'BadRequest'])
  assert.not.match(JSON.stringify(left), 'hush')
})

requests('who may not is recorded with why', async () => {
  const { left } = await records('DELETE', `${NS}/secrets/key`, { headers: { 'impersonate-user': 'mallory' } })
  assert.is(left.length, 1)
  assert.equal(
    [left[0]?.user.username, left[0]?.impersonatedUser?.username, left[0]?.responseStatus.code, left[0]?.responseStatus.reason],
    ['kubernetes-admin', 'mallory', 403, 'Forbidden']
  )
  assert.match(left[0]?.responseStatus.message ?? '', 'User "mallory" cannot delete resource "secrets"')
})

requests('a watch is recorded as one, however it is asked for', async () => {
  for (const path of [
    `${NS}/secrets?watch=true`,
    `${NS}/secrets?watch=yes`,
    '/api/v1/watch/secrets',
    '/api/v1/watch/namespaces/default/secrets/key',
    `${NS}/secrets/key?watch=1`
  ]) {
    const { status, left } = await records('GET', path, { headers: { 'impersonate-user': 'mallory' } })
    assert.is(status, 403)
    assert.equal(
      [left[0]?.verb, left[0]?.responseStatus.message?.split(' in ')[0]],
      ['watch', 'secrets is forbidden: User "mallory" cannot watch resource "secrets"'].map((text) =>
        path.includes('/key') ? text.replace('secrets is', 'secrets "key" is') : text
      ),
      path
    )
  }
  assert.is((await records('GET', `${NS}/secrets?watch=false`)).left[0]?.verb, 'list')
})

requests('acting as somebody else is recorded, allowed or not, with who it was', async () => {
  const allowed = await records('GET', `${NS}/configmaps`, { headers: { 'impersonate-user': 'alice' } })
  assert.is(allowed.status, 200)
  assert.is(allowed.left[0]?.impersonatedUser?.username, 'alice')
  const refused = await records('GET', `${NS}/configmaps`, { user: 'bob', headers: { 'impersonate-group': 'system:masters' } })
  assert.is(refused.status, 403)
  assert.is(refused.left.at(-1)?.user.username, 'bob')
})

requests('a failed login is recorded, with what was asked for', async () => {
  const { status, left } = await records('GET', `${NS}/secrets/key`, { headers: { authorization: 'Bearer forged' } })
  assert.is(status, 401)
  assert.is(left.length, 1)
  assert.equal([left[0]?.user, left[0]?.objectRef?.resource, left[0]?.responseStatus.code], [{}, 'secrets', 401])
  assert.not.match(JSON.stringify(left[0]), 'forged')
})

requests('a watch of Secrets is recorded when it begins, and when it ends', async () => {
  const from = http.records.length
  const response = await http.open(`${NS}/secrets?watch=1`)
  assert.equal(
    http.records.slice(from).map(({ stage, verb }) => [stage, verb]),
    [['ResponseStarted', 'watch']]
  )
  response.destroy()
  for (let tries = 0; tries < 100 && http.records.length < from + 2; tries++) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(
    http.records.slice(from).map(({ stage }) => stage),
    ['ResponseStarted', 'ResponseComplete']
  )
})

requests('what Pod Security notes of an allowed pod reaches the trail, and not the client', async () => {
  const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } })
  const { status, left } = await records('POST', '/api/v1/namespaces/strict/pods', { body: pod, headers: JSON_BODY })
  assert.is(status, 201)
  assert.match(left[0]?.annotations?.['pod-security.kubernetes.io/audit-violations'] ?? '', /would violate PodSecurity "restricted:latest"/)
})

requests('a pod that is allowed under a policy is an event, and no record; a refused one is recorded by its name', async () => {
  const pod = (name: string, more: object = {}): string =>
    JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }], ...more } })
  const fine = await records('POST', `${NS}/pods`, { body: pod('fine'), headers: JSON_BODY })
  assert.equal([fine.status, fine.left], [201, []])
  const bad = await records('POST', `${NS}/pods`, { body: pod('bad', { restartPolicy: 'Sometimes' }), headers: JSON_BODY })
  assert.equal([bad.status, bad.left[0]?.objectRef?.name], [422, 'bad'])
})

requests('exec that is refused is recorded as a create', async () => {
  const { status, left } = await records('GET', `${NS}/pods/none/exec?command=id`)
  assert.ok(status >= 400)
  assert.equal([left[0]?.verb, left[0]?.objectRef?.subresource], ['create', 'exec'])
})

requests('what comes over NATS is recorded by its intent', async () => {
  const told: { readonly asked: Asked; readonly answered: Answered }[] = []
  const decider = audited(http.api.decider, { record: (asked, answered) => void told.push({ asked, answered }) }, http.clock)
  const intent = {
    id: 'x1',
    verb: 'create',
    ref: { group: '', resource: 'configmaps' },
    version: 'v1',
    namespace: 'default',
    name: 'over-nats',
    object: JSON.parse(map('over-nats')) as KubeObject,
    source: 'reckon',
    command: 'reckon apply'
  } as const
  assert.is((await decider.submit(intent, { username: 'nobody', groups: [] })).ok, false)
  assert.is((await decider.submit({ ...intent, id: 'x2' }, ADMIN)).ok, true)
  assert.equal(
    told.map(({ asked, answered }) => [asked.id, asked.user?.username, asked.userAgent, answered.status.code]),
    [['x1', 'nobody', 'reckon apply', 403]]
  )
  assert.equal(told[0]?.answered.annotations?.['reckon.io/intent'], 'x1')
})
requests.run()
