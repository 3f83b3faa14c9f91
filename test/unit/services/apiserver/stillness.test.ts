/** What reaches an API server that stood still was asked long ago, and of others since: it is decided once all the same. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Intent } from '#events/Intent.ts'
import { ApiDecider } from '#services/apiserver/Decider.ts'
import { Stillness } from '#services/apiserver/Stillness.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, ADMIN, startTestApi } from '#test/support/api.ts'

const CONFIGMAPS = { group: '', resource: 'configmaps' }
const stillness = suite('an API server that stood still')

stillness('knows it for a while, and forgets it', async () => {
  const clock = new VirtualClock(1)
  const one = new Stillness(clock)
  one.start()
  await clock.run(60_000)
  assert.is(one.lately(), false)
  clock.skip(5_000)
  assert.is(one.lately(), true, 'before its own timer has had a turn')
  await clock.run(9_000)
  assert.is(one.lately(), true)
  await clock.run(2_000)
  assert.is(one.lately(), false)
  one.stop()
})

stillness('does not decide again what another one has decided meanwhile', async () => {
  const clock = new VirtualClock(2)
  const other = await startTestApi(clock)
  const still = await startTestApi(clock, {}, undefined, other)
  let late = true
  const decider = new ApiDecider({
    views: still.views,
    clock,
    settings: { serviceCIDR: '10.96.0.0/16', nodePorts: [30000, 32767] },
    late: () => late
  })
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' } }
  const create: Intent = {
    id: clock.uuid(),
    verb: 'create',
    ref: CONFIGMAPS,
    version: 'v1',
    namespace: 'default',
    name: 'a',
    object: configMap,
    source: 'test'
  }
  const made = accepted(await other.decider.submit({ ...create, again: true }, ADMIN))
  accepted(await other.submit({ verb: 'delete', ref: CONFIGMAPS, namespace: 'default', name: 'a' }))
  const answer = accepted(await decider.submit(create, ADMIN))
  assert.is(answer['sequence'], made['sequence'])
  assert.is(other.views.get({ ...CONFIGMAPS, namespace: 'default', name: 'a' }), undefined)
  // Of one that was awake all the time nobody has been asked in its place.
  late = false
  accepted(await decider.submit({ ...create, id: clock.uuid() }, ADMIN))
})

stillness.run()
