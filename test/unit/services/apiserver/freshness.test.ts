/** Reads beside other API servers: as new as the log, for few questions to it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { Freshness } from '#services/apiserver/Freshness.ts'
import type { View } from '#services/platform/View.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'
import { accepted, startTestApi } from '#test/support/api.ts'

const fresh = suite('reads beside other API servers')
const lab = async () => {
  const clock = new VirtualClock(1)
  const api = await startTestApi(clock)
  const view = api.views.of({ group: '', resource: 'pods' })
  let questions = 0
  let answer = (): void => {}
  let asked: Promise<void> = Promise.resolve()
  const log = { lastSequence: () => ((questions += 1), asked.then(() => view.log.lastSequence())) }
  const seen = Object.assign(Object.create(view) as View, { log, waitFor: view.waitFor.bind(view) })
  return {
    clock,
    api,
    view,
    seen,
    questions: () => questions,
    hold: () => (asked = new Promise<void>((resolve) => (answer = resolve))),
    answer: () => answer()
  }
}
fresh('alone, nobody is asked', async () => {
  const { seen, clock, questions } = await lab()
  assert.is(new Freshness(() => false, clock).of(seen), undefined)
  assert.is(questions(), 0)
})
fresh('those who wait share a question, but none that was asked before they came', async () => {
  const { seen, clock, questions, hold, answer } = await lab()
  const { of } = new Freshness(() => true, clock)
  hold()
  const first = of(seen)
  const later = [of(seen), of(seen), of(seen)]
  assert.is(questions(), 1)
  answer()
  await Promise.all([first, ...later, clock.run(10)])
  assert.is(questions(), 2)
  await Promise.all([of(seen), clock.run(10)])
  assert.is(questions(), 3)
})
fresh('what another has written is here before it is answered', async () => {
  const { api, view, clock } = await lab()
  const other = await startTestApi(clock, {}, undefined, api)
  const made = accepted(
    await other.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', namespace: 'default' } } as unknown as KubeObject)
  )
  await new Freshness(() => true, clock).of(view)
  assert.ok(view.objects.sequence >= Number(made.metadata.resourceVersion))
})
fresh('a log that does not answer is waited for a second', async () => {
  const { seen, clock, hold } = await lab()
  hold()
  let done = false
  void new Freshness(() => true, clock).of(seen)?.then(() => (done = true))
  await clock.run(900)
  assert.not.ok(done)
  await clock.run(200)
  assert.ok(done)
})
fresh.run()
