/** Three megabytes made to be expensive: each answer is small, and the server, which decides on one thread, is back at once. */
import { at, setAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestServer, type TestServer } from '#test/support/server.ts'

const N = '/api/v1/namespaces/default'
const MAPS = `${N}/configmaps`
const YAML = 'application/yaml'
const APPLY = 'application/apply-patch+yaml'

const costly = suite('costly bodies')
let server: TestServer
costly.before(async () => {
  server = await startTestServer()
})
costly.after(() => server.stop())

const repeated = (text: string, count: number): string => Array(count).fill(text).join(',')
const numbered = (count: number, text: (at: number) => string): string => Array.from({ length: count }, (_, at) => text(at)).join(',')
const TOO_MANY = /more than 100000 list items and map entries$/
const PODS = `${N}/pods`
const pod = (spec: string, more = ''): string => `{"metadata":{"name":"costly"${more}},"spec":{${spec}}}`

const COSTLY: readonly (readonly [what: string, path: string, body: string, code: number, message: RegExp, contentType?: string])[] = [
  ['a million containers', PODS, pod(`"containers":[${repeated('{}', 900_000)}]`), 400, TOO_MANY],
  ['twenty thousand containers', PODS, pod(`"containers":[${repeated('{}', 20_000)}]`), 422, /and \d{5,} more\]$/],
  ['a million owners', MAPS, `{"metadata":{"name":"a","ownerReferences":[${repeated('{}', 900_000)}]}}`, 400, TOO_MANY],
  [
    'owners that all control',
    MAPS,
    `{"metadata":{"name":"a","ownerReferences":[${repeated('{"apiVersion":"v1","kind":"K","name":"n","uid":"u","controller":true}', 20_000)}]}}`,
    422,
    /and \d+ more\]$/
  ],
  ['a million ports', `${N}/services`, `{"metadata":{"name":"a"},"spec":{"ports":[${repeated('{}', 900_000)}]}}`, 400, TOO_MANY],
  ['many field owners', MAPS, `{"metadata":{"name":"a","managedFields":[${repeated('{}', 900_000)}]}}`, 400, TOO_MANY],
  [
    'free JSON without end',
    MAPS,
    `{"metadata":{"name":"a","managedFields":[{"fieldsV1":{${numbered(150_000, (at) => `"f:${at}":{}`)}}}]}}`,
    400,
    TOO_MANY
  ],
  ['a name of megabytes', MAPS, `{"metadata":{"name":"${'a.'.repeat(1_400_000)}"}}`, 422, /must be no more than 253 bytes/],
  ['a label of megabytes', MAPS, `{"metadata":{"name":"a","labels":{"${'a-'.repeat(1_400_000)}":"x"}}}`, 422, /metadata\.labels/],
  ['a time of megabytes', MAPS, `{"metadata":{"name":"a","creationTimestamp":"${'2'.repeat(2_900_000)}"}}`, 400, /parsing time/],
  [
    'duplicates below a key of megabytes',
    `${MAPS}?fieldValidation=Strict`,
    `{"${'k'.repeat(2_000_000)}":{${numbered(200, (at) => `"a${at % 100}":1`)}}}`,
    400,
    /duplicate field/
  ],
  [
    'more than the log takes',
    PODS,
    pod(`"containers":[{"name":"a","image":"a","args":["${'x'.repeat(2_500_000)}"]}]`),
    413,
    /^Request entity too large: an object may have 2097152 bytes$/
  ],
  ['a list in YAML', MAPS, `a: [${'x,'.repeat(1_400_000)}]`, 422, /name or generateName is required/, YAML],
  ['keys in YAML', MAPS, Array.from({ length: 150_000 }, (_, at) => `k${at}: v`).join('\n'), 422, /name or generateName is required/, YAML]
]
for (const [what, path, body, code, message, contentType = 'application/json'] of COSTLY)
  costly(what, async () => {
    const began = performance.now()
    const answer = await server.send({ method: 'POST', path, headers: { 'content-type': contentType }, body }, 60_000)
    assert.is(answer.code, code, answer.text.slice(0, 300))
    assert.match((JSON.parse(answer.text) as { message: string }).message, message)
    assert.ok(answer.text.length < 400_000, `the answer has ${answer.text.length} bytes`)
    assert.ok(performance.now() - began < 5_000, `it took ${Math.round(performance.now() - began)} ms`)
    assert.equal(server.errors, [])
  })
costly('patches and updates of long lists take no square of them', async () => {
  const tolerations = (order: (at: number) => number): string => numbered(15_000, (at) => `{"key":"k${order(at)}","operator":"Exists"}`)
  const send = async (method: string, path: string, body: string, contentType = 'application/json'): Promise<void> => {
    const began = performance.now()
    const { code, text } = await server.send({ method, path, headers: { 'content-type': contentType }, body }, 60_000)
    assert.ok(code < 300, text.slice(0, 300))
    assert.ok(performance.now() - began < 5_000, `${method} ${path} took ${Math.round(performance.now() - began)} ms`)
  }
  await send('POST', PODS, pod(`"containers":[{"name":"a","image":"a"}],"tolerations":[${tolerations((at) => at)}]`))
  const { object } = await server.json('GET', `${PODS}/costly`)
  setAt(object, 'spec.tolerations', (at(object, 'spec.tolerations') as unknown[]).toReversed())
  await send('PUT', `${PODS}/costly`, JSON.stringify(object))
  await send('POST', MAPS, '{"metadata":{"name":"costly"}}')
  const owners = (prefix: string): string =>
    `{"metadata":{"ownerReferences":[${numbered(8_000, (at) => `{"apiVersion":"v1","kind":"K","name":"n","uid":"${prefix}${at}"}`)}]}}`
  for (const prefix of ['a', 'b']) await send('PATCH', `${MAPS}/costly`, owners(prefix), 'application/strategic-merge-patch+json')
  const finalizers = (prefix: string): string => `{"metadata":{"finalizers":[${numbered(8_000, (at) => `"example.com/${prefix}${at}"`)}]}}`
  await send('POST', MAPS, '{"metadata":{"name":"held"}}')
  for (const prefix of ['a', 'b']) await send('PATCH', `${MAPS}/held`, finalizers(prefix), 'application/strategic-merge-patch+json')
  for (const manager of ['x', 'y'])
    await send(
      'PATCH',
      `${MAPS}/held?fieldManager=${manager}&force=true`,
      `{"apiVersion":"v1","kind":"ConfigMap",${finalizers(manager).slice(1)}`.replace('"metadata":{', '"metadata":{"name":"held",'),
      APPLY
    )
})
costly('rules that name a billion permissions are not looked at one by one', async () => {
  const edit = { 'impersonate-user': 'owner' }
  await server.json('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
    metadata: { name: 'owner' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'owner' }]
  })
  const role = async (verbs: readonly string[], resources: readonly string[]): Promise<readonly [number, string]> => {
    const began = performance.now()
    const { code, text } = await server.send({
      method: 'POST',
      path: '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles?dryRun=All',
      headers: { 'content-type': 'application/json', ...edit },
      body: JSON.stringify({ metadata: { name: 'r' }, rules: [{ apiGroups: ['', ...Array(2_000).fill('')], resources, verbs }] })
    })
    assert.ok(performance.now() - began < 5_000)
    return [code, (JSON.parse(text) as { message?: string }).message ?? '']
  }
  assert.is((await role(Array(2_000).fill('get'), Array(2_000).fill('pods')))[0], 201, 'what is said twice counts once')
  const [code, message] = await role(
    Array.from({ length: 1_000 }, (_, at) => `v${at}`),
    Array.from({ length: 1_000 }, (_, at) => `r${at}`)
  )
  assert.is(code, 422)
  assert.match(message, /may not name more than 100000 combinations/)
})
costly.run()
