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
/** Who changes an object may say who owns its fields, and what is said is read again with every change. */
const owner = (at: number, fields: string, operation = 'Apply', apiVersion = 'v1'): string =>
  `{"manager":"m${at}","operation":"${operation}","apiVersion":"${apiVersion}","fieldsType":"FieldsV1","time":"2026-01-01T00:00:00Z","fieldsV1":{"f:data":{${fields}}}}`
const OWNED: readonly (readonly [what: string, entries: string])[] = [
  [
    'five thousand managers with fields of their own',
    numbered(5_000, (at) =>
      owner(
        at,
        numbered(8, (field) => `"f:k${at}-${field}":{}`)
      )
    )
  ],
  ['twelve thousand managers of one field', numbered(12_000, (at) => owner(at, '"f:a":{}'))],
  ['ten thousand updaters', numbered(10_000, (at) => owner(at, `"f:a${at}":{}`, 'Update'))],
  ['updaters of thousands of versions', numbered(9_000, (at) => owner(at, '"f:a":{}', 'Update', `v${at >> 1}`))],
  [
    'forty thousand keys',
    owner(
      0,
      numbered(40_000, (at) => `"k:{\\"a\\":\\"${(at * 7_919) % 40_000}\\",\\"b\\":1}":{}`)
    )
  ]
]
for (const [at, [what, entries]] of OWNED.entries())
  costly(`${what}, in what is said of the owners`, async () => {
    const [path, name] = [`${MAPS}/owned-${at}`, `"name":"owned-${at}"`]
    const send = async (method: string, to: string, body: string, contentType: string): Promise<void> => {
      const began = performance.now()
      const { code, text } = await server.send({ method, path: to, headers: { 'content-type': contentType }, body }, 120_000)
      assert.ok(code < 300, text.slice(0, 300))
      assert.ok(performance.now() - began < 2_500, `${method} ${to} took ${Math.round(performance.now() - began)} ms`)
      assert.equal(server.errors, [])
    }
    const applied = (data: string): string => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{${name}},"data":{${data}}}`
    await send('POST', MAPS, `{"metadata":{${name}}}`, 'application/json')
    await send('PUT', path, `{"metadata":{${name},"managedFields":[${entries}]},"data":{"a":"1"}}`, 'application/json')
    await send('PATCH', path, '{"metadata":{"labels":{"a":"b"}}}', 'application/merge-patch+json')
    await send('PATCH', `${path}?fieldManager=z&force=true`, applied('"a":"2","b":"3"'), APPLY)
    await send('PATCH', `${path}?fieldManager=z&force=true`, applied('"b":"3"'), APPLY)
  })
costly('a JSON patch that pushes a long list along with each of its operations', async () => {
  const finalizers = numbered(40_000, (at) => `"example.com/${at}"`)
  const { code } = await server.send({
    method: 'POST',
    path: MAPS,
    headers: { 'content-type': 'application/json' },
    body: `{"metadata":{"name":"pushed","finalizers":[${finalizers}]}}`
  })
  assert.is(code, 201)
  const patch = async (count: number, operation: string): Promise<readonly [code: number, text: string]> => {
    const began = performance.now()
    const answer = await server.send(
      {
        method: 'PATCH',
        path: `${MAPS}/pushed?dryRun=All`,
        headers: { 'content-type': 'application/json-patch+json' },
        body: `[${repeated(operation, count)}]`
      },
      60_000
    )
    assert.ok(performance.now() - began < 2_500, `it took ${Math.round(performance.now() - began)} ms`)
    return [answer.code, answer.text]
  }
  for (const operation of [
    '{"op":"remove","path":"/metadata/finalizers/0"}',
    '{"op":"add","path":"/metadata/finalizers/0","value":"example.com/x"}',
    '{"op":"move","from":"/metadata/finalizers/0","path":"/metadata/finalizers/39999"}',
    '{"op":"copy","from":"/metadata/finalizers/1","path":"/metadata/finalizers/0"}'
  ]) {
    const [refused, text] = await patch(10_000, operation)
    assert.is(refused, 422, text.slice(0, 200))
    assert.match(text, /pushes more than 50000000 list items along/)
  }
  assert.is((await patch(1_000, '{"op":"remove","path":"/metadata/finalizers/0"}'))[0], 200)
  assert.is((await patch(10_000, '{"op":"add","path":"/metadata/finalizers/-","value":"example.com/0"}'))[0], 200)
})
costly.run()
