/** Answers that are given again: by user and intent, within a budget, objects from the log. */
import { textAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult, UserInfo } from '#events/Intent.ts'
import { LogAway } from '#events/Log.ts'
import { tooManyRequests } from '#events/Refusal.ts'
import { Answers } from '#services/apiserver/Answers.ts'
import { accepted, ADMIN, startTestApi } from '#test/support/api.ts'

const CONFIGMAPS = { group: '', resource: 'configmaps' }
const about = (id: string, more: Partial<Intent> = {}): Intent => ({
  id,
  verb: 'create',
  ref: CONFIGMAPS,
  version: 'v1',
  namespace: 'default',
  name: id,
  source: 'test',
  ...more
})
const configMap = (name: string, size = 10): Intent =>
  about(name, { object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { key: 'x'.repeat(size) } } })
const EDITOR: UserInfo = { username: 'editor', groups: ['system:masters', 'system:authenticated'] }

const answers = suite('answers')
answers('the same user gets the same answer again, and nothing happens twice', async () => {
  const api = await startTestApi()
  const first = await api.decider.submit(configMap('a'), ADMIN)
  const before = await api.logs.EVENTS.lastSequence()
  assert.equal(await api.decider.submit(configMap('a'), ADMIN), first)
  assert.is(await api.logs.EVENTS.lastSequence(), before)
})
answers('an answer that can not be read now is asked for again, not decided again', async () => {
  const api = await startTestApi()
  const first = await api.decider.submit(configMap('a'), ADMIN)
  const { get } = api.logs.EVENTS
  api.logs.EVENTS.get = () => Promise.reject(new LogAway('EVENTS does not answer'))
  const meanwhile = await api.decider.submit(configMap('a'), ADMIN)
  assert.is(meanwhile.ok ? 0 : meanwhile.status.code, 503)
  api.logs.EVENTS.get = get
  assert.equal(await api.decider.submit(configMap('a'), ADMIN), first)
})
answers('another user with the id gets a decision of their own', async () => {
  const api = await startTestApi()
  accepted(await api.decider.submit(configMap('secretive'), ADMIN))
  const stranger = await api.decider.submit(configMap('secretive'), { username: 'mallory', groups: ['system:authenticated'] })
  assert.is(stranger.ok ? '' : stranger.status.code, 403)
  const colleague = await api.decider.submit(configMap('secretive'), EDITOR)
  assert.is(colleague.ok ? '' : colleague.status.reason, 'AlreadyExists')
})
answers('a name that ends like an id begins is nobody else', async () => {
  const api = await startTestApi()
  accepted(await api.decider.submit({ ...configMap('x'), id: '1:b:c' }, { ...EDITOR, username: 'a' }))
  const other = await api.decider.submit({ ...configMap('x'), id: 'c' }, { ...EDITOR, username: 'a:1:b' })
  assert.is(other.ok ? '' : other.status.reason, 'AlreadyExists')
})
answers('what is remembered of an object does not depend on its size', async () => {
  const api = await startTestApi()
  const kept = new Answers(api.views)
  const costs: number[] = []
  for (const [name, size] of [
    ['small', 10],
    ['large', 900_000]
  ] as const) {
    const intent = configMap(name, size)
    const before = kept.cost
    kept.remember(intent, ADMIN, await api.decider.submit(intent, ADMIN))
    costs.push(kept.cost - before)
    const again = await kept.find(intent, ADMIN)
    assert.ok(again?.ok)
    assert.is((again as { text: string }).text.length > size, true)
    assert.is(textAt(again.object, 'data.key').length, size)
  }
  assert.is(costs[0], costs[1])
  assert.ok((costs[0] as number) < 1_000)
})
answers('the oldest go when the budget is full', async () => {
  const api = await startTestApi()
  const kept = new Answers(api.views, 3_000)
  const results = new Map<string, IntentResult>()
  for (let n = 0; n < 30; n++) {
    const intent = configMap(`n${n}`)
    results.set(intent.id, await api.decider.submit(intent, ADMIN))
    kept.remember(intent, ADMIN, results.get(intent.id) as IntentResult)
    assert.ok(kept.cost <= 3_000, `${kept.cost}`)
  }
  assert.is(kept.find(configMap('n0'), ADMIN), undefined)
  assert.equal(await kept.find(configMap('n29'), ADMIN), results.get('n29'))
  assert.ok(kept.size >= 5)
})
answers('a refusal is an answer, unless it may pass', async () => {
  const api = await startTestApi()
  const kept = new Answers(api.views)
  const refused = await api.decider.submit(configMap('Bad_Name'), ADMIN)
  kept.remember(configMap('Bad_Name'), ADMIN, refused)
  assert.equal(await kept.find(configMap('Bad_Name'), ADMIN), refused)
  kept.remember(configMap('busy'), ADMIN, { ok: false, status: tooManyRequests('later', 1).status })
  assert.is(kept.find(configMap('busy'), ADMIN), undefined)
})
answers("a delete's Status and a Lease, which the log does not keep, are remembered whole", async () => {
  const api = await startTestApi()
  accepted(await api.decider.submit(configMap('gone'), ADMIN))
  const remove = about('remove', { verb: 'delete', name: 'gone' })
  const status = await api.decider.submit(remove, ADMIN)
  assert.equal(await api.decider.submit(remove, ADMIN), status)
  const lease = (id: string, holder: string): Intent => ({
    ...about(id, { verb: id === 'make' ? 'create' : 'update', name: 'l' }),
    ref: { group: 'coordination.k8s.io', resource: 'leases' },
    object: {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'l', namespace: 'default' },
      spec: { holderIdentity: holder }
    }
  })
  const made = await api.decider.submit(lease('make', 'me'), ADMIN)
  accepted(await api.decider.submit(lease('take', 'you'), ADMIN))
  assert.equal(await api.decider.submit(lease('make', 'me'), ADMIN), made)
})
answers.run()
