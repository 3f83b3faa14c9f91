/** What the scheduler says about a pod that fits nowhere: the condition, once, locked to the version it looked at. */
import { asOneOf } from '#events/KubeObject.ts'
import { PODS } from '#events/collections.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { podScheduledCondition, schedulingNotice } from '#services/scheduler/explain.ts'
import { BEGINNING, Model, pod } from '#test/support/model.ts'

const explain = suite('scheduler: explaining')
explain('the condition PodScheduled, with its reason', () => {
  const model = new Model()
  const waiting = model.put(pod('a'))
  const said = podScheduledCondition(waiting, '0/1 nodes are available: 1 Too many pods.', BEGINNING)
  assert.is(said?.metadata.resourceVersion, waiting.metadata.resourceVersion)
  assert.equal(said?.['status'], {
    phase: 'Pending',
    conditions: [
      {
        lastTransitionTime: '2030-01-01T00:00:00Z',
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: '0/1 nodes are available: 1 Too many pods.'
      }
    ]
  })
})
explain('is not said twice', () => {
  const model = new Model()
  const waiting = model.put(pod('a'))
  const told = asOneOf(PODS, model.put(podScheduledCondition(waiting, 'why', BEGINNING) ?? waiting))
  assert.is(podScheduledCondition(told, 'why', BEGINNING + 60_000), undefined)
  assert.ok(podScheduledCondition(told, 'why else', BEGINNING + 60_000))
})
explain('a notice that repeats is counted', () => {
  const model = new Model()
  model.put(pod('a'))
  const entry = model.view.get({ group: '', resource: 'pods', namespace: 'default', name: 'a' }) as NonNullable<
    ReturnType<typeof model.view.get>
  >
  const first = schedulingNotice(model.view, entry, 'Warning', 'FailedScheduling', 'why', BEGINNING)
  assert.equal(
    [first.verb, first.object?.['reason'], first.object?.['source'], first.object?.['count']],
    ['create', 'FailedScheduling', { component: 'default-scheduler' }, 1]
  )
  model.perform(first)
  const second = schedulingNotice(model.view, entry, 'Warning', 'FailedScheduling', 'why', BEGINNING + 60_000)
  assert.equal([second.verb, second.name, second.patch?.body], ['patch', first.name, { count: 2, lastTimestamp: '2030-01-01T00:01:00Z' }])
})
explain.run()
