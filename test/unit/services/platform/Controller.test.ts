/** The controller loop: what is submitted together, what a lost answer or a refusal leads to. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent, IntentResult } from '#events/Intent.ts'
import type { Log } from '#events/Log.ts'
import { builtIns } from '#test/support/builtIns.ts'
import type { ObjectsView } from '#projections/Objects.ts'
import { systemClock, type Clock } from '#services/platform/Clock.ts'
import { batchesOf, Controller, Outrun } from '#services/platform/Controller.ts'
import { NOTHING, Refused, type Ask, type ControllerDefinition } from '#services/platform/decision.ts'
import { View } from '#services/platform/View.ts'
import { Views } from '#services/platform/Views.ts'
import { ADMIN, startTestApi } from '#test/support/api.ts'
import { Model } from '#test/support/model.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const MAPS = { group: '', resource: 'configmaps' }
const ask = (verb: Ask['verb'], name: string, resource = 'configmaps'): Ask => ({
  verb,
  ref: { group: '', resource },
  version: 'v1',
  namespace: 'default',
  name
})
const shape = (asks: readonly Ask[]): string[] =>
  batchesOf(asks).map((batch) => batch.map(({ verb, name }) => `${verb[0]}${name}`).join(' '))

const loop = suite('controller loop')
loop('creations of one kind go together, 1, 2, 4 …; the rest one by one', () => {
  const eight = Array.from({ length: 8 }, (_, n) => ask('create', String(n)))
  assert.equal(shape([ask('update', 'a'), ...eight, ask('delete', 'x'), ask('delete', 'y'), ask('update', 'b'), ask('update', 'c')]), [
    'ua',
    'c0',
    'c1 c2',
    'c3 c4 c5 c6',
    'c7',
    'dx',
    'dy',
    'ub',
    'uc'
  ])
  assert.equal(shape([ask('create', 'a'), ask('create', 'b', 'pods'), ask('create', 'c', 'pods'), ask('create', 'd', 'pods')]), [
    'ca',
    'cb',
    'cc cd'
  ])
  assert.equal(shape([]), [])
})

/** A loop over one ConfigMap `a`, with a clock whose timers run when told. */
const begin = (definition: Partial<ControllerDefinition>, submit: (intent: Intent) => Promise<IntentResult>) => {
  const model = new Model()
  model.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } })
  const timers: { readonly ms: number; readonly task: () => void }[] = []
  const clock: Clock = { ...systemClock, after: (ms, task) => (timers.push({ ms, task }), { cancel: () => {} }) }
  const view = { subscribe: () => ({ close: () => {} }), waitFor: () => Promise.resolve() }
  const views = {
    of: () => view,
    get: model.objects.get.bind(model.objects),
    collection: model.objects.collection.bind(model.objects)
  } as unknown as Views
  const errors: unknown[] = []
  const controller = new Controller(
    { name: 'test', watches: [{ ref: MAPS, keys: ({ entry }) => [entry.id] }], decide: () => NOTHING, ...definition },
    views,
    { submit },
    clock,
    ({ error }) => errors.push(error)
  )
  controller.start()
  return { controller, timers, errors }
}
const ok: IntentResult = { ok: true, code: 200, object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} }, sequence: 1 }
const refusal = (reason: string): IntentResult => ({
  ok: false,
  status: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, message: reason }
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

loop('a lost answer is asked for again, with the same intent', async () => {
  const asked: Intent[] = []
  const { controller, timers } = begin(
    { decide: () => ({ asks: [ask('update', 'a')] }) },
    (intent) => (asked.push(intent), asked.length === 1 ? Promise.reject(new Error('lost')) : Promise.resolve(ok))
  )
  await turn()
  timers.shift()?.task()
  await turn()
  assert.equal(
    asked.map(({ again }) => again),
    [undefined, true]
  )
  assert.is(asked[0]?.id, asked[1]?.id)
  controller.stop()
})
loop('a refusal is told, a race is only tried again', async () => {
  for (const [reason, told, kind] of [
    ['Forbidden', 1, Refused],
    ['Conflict', 0, Outrun]
  ] as const) {
    const asked: string[] = []
    const { controller, timers, errors } = begin(
      {
        decide: () => ({ asks: [ask('update', 'a'), ask('update', 'never')] }),
        refused: (_, key, { status }) => [ask('update', `${key} ${status.reason}`)]
      },
      ({ name }) => (asked.push(name), Promise.resolve(name === 'a' ? refusal(reason) : ok))
    )
    await turn()
    assert.equal(asked, ['a', ...(told === 1 ? ['default/a Forbidden'] : [])])
    assert.instance(errors[0], kind)
    assert.equal(
      timers.map(({ ms }) => ms),
      [10]
    )
    controller.stop()
  }
})
loop('waits no longer than timers can', async () => {
  const { controller, timers } = begin({ decide: () => ({ asks: [], requeueAfterMs: 2 ** 40 }) }, () => Promise.resolve(ok))
  await turn()
  assert.equal(
    timers.map(({ ms }) => ms),
    [3_600_000]
  )
  controller.stop()
})
/** A controller whose view is behind the log, by so much. */
const lagging = async (lagMs: number) => {
  const clock = new VirtualClock(1)
  const api = await startTestApi(clock)
  const log = api.logs.EVENTS.reachedBy(() => false)
  const late: Log = {
    ...log,
    follow: (follow) => log.follow({ ...follow, onEntries: (entries) => void clock.after(lagMs, () => follow.onEntries(entries)) })
  }
  const view = new View('EVENTS', late, clock, { api: builtIns })
  const started = view.start()
  await clock.run(10 * lagMs)
  await started
  return { clock, api, views: new Views([view], builtIns) }
}
loop('between asking and seeing what came of it a key is not decided again', async () => {
  const { clock, api, views } = await lagging(1_000)
  const wanted: Ask = {
    verb: 'create',
    ref: MAPS,
    version: 'v1',
    namespace: 'default',
    name: '',
    object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-' } }
  }
  const made = (view: ObjectsView): number =>
    view
      .collection(MAPS)
      .list('default')
      .filter(({ key }) => key.name.startsWith('made-')).length
  const definition: ControllerDefinition = {
    name: 'test',
    watches: [{ ref: MAPS, keys: () => ['one'] }],
    decide: (view) => (made(view) > 0 ? NOTHING : { asks: [wanted] })
  }
  const errors: unknown[] = []
  const controller = new Controller(definition, views, { submit: (intent) => api.decider.submit(intent, ADMIN) }, clock, ({ error }) =>
    errors.push(error)
  )
  controller.start()
  // Each is a reason to look at the key again, and comes before the controller sees what it has made.
  for (let n = 0; n < 10; n++) {
    void api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `reason-${n}` } })
    await clock.run(200)
  }
  await clock.run(10_000)
  assert.is(made(api.views), 1)
  assert.equal(errors, [])
  controller.stop()
})
loop.run()
