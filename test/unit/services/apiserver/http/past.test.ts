/** The past through the door: its right is asked for at `/at/`, and no other way of naming an old version leads around it. */
import { documentOf } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { LogAway } from '#events/Log.ts'
import type { StreamName } from '#events/Subject.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import { accepted } from '#test/support/api.ts'
import { readAll, startHttp, type TestHttp } from '#test/support/http.ts'

const RBAC = 'rbac.authorization.k8s.io'
const TEAM = '/api/v1/namespaces/team'
const as = (user: string) => ({ headers: { 'impersonate-user': user } })
const json = documentOf

const past = suite('the past through the door')
let http: TestHttp
/** Before the namespace's first tenant left. */
let before = ''
const create = (object: unknown): Promise<unknown> => http.api.create(object as KubeObject).then(accepted)
const secret = (word: string): unknown => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'key', namespace: 'team' },
  data: { word: btoa(word) }
})
const status = async (path: string, user: string): Promise<number> => {
  const response = await http.open(path, as(user))
  response.destroy()
  return response.statusCode ?? 0
}
const sequence = async (): Promise<string> => String(await http.api.logs.EVENTS.lastSequence())

past.before(async () => {
  http = await startHttp()
  await create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } })
  await create({
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name: 'only-now' },
    rules: [{ apiGroups: [''], resources: ['secrets', 'configmaps'], verbs: ['get', 'list', 'watch'] }]
  })
  for (const [name, role] of [
    ['owner', 'admin'],
    ['present', 'only-now']
  ] as const)
    await create({
      apiVersion: `${RBAC}/v1`,
      kind: 'RoleBinding',
      metadata: { name, namespace: 'team' },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: RBAC, kind: 'User', name }]
    })
  await create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'team' }, data: { at: 'first' } })
  await create(secret('old'))
  before = await sequence()
})
past.after(() => http.stop())

past('is for who has the right to it, not for who may read what is there now', async () => {
  for (const path of [`${TEAM}/configmaps/c`, `${TEAM}/configmaps`, `${TEAM}/configmaps?watch=1`]) {
    assert.equal([await status(path, 'present'), await status(path, 'owner')], [200, 200], path)
    assert.equal([await status(`/at/${before}${path}`, 'present'), await status(`/at/${before}${path}`, 'owner')], [403, 200], path)
  }
  const { body } = await http.call('GET', `/at/${before}${TEAM}/configmaps/c`, as('present'))
  assert.match(json(body).message, /cannot history resource "configmaps"/)
})
past('tells nobody without that right what kinds there were, nor looks for them', async () => {
  for (const path of ['/apis/example.com/v1/namespaces/team/widgets', `${TEAM}/nothings`]) {
    assert.equal([await status(`/at/${before}${path}`, 'present'), await status(`/at/${before}${path}`, 'alice')], [403, 404], path)
  }
})
past('of a Secret that is another one now is not shown to the namespace', async () => {
  assert.is(await status(`/at/${before}${TEAM}/secrets/key`, 'owner'), 200)
  assert.is((await http.call('DELETE', `${TEAM}/secrets/key`)).status, 200)
  await create(secret('new'))
  assert.is(await status(`/at/${before}${TEAM}/secrets/key`, 'owner'), 404)
  const list = async (path: string, user: string): Promise<string> =>
    (await http.call('GET', `/at/${before}${TEAM}/${path}`, as(user))).body.toString()
  assert.equal(
    [json(Buffer.from(await list('secrets', 'owner'))).items.length, json(Buffer.from(await list('secrets', 'alice'))).items.length],
    [0, 1]
  )
  const watched = await http.open(`/at/${before}${TEAM}/secrets?watch=1&timeoutSeconds=1`, as('owner'))
  const [told] = await Promise.all([readAll(watched), http.clock.run(1_100)])
  assert.is(told.length, 0)
})
past('is told to a watch that begins with it, up to its bookmark, and not again to one that goes on from a list', async () => {
  const told = async (query: string): Promise<string[]> => {
    const watched = await http.open(`/at/${before}${TEAM}/configmaps?watch=1&timeoutSeconds=1${query}`, as('owner'))
    const [text] = await Promise.all([readAll(watched), http.clock.run(1_100)])
    return text
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
      .map(({ type, object }) => `${type} ${object.metadata.name ?? object.metadata.resourceVersion}`)
  }
  assert.equal(await told(''), ['ADDED c'])
  assert.equal(await told(`&resourceVersion=${before}`), [])
  assert.equal(await told('&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan'), [
    'ADDED c',
    `BOOKMARK ${before}`
  ])
})
past('of lately is read by its versions; what is older is gone but for who sees the whole cluster', async () => {
  const forged = Buffer.from(JSON.stringify({ v: Number(before), k: '', t: 9e12 })).toString('base64url')
  const ways = [
    `${TEAM}/secrets?resourceVersion=${before}&resourceVersionMatch=Exact`,
    `${TEAM}/secrets?continue=${forged}`,
    `${TEAM}/secrets?watch=1&resourceVersion=${before}`
  ]
  for (const path of ways) assert.is(await status(path, 'present'), 200, path)
  await http.clock.run(20 * 60_000)
  await create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'later', namespace: 'team' } })
  for (const path of ways)
    assert.equal([await status(path, 'present'), await status(path, 'owner'), await status(path, 'alice')], [410, 410, 200], path)
})
past("ends where the namespace was another one, whatever a page's token says", async () => {
  const same = await sequence()
  assert.is((await http.call('DELETE', TEAM)).status, 200)
  const going = json((await http.call('GET', TEAM)).body)
  assert.is((await http.call('PUT', `${TEAM}/finalize`, { body: JSON.stringify({ ...going, spec: { finalizers: [] } }) })).status, 200)
  await create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } })
  await create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'new-tenant', namespace: 'team' } })
  const after = await sequence()
  const token = Buffer.from(JSON.stringify({ v: Number(same), k: '', t: 9e12 })).toString('base64url')
  for (const [path, code] of [
    [`/at/${after}${TEAM}/configmaps`, 200],
    [`/at/${same}${TEAM}/configmaps`, 403],
    [`/at/${after}${TEAM}/configmaps?continue=${token}`, 403]
  ] as const)
    assert.equal([await status(path, 'owner'), await status(path, 'alice')], [code, 200], path)
  // Nor do the versions of lately lead to what the tenant before had.
  for (const way of [`resourceVersion=${same}&resourceVersionMatch=Exact`, `continue=${token}`, `watch=1&resourceVersion=${same}`])
    assert.equal(
      [await status(`${TEAM}/configmaps?${way}`, 'present'), await status(`${TEAM}/configmaps?${way}`, 'alice')],
      [410, 200],
      way
    )
  for (const way of [`resourceVersion=${after}&resourceVersionMatch=Exact`, `watch=1&resourceVersion=${after}`])
    assert.is(await status(`${TEAM}/configmaps?${way}`, 'present'), 200, way)
})

past('while the log is away is a matter of time', async () => {
  const { EVENTS } = http.api.logs
  const get = EVENTS.get.bind(EVENTS)
  EVENTS.get = () => Promise.reject(new LogAway('EVENTS does not answer'))
  try {
    const { status: code, body } = await http.call('GET', `/at/${before}/api/v1/namespaces/kube-system`)
    assert.equal([code, json(body).reason], [503, 'ServiceUnavailable'])
  } finally {
    EVENTS.get = get
  }
})
past(
  'that is not indexed yet is a matter of time, and how far it is is said; the present, and what is of lately, wait for nothing',
  async () => {
    const histories = http.api.histories as Map<StreamName, PastIndex>
    const whole = histories.get('EVENTS') as PastIndex
    const now = await sequence()
    const empty = new MemoryPast('EVENTS', http.clock)
    empty.begin('another')
    histories.set('EVENTS', Object.assign(empty, { reaches: () => Promise.resolve(false) }))
    try {
      for (const path of [`/at/${before}${TEAM}/configmaps`, `/at/-1s${TEAM}/configmaps/new-tenant`]) {
        const { status: code, body, headers } = await http.call('GET', path)
        assert.equal(
          [code, json(body).reason, json(body).details?.retryAfterSeconds],
          [503, 'ServiceUnavailable', Number(headers['retry-after'])],
          path
        )
        assert.match(json(body).message, `the history of EVENTS is being indexed, and has come to resourceVersion 0 of`)
      }
      // A version from before what is known is too old, for nobody can say whose it was.
      for (const [path, code] of [
        [`${TEAM}/configmaps`, 200],
        [`${TEAM}/configmaps?watch=1&resourceVersion=${now}`, 200],
        [`${TEAM}/configmaps?resourceVersion=${now}&resourceVersionMatch=Exact`, 200],
        [`${TEAM}/configmaps?watch=1&resourceVersion=${before}`, 410]
      ] as const)
        assert.is(await status(path, 'present'), code, path)
    } finally {
      histories.set('EVENTS', whole)
    }
    assert.is(await status(`/at/${now}${TEAM}/configmaps`, 'alice'), 200)
  }
)
past('of before the keyframe that an index begins with is a matter of time; what came since is told', async () => {
  const histories = http.api.histories as Map<StreamName, PastIndex>
  const whole = histories.get('EVENTS') as MemoryPast
  const begins = Number(await sequence())
  const began = whole.timeOf(begins) as number
  const brief = new MemoryPast('EVENTS', http.clock)
  brief.begin('this')
  brief.seed({ sequence: begins, hash: new Uint8Array(32), time: began, standing: whole.standingAt(begins) })
  histories.set('EVENTS', Object.assign(brief, { filled: 3 }))
  try {
    assert.is(await status(`/at/${begins}${TEAM}/configmaps/new-tenant`, 'alice'), 200)
    for (const path of [`/at/${begins - 1}${TEAM}/configmaps`, `/at/${new Date(began - 1).toISOString()}${TEAM}/configmaps/new-tenant`]) {
      const { status: code, body, headers } = await http.call('GET', path, as('alice'))
      assert.equal(
        [code, json(body).reason, json(body).details?.retryAfterSeconds],
        [503, 'ServiceUnavailable', Number(headers['retry-after'])],
        path
      )
      assert.match(json(body).message, `is being indexed anew, and has come to resourceVersion 3 of ${begins} (`)
      assert.match(json(body).message, `what was before resourceVersion ${begins} (${new Date(began).toISOString()}) can be read soon`)
    }
    // Whose a version of before was is not known yet: it is too old for who may not see the whole past.
    assert.equal(
      [await status(`${TEAM}/configmaps?watch=1&resourceVersion=${before}`, 'present'), await status(`${TEAM}/configmaps`, 'present')],
      [410, 200]
    )
  } finally {
    histories.set('EVENTS', whole)
  }
})
past('of Leases is their last state, and what has changed since is gone', async () => {
  const leases = '/apis/coordination.k8s.io/v1/namespaces/team/leases'
  const lease = (holderIdentity: string): string =>
    JSON.stringify({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'l', namespace: 'team' },
      spec: { holderIdentity }
    })
  assert.is((await http.call('POST', leases, { body: lease('one') })).status, 201)
  await http.clock.run(60_000)
  const moment = async (ago: string): Promise<[number, string]> => {
    const { status: code, body } = await http.call('GET', `/at/${ago}${leases}/l`)
    return [code, code === 200 ? String(json(body).spec['holderIdentity']) : json(body).message]
  }
  assert.equal(await moment('-30s'), [200, 'one'])
  assert.is((await moment('-90s'))[0], 404)
  const { body } = await http.call('GET', `${leases}/l`)
  assert.is(
    (await http.call('PUT', `${leases}/l`, { body: JSON.stringify({ ...json(body), spec: { holderIdentity: 'two' } }) })).status,
    200
  )
  await http.clock.run(10_000)
  assert.equal(await moment('-5s'), [200, 'two'])
  const [code, message] = await moment('-30s')
  assert.is(code, 410)
  assert.match(message, 'leases have no history: of each the last state is kept, and team/l has changed since')
  assert.is((await http.call('GET', `/at/-30s${leases}`)).status, 410)
})
past.run()
