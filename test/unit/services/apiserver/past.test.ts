/** Who may read the past: a right of its own, and only of what is the same thing still. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { UserInfo } from '#events/Intent.ts'
import type { Kind } from '#events/Kind.ts'
import type { LogEntry } from '#events/Log.ts'
import { AUTOUPDATE } from '#events/rbac/bootstrap.ts'
import { Refusal } from '#events/Refusal.ts'
import { authorizePast, otherNamespace, stillThere } from '#services/apiserver/time-travel/authorizePast.ts'
import { bootstrap } from '#services/apiserver/bootstrap.ts'
import { momentOf, pastReader } from '#services/apiserver/time-travel/Reader.ts'
import { Versions } from '#services/apiserver/time-travel/Versions.ts'
import { selectionOf } from '#services/apiserver/verbs/read.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { MemoryPast } from '#services/platform/past/MemoryPast.ts'
import type { PastIndex } from '#services/platform/past/PastIndex.ts'
import type { View } from '#services/platform/View.ts'
import { ADMIN, startTestApi, type TestApi } from '#test/support/api.ts'
import { builtIns } from '#test/support/builtIns.ts'

const past = suite('the right to the past')
const RBAC = 'rbac.authorization.k8s.io'
const SECRETS = { group: '', resource: 'secrets' }
const user = (name: string): UserInfo => ({ username: name, groups: ['system:authenticated'] })
const asked = (resource: string, name = 'key', namespace = 'team') => ({
  verb: 'get',
  group: '',
  resource,
  subresource: '',
  namespace,
  name
})

let api: TestApi
const bind = (kind: 'RoleBinding' | 'ClusterRoleBinding', role: string, who: string): Promise<unknown> =>
  api.create({
    apiVersion: `${RBAC}/v1`,
    kind,
    metadata: { name: `${who}-${role}`, ...(kind === 'RoleBinding' ? { namespace: 'team' } : {}) },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: RBAC, kind: 'User', name: who }]
  })
const namespaceOf = () => api.views.get({ group: '', resource: 'namespaces', namespace: '', name: 'team' })!

past.before(async () => {
  api = await startTestApi()
  await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } })
  await api.create({
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name: 'only-now' },
    rules: [{ apiGroups: [''], resources: ['secrets', 'configmaps'], verbs: ['get', 'list'] }]
  } as never)
  for (const [who, role] of [
    ['viewer', 'view'],
    ['editor', 'edit'],
    ['owner', 'admin'],
    ['present', 'only-now']
  ] as const)
    await bind('RoleBinding', role, who)
  await bind('ClusterRoleBinding', 'view', 'auditor')
  await api.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key', namespace: 'team' }, data: {} })
})

const may = (who: UserInfo, resource: string): boolean => {
  try {
    authorizePast(api.views, who, asked(resource))
    return true
  } catch (error) {
    assert.instance(error, Refusal)
    assert.is((error as Refusal).status.code, 403)
    return false
  }
}

past('is had by who has it in a role: viewers for what they see, of Secrets only administrators of the namespace', () => {
  for (const [who, configmaps, secrets] of [
    ['viewer', true, false],
    ['editor', true, false],
    ['owner', true, true],
    ['present', false, false],
    ['nobody', false, false],
    ['auditor', true, false]
  ] as const)
    assert.equal([who, may(user(who), 'configmaps'), may(user(who), 'secrets')], [who, configmaps, secrets])
  assert.ok(may(ADMIN, 'secrets'))
})
past('ends where a namespace was another one, but for who sees the whole cluster', () => {
  const now = namespaceOf()
  const another = { object: { ...now.object, metadata: { ...now.object.metadata, uid: 'another' } } } as typeof now
  const [owner, auditor] = [user('owner'), user('auditor')].map((who) => authorizePast(api.views, who, asked('configmaps')))
  assert.equal([owner?.wholeCluster, auditor?.wholeCluster], [false, true])
  assert.is(otherNamespace(api.views, owner!, asked('configmaps'), now), undefined)
  for (const then of [another, undefined]) {
    assert.is(otherNamespace(api.views, owner!, asked('configmaps'), then)?.status.code, 403)
    assert.is(otherNamespace(api.views, auditor!, asked('configmaps'), then), undefined)
  }
})
past('of a Secret that was deleted, or is another one now, is shown to nobody in the namespace', () => {
  const entry = api.views.get({ ...SECRETS, namespace: 'team', name: 'key' })!
  const old = { key: entry.key, object: { ...entry.object, metadata: { ...entry.object.metadata, uid: 'old' } } } as typeof entry
  assert.equal(
    [
      stillThere(api.views, { wholeCluster: false }, entry),
      stillThere(api.views, { wholeCluster: false }, old),
      stillThere(api.views, { wholeCluster: true }, old)
    ],
    [true, false, true]
  )
})
past('what a newer version grants is added to the stored roles at a start, what somebody added stays, and a no is heard', async () => {
  const ref = { group: RBAC, resource: 'clusterroles' }
  const patch = (name: string, body: unknown) =>
    api.submit({ verb: 'patch', ref, name, patch: { type: 'application/merge-patch+json', body } })
  await patch('view', { rules: [{ apiGroups: ['example.com'], resources: ['things'], verbs: ['get'] }] })
  await patch('edit', { metadata: { annotations: { [AUTOUPDATE]: 'false' } }, rules: [] })
  await bootstrap({
    views: api.views,
    decider: api.decider,
    clock: systemClock,
    apiAddress: '10.244.0.1',
    apiPort: 6443,
    serviceCIDR: '10.96.0.0/16',
    kubernetesIP: '10.96.0.1',
    dnsIP: '10.96.0.10',
    dnsAddress: '10.244.0.1',
    dnsPort: 10053
  })
  const rules = (name: string) =>
    (api.get({ apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', name })?.['rules'] ?? []) as { resources: string[]; verbs: string[] }[]
  assert.ok(rules('view').some(({ resources }) => resources.includes('things')))
  assert.ok(rules('view').some(({ resources, verbs }) => resources.includes('pods') && verbs.includes('history')))
  assert.equal(rules('edit'), [])
})
past('is not what is to come, and not what was compacted before or while it is read', async () => {
  const status = async (asked: () => unknown): Promise<string> => {
    try {
      await asked()
      return 'answered'
    } catch (error) {
      return error instanceof Refusal ? `${error.status.code} ${error.status.reason}` : String(error)
    }
  }
  const last = await api.logs.EVENTS.lastSequence()
  const index = new MemoryPast('EVENTS', systemClock)
  index.take([], { sequence: last })
  const state = { views: api.views, histories: new Map([['EVENTS' as const, index]]), versions: new Versions() }
  const now = Date.parse('2030-01-01T00:00:00Z')
  for (const text of ['2030-01-01T00:00:01Z', String(last + 1)])
    assert.is(await status(() => momentOf(text, state, now)), '400 BadRequest', text)
  const reader = pastReader(state, new Map([['EVENTS', last - 1]]), 0)
  assert.is(await status(() => reader.get(SECRETS, 'team', 'none')), 'answered')
  index.liveAt = () => {
    index.raise(last, 0)
    return []
  }
  assert.is(await status(() => reader.list(SECRETS, 'team')), '410 Expired', 'while the list was made')
  assert.is(await status(() => reader.get(SECRETS, 'team', 'none')), '410 Expired')
})
past('that an index no longer tells while it is asked is not taken for what was not there', async () => {
  const last = await api.logs.EVENTS.lastSequence()
  /** Begun anew by the first question. */
  class Lost extends MemoryPast {
    override versionAt(): undefined {
      this.clear()
    }
    override liveAt(): readonly [] {
      this.clear()
      return []
    }
  }
  const read = () => {
    const index = new Lost('EVENTS', systemClock)
    index.take([], { sequence: last })
    return pastReader(
      { views: api.views, histories: new Map([['EVENTS', index]]), versions: new Versions() },
      new Map([['EVENTS', last]]),
      0
    )
  }
  for (const answer of [read().get(SECRETS, 'team', 'key'), read().list(SECRETS, 'team')]) {
    const error = await Promise.resolve(answer).then(
      () => undefined,
      (thrown: unknown) => thrown
    )
    assert.is((error as Refusal | undefined)?.status.code, 503)
  }
})
past('is read from beside the index where it is, sealed as in the log, and only what a selector may want', async () => {
  const last = await api.logs.EVENTS.lastSequence()
  const view = api.views.of(SECRETS)
  const all = await api.logs.EVENTS.read({ from: 1, to: last })[Symbol.asyncIterator]().next()
  const stored = (all.value as readonly LogEntry[]).find(({ subject }) => subject.includes('.clusterroles.')) as LogEntry
  let [asked, narrowed] = [0, 0]
  const log = Object.create(view.log, {
    get: { value: (sequence: number) => ((asked += 1), api.logs.EVENTS.get(sequence)) }
  }) as typeof view.log
  const beside = { stream: view.stream, log, versionOf: (entry: LogEntry) => view.versionOf(entry) } as unknown as View
  const at = (entry: LogEntry): Versions => {
    const index = new MemoryPast('EVENTS', systemClock)
    return new Versions(new Map([['EVENTS', Object.assign(index, { entryAt: () => entry })]]))
  }
  const found = at(stored).read(beside, stored.sequence, stored.subject)
  if (found instanceof Promise) throw new Error('nobody waits for what is at hand')
  assert.is(asked, 0)
  const { text } = await new Versions().read(beside, stored.sequence)
  assert.equal([found.text, asked], [text, 1])
  // What is of another object, or not sealed by us, is read from the log.
  asked = 0
  const other = { ...stored, subject: 'ev.core.pods.a.b' }
  assert.is((await at(other).read(beside, stored.sequence, stored.subject)).text, text)
  const sealed = { ...beside, versionOf: (entry: LogEntry) => (entry.text === stored.text ? view.versionOf(entry) : undefined) } as View
  assert.is((await at({ ...stored, text: '{}' }).read(sealed, stored.sequence, stored.subject)).text, text)
  assert.is(asked, 2)
  const error = await Promise.resolve(at(stored).read(beside, stored.sequence, 'ev.core.pods.a.b')).catch(String)
  assert.match(String(error), /the index of the past is not right/)
  const index = new MemoryPast('EVENTS', systemClock)
  index.take([], { sequence: last })
  const liveAt: PastIndex['liveAt'] = (_ref, _sequence, _namespace, narrow) => {
    narrowed += [{}, { labels: { a: 'b' } }, { labels: { a: 'c' } }, { fields: { type: 'x' } }].filter((one) => narrow?.(one)).length
    return []
  }
  Object.assign(index, { liveAt })
  const kind = builtIns.kindOf(SECRETS) as Kind
  const state = { views: api.views, histories: new Map([['EVENTS' as const, index]]), versions: new Versions() }
  for (const [query, passing] of [
    ['labelSelector=a%3Db', 3],
    ['labelSelector=!a', 2],
    ['fieldSelector=type%3Dy', 3],
    ['fieldSelector=type!%3Dy', 4],
    ['', 0]
  ] as const) {
    narrowed = 0
    const selection = selectionOf(kind, new URLSearchParams(query), '')
    await pastReader(state, new Map([['EVENTS', last]]), 0).list(SECRETS, 'team', selection.narrow)
    assert.is(narrowed, passing, query)
  }
})
past('is told of from its floor on: of a moment before, that it was compacted, whoever has heard of that first', async () => {
  const words = async (asked: () => unknown): Promise<string> => {
    try {
      await asked()
      return 'answered'
    } catch (error) {
      return error instanceof Refusal ? `${error.status.code} ${error.status.reason} ${error.status.message}` : String(error)
    }
  }
  const log = api.logs.EVENTS
  const last = await log.lastSequence()
  const floor = last - 2
  const at = Date.parse((await log.get(floor))?.headers['ce-time'] as string)
  const now = at + 3_600_000
  const textOf = (time: number): string => new Date(time).toISOString()
  const entry = (sequence: number, time: number) => ({
    event: true,
    entry: { subject: `ev.core.configmaps.team.c${sequence}`, sequence, text: '', time, headers: { 'ce-time': textOf(time) } }
  })
  /** By the index, then by the view as well, then by the view alone, which hears of it first. */
  for (const [byIndex, byView] of [
    [true, false],
    [true, true],
    [false, true]
  ] as const) {
    const index = new MemoryPast('EVENTS', systemClock)
    index.take([entry(floor - 1, at - 5_000), entry(floor, at), entry(last, now)], { sequence: last })
    if (byIndex) index.raise(floor, at)
    if (byView) log.raiseFloor(floor)
    await api.views.byStream.get('EVENTS')?.look()
    const state = { views: api.views, histories: new Map([['EVENTS' as const, index]]), versions: new Versions() }
    const gone = `410 Expired history up to resourceVersion ${floor} (${textOf(at)}) was compacted`
    for (const text of [String(floor - 1), '1', textOf(at - 1), '2025-01-01', '-60m1s'])
      assert.ok((await words(() => momentOf(text, state, now))).startsWith(gone), text)
    for (const text of [String(floor), String(last), textOf(at), '-59m59s'])
      assert.is(await words(() => momentOf(text, state, now)), 'answered', text)
    const reader = (sequence: number) => pastReader(state, new Map([['EVENTS', sequence]]), 0)
    assert.ok((await words(() => reader(floor - 1).get(SECRETS, 'team', 'none'))).startsWith(gone))
    assert.ok((await words(() => reader(floor - 1).list(SECRETS, 'team'))).startsWith(gone))
    assert.is(await words(() => reader(floor).get(SECRETS, 'team', 'none')), 'answered')
  }
})
past.run()
