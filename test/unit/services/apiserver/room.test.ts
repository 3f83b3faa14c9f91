/** What is refused when the log's disk is short of room, what is let through, and what the cluster is told. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { refusalFor, type Growth, type Shortage } from '#services/apiserver/room/decide.ts'
import { CONDITION, tell } from '#services/apiserver/room/tell.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { ROOMS, thresholdsOf, wordsOf, type Room } from '#services/platform/disk/decide.ts'
import { accepted, ADMIN, refused, startTestApi } from '#test/support/api.ts'

const room = suite('short of room')

const of = (verb: Intent['verb'], resource: string, subresource = '', group = ''): Intent => ({
  id: 'x',
  verb,
  ref: { group, resource },
  version: 'v1',
  namespace: 'default',
  name: 'a',
  subresource,
  source: 'test'
})
const MADE: Growth = { before: 0, after: 500, going: false }
const SAME: Growth = { before: 500, after: 510, going: false }
const GROWN: Growth = { before: 500, after: 5_000, going: false }
const GOING: Growth = { before: 500, after: 400, going: true }

/** The first step that refuses it. */
const until = (intent: Intent, growth: Growth, user = ADMIN): Room | undefined =>
  ROOMS.find((one) => refusalFor({ room: one, words: 'w' }, intent, user, growth) !== undefined)

room('creates first, then changes, and deletes last of all', () => {
  for (const [what, intent, growth, step] of [
    ['a pod is made', of('create', 'pods'), MADE, 'no-creates'],
    ['a deployment is made by apply', of('patch', 'deployments', '', 'apps'), MADE, 'no-creates'],
    ['a secret grows', of('update', 'secrets'), GROWN, 'no-creates'],
    ['a notice', of('create', 'events'), MADE, 'no-creates'],
    ['a notice is counted', of('patch', 'events'), SAME, 'no-creates'],
    ['a label', of('patch', 'pods'), SAME, 'deletes-only'],
    ['scaled', of('update', 'deployments', 'scale', 'apps'), SAME, 'deletes-only'],
    ['deleted', of('delete', 'pods'), GROWN, 'none'],
    ['a finalizer is taken from what goes', of('patch', 'pods'), GOING, 'none'],
    ['a namespace is finalized', of('update', 'namespaces', 'finalize'), SAME, 'none'],
    ['a status', of('update', 'pods', 'status'), GROWN, 'none'],
    ['a binding', of('create', 'pods', 'binding'), GROWN, 'none'],
    ['an eviction', of('create', 'pods', 'eviction'), SAME, 'none'],
    ['a new node', of('create', 'nodes'), MADE, 'none'],
    ['a taint', of('patch', 'nodes'), SAME, 'none'],
    ['a lease', of('update', 'leases', '', 'coordination.k8s.io'), SAME, 'none'],
    ['an endpoint that is gone', of('update', 'endpointslices', '', 'discovery.k8s.io'), SAME, 'none']
  ] as const)
    assert.is(until(intent, growth), step, what)
  assert.is(until(of('create', 'events'), MADE, { username: 'system:apiserver', groups: [] }), 'none')
})

room('who keeps nothing running does not write on under the names of what does', () => {
  const tenant = {
    username: 'system:serviceaccount:shop:ci',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated']
  }
  const controller = {
    username: 'system:serviceaccount:kube-system:endpoint-controller',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system']
  }
  for (const [what, intent, growth, step] of [
    ['endpoints', of('update', 'endpoints'), GROWN, 'no-creates'],
    ['endpoints as large as before', of('update', 'endpoints'), SAME, 'deletes-only'],
    ['a new lease', of('create', 'leases', '', 'coordination.k8s.io'), MADE, 'no-creates'],
    ['a lease is renewed', of('update', 'leases', '', 'coordination.k8s.io'), SAME, 'none'],
    ['a finalizer is taken', of('patch', 'configmaps'), GOING, 'none']
  ] as const)
    assert.is(until(intent, growth, tenant), step, what)
  assert.is(until(of('create', 'endpoints'), MADE, controller), 'none')
})

room('says what is wrong and what to do, with 507', () => {
  const refusal = refusalFor(
    { room: 'no-creates', words: wordsOf('no-creates', thresholdsOf(100 * 2 ** 30)) },
    of('create', 'pods'),
    ADMIN,
    MADE
  )
  assert.is(refusal?.status.code, 507)
  assert.is(refusal?.status.reason, 'InsufficientStorage')
  assert.is(
    refusal?.status.message,
    "the log's disk has less than 1 GiB free: nothing new is stored; changes, deletes, status and leases go on. Free space on it (see `reckon status`), and this goes on by itself"
  )
})

const api = await startTestApi()
let shortage: Shortage | undefined
const short = (step: Room): void => void (shortage = step === 'plenty' ? undefined : { room: step, words: `only ${step}` })
const decider = new ApiDecider({
  views: api.views,
  clock: systemClock,
  settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] },
  shortage: () => shortage
})
const submit = (intent: Partial<Intent> & Pick<Intent, 'verb' | 'ref'>) =>
  decider.submit({ id: systemClock.uuid(), version: 'v1', namespace: 'default', name: 'a', source: 'test', ...intent }, ADMIN)
const CONFIGMAPS = { group: '', resource: 'configmaps' }
const map = (name: string, value = 'x') => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } })

room('the decider refuses what would be stored, and nothing else', async () => {
  accepted(await submit({ verb: 'create', ref: CONFIGMAPS, object: map('a') }))
  short('no-creates')
  assert.match(
    refused(await submit({ verb: 'create', ref: CONFIGMAPS, name: 'b', object: map('b') })),
    /^507 InsufficientStorage: only no-creates/
  )
  accepted(await submit({ verb: 'create', ref: CONFIGMAPS, name: 'b', object: map('b'), options: { dryRun: true } }))
  assert.match(
    refused(await submit({ verb: 'create', ref: CONFIGMAPS, name: 'b', object: { ...map('b'), data: { value: 1 } } as never })),
    /^4/,
    'what is wrong anyway is told first'
  )
  accepted(
    await submit({ verb: 'patch', ref: CONFIGMAPS, patch: { type: 'application/merge-patch+json', body: { data: { value: 'y' } } } })
  )
  short('deletes-only')
  accepted(
    await submit({ verb: 'patch', ref: CONFIGMAPS, patch: { type: 'application/merge-patch+json', body: { data: { value: 'y' } } } })
  )
  assert.match(
    refused(
      await submit({ verb: 'patch', ref: CONFIGMAPS, patch: { type: 'application/merge-patch+json', body: { data: { value: 'z' } } } })
    ),
    /^507/
  )
  accepted(await submit({ verb: 'delete', ref: CONFIGMAPS }))
  short('plenty')
  accepted(await submit({ verb: 'create', ref: CONFIGMAPS, name: 'b', object: map('b') }))
})

room('what waits for a finalizer may lose it, and not be written over and over', async () => {
  const metadata = { name: 'c', finalizers: ['example.com/hold'] }
  accepted(await submit({ verb: 'create', ref: CONFIGMAPS, name: 'c', object: { ...map('c'), metadata } }))
  accepted(await submit({ verb: 'delete', ref: CONFIGMAPS, name: 'c' }))
  short('deletes-only')
  assert.match(
    refused(await submit({ verb: 'update', ref: CONFIGMAPS, name: 'c', object: { ...map('c', 'x'.repeat(100_000)), metadata } })),
    /^507/
  )
  accepted(
    await submit({
      verb: 'patch',
      ref: CONFIGMAPS,
      name: 'c',
      patch: { type: 'application/merge-patch+json', body: { metadata: { finalizers: null } } }
    })
  )
  short('plenty')
})

room('a node that never was short is told nothing; one that is, once; and again when it is over', async () => {
  const now = '2026-01-01T00:00:00Z'
  const words = (step: Room): Shortage => ({ room: step, words: wordsOf(step, thresholdsOf(2 ** 40)) })
  assert.equal(tell(api.views, 'n1', words('plenty'), now), [])
  const nowhere = tell(api.views, 'n1', words('low'), now)
  assert.equal(
    nowhere.map(({ ref, namespace }) => `${ref.resource} ${namespace}`),
    ['events default']
  )
  accepted(await api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } }))
  accepted(
    await api.submit({
      verb: 'patch',
      ref: { group: '', resource: 'nodes' },
      name: 'n1',
      subresource: 'status',
      patch: { type: 'application/merge-patch+json', body: { status: { conditions: [{ type: 'Ready', status: 'True' }] } } }
    })
  )
  assert.equal(tell(api.views, 'n1', words('plenty'), now), [])
  for (const step of ['low', 'no-creates'] as const) {
    for (const draft of tell(api.views, 'n1', words(step), now))
      accepted(
        await api.decider.submit(
          { ...draft, id: systemClock.uuid(), source: 'apiserver' },
          { username: 'system:apiserver', groups: ['system:masters'] }
        )
      )
    assert.equal(tell(api.views, 'n1', words(step), now), [], 'told once')
  }
  const conditions = () =>
    at(api.get({ apiVersion: 'v1', kind: 'Node', name: 'n1' }), 'status.conditions') as { type: string; status: string; reason?: string }[]
  assert.equal(
    conditions().map(({ type, status }) => `${type} ${status}`),
    ['Ready True', `${CONDITION} True`]
  )
  const over = tell(api.views, 'n1', words('plenty'), now)
  for (const draft of over)
    accepted(
      await api.decider.submit(
        { ...draft, id: systemClock.uuid(), source: 'apiserver' },
        { username: 'system:apiserver', groups: ['system:masters'] }
      )
    )
  assert.equal(
    conditions().map(({ type, status }) => `${type} ${status}`),
    ['Ready True', `${CONDITION} False`]
  )
  const notices = [...api.views.collection({ group: '', resource: 'events' }).values()]
    .map(({ object }) => `${object['type']} ${object['reason']}`)
    .sort()
  assert.equal(notices, ['Normal LogHasSufficientDisk', 'Warning LogDiskIsLow', 'Warning LogDiskRefusesCreates'])
})
room.run()
