/** An intent whose answer was lost, asked again of an API server that knows nothing of the first time: decided once. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { madeUpNames } from '#services/apiserver/MadeUpNames.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { accepted, ADMIN, startTestApi } from '#test/support/api.ts'
import { builtIns } from '#test/support/builtIns.ts'

const api = await startTestApi()
const REF = { group: '', resource: 'configmaps' }
const patch = (id: string, value: string): Intent => ({
  id,
  verb: 'patch',
  ref: REF,
  version: 'v1',
  namespace: 'default',
  name: 'a',
  patch: { type: 'application/merge-patch+json', body: { data: { [value]: value } } },
  source: 'test'
})
/** Another API server on the same log. */
const other = (): ApiDecider =>
  new ApiDecider({ views: api.views, clock: systemClock, settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] } })

const again = suite('asked again')
again.before(async () => {
  accepted(await api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }))
})
again('the first answer is given again, also when others wrote since', async () => {
  const first = accepted(await api.decider.submit(patch('one', 'x'), ADMIN))
  accepted(await api.decider.submit(patch('two', 'y'), ADMIN))
  const before = await api.logs.EVENTS.lastSequence()
  const second = await other().submit({ ...patch('one', 'x'), again: true }, ADMIN)
  assert.equal(accepted(second), first)
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
again('what never happened happens now', async () => {
  const object = accepted(await other().submit({ ...patch('three', 'z'), again: true }, ADMIN))
  assert.is(at(object, 'data.z'), 'z')
})
again('two API servers that get it at once decide it once', async () => {
  const before = await api.logs.EVENTS.lastSequence()
  const both = await Promise.all([other().submit(patch('both', 'b'), ADMIN), other().submit(patch('both', 'b'), ADMIN)])
  assert.equal(accepted(both[0]), accepted(both[1]))
  assert.is(await api.logs.EVENTS.lastSequence(), before + 1)
})
again('one that comes late to another is known by the newest event', async () => {
  const first = accepted(await api.decider.submit(patch('late', 'l'), ADMIN))
  assert.equal(accepted(await other().submit(patch('late', 'l'), ADMIN)), first)
})
again('an object that is gone went once', async () => {
  const about = { verb: 'delete', ref: REF, version: 'v1', namespace: 'default', name: 'a', source: 'test' } as const
  accepted(await api.decider.submit({ ...about, id: 'gone' }, ADMIN))
  assert.ok((await other().submit({ ...about, id: 'gone', again: true }, ADMIN)).ok)
  const anew = await other().submit({ ...about, id: 'other', again: true }, ADMIN)
  assert.is(anew.ok ? '' : anew.status.reason, 'NotFound')
})
again('an answer is not kept for ever: the log has it', async () => {
  const first = { ...patch('small', 's'), name: 'kept' }
  accepted(await api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept' } }))
  const answer = accepted(await api.decider.submit(first, ADMIN))
  let looks = 0
  const { lastSequence } = api.logs.EVENTS
  api.logs.EVENTS.lastSequence = () => {
    looks += 1
    return lastSequence.call(api.logs.EVENTS)
  }
  assert.equal(accepted(await api.decider.submit(first, ADMIN)), answer)
  assert.is(looks, 0, 'where it is in the log is remembered')
  for (let round = 0; round < 40; round++)
    assert.not((await api.decider.submit({ ...patch(`${round}`.padEnd(60_000, 'x'), 's'), name: 'nowhere' }, ADMIN)).ok)
  assert.equal(accepted(await api.decider.submit(first, ADMIN)), answer)
  assert.ok(looks > 0, 'five megabytes of other answers later it is looked for')
})
again('nobody gets the answer to what somebody else asked, here or elsewhere', async () => {
  const first = { ...patch('mine', 'y'), name: 'kept' }
  accepted(await api.decider.submit(first, ADMIN))
  assert.not((await api.decider.submit(first, { username: 'mallory', groups: ['system:authenticated'] })).ok)
  const result = await other().submit({ ...patch('two', 'y'), again: true }, { username: 'mallory', groups: ['system:authenticated'] })
  assert.not(result.ok)
})
const made = (id: string): Intent => ({
  id,
  verb: 'create',
  ref: REF,
  version: 'v1',
  namespace: 'default',
  name: '',
  object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-' } },
  source: 'test'
})
again('what has a made-up name is made once: by a server that knows nothing of it, after others wrote it, and by two at once', async () => {
  const first = accepted(await api.decider.submit(made('made'), ADMIN))
  accepted(await api.submit({ ...patch('since', 'x'), name: first.metadata.name as string }))
  const before = await api.logs.EVENTS.lastSequence()
  assert.is(accepted(await other().submit({ ...made('made'), again: true }, ADMIN)).metadata.uid, first.metadata.uid)
  // A message that was doubled on its way says nothing of the other.
  assert.is(accepted(await other().submit(made('made'), ADMIN)).metadata.uid, first.metadata.uid)
  assert.is(await api.logs.EVENTS.lastSequence(), before)
  const both = await Promise.all([other().submit(made('at once'), ADMIN), other().submit(made('at once'), ADMIN)])
  assert.is(accepted(both[0]).metadata.name, accepted(both[1]).metadata.name)
  assert.is(await api.logs.EVENTS.lastSequence(), before + 1)
})
again(
  'a made-up name that another has gives way to the next; asked again, it is the second that is found, though the first is free',
  async () => {
    const [taken, next] = (madeUpNames(builtIns, made('taken'), ADMIN) ?? []).map(({ name }) => name)
    accepted(await api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: taken as string } }))
    const first = accepted(await api.decider.submit(made('taken'), ADMIN))
    assert.is(first.metadata.name, next)
    accepted(await api.submit({ verb: 'delete', ref: REF, namespace: 'default', name: taken as string }))
    assert.is(accepted(await other().submit({ ...made('taken'), again: true }, ADMIN)).metadata.uid, first.metadata.uid)
  }
)
again('other intents have other names', async () => {
  const name = async (id: string): Promise<string> => accepted(await api.decider.submit(made(id), ADMIN)).metadata.name as string
  assert.is.not(await name('p'), await name('q'))
})
again.run()
