/** The scheduling queue: order, back-off, and what wakes pods that fitted nowhere. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SchedulingQueue } from '#services/scheduler/queue.ts'

const queue = suite('scheduling queue')
const drain = (waiting: SchedulingQueue, now: number): string[] => {
  const out: string[] = []
  for (let id = waiting.next(now); id !== undefined; id = waiting.next(now)) out.push(id)
  return out
}
queue('priority, then age', () => {
  const waiting = new SchedulingQueue()
  waiting.add('c', 0, 3)
  waiting.add('a', 0, 1)
  waiting.add('vip', 10, 4)
  waiting.add('b', 0, 2)
  assert.equal(drain(waiting, 0), ['vip', 'a', 'b', 'c'])
})
queue('hands a pod out once, and not after it is gone', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.add('a', 0, 1)
  waiting.add('b', 0, 2)
  waiting.remove('b')
  assert.equal(drain(waiting, 0), ['a'])
})
queue('backs off for 1, 2, 4, 8, 10, 10 seconds', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  const pauses: number[] = []
  let now = 0
  for (let n = 0; n < 6; n++) {
    assert.is(waiting.next(now), 'a')
    waiting.retry('a', now)
    const due = waiting.due as number
    assert.is(waiting.next(due - 1), undefined)
    pauses.push(due - now)
    now = due
  }
  assert.equal(pauses, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
})
queue('an unschedulable pod waits for room, after its back-off', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.next(0)
  waiting.unschedulable('a', 0, false)
  assert.is(waiting.next(50_000), undefined)
  waiting.clusterChanged('company')
  assert.is(waiting.next(50_000), undefined)
  waiting.clusterChanged('room')
  assert.is(waiting.next(999), undefined)
  assert.is(waiting.next(1_000), 'a')
})
queue('one that depends on pods also wakes for company', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.next(0)
  waiting.unschedulable('a', 0, true)
  waiting.clusterChanged('company')
  assert.is(waiting.next(1_000), 'a')
})
queue('tries anyway after a minute', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.next(0)
  waiting.unschedulable('a', 0, false)
  waiting.wake(59_999, 60_000)
  assert.is(waiting.next(59_999), undefined)
  waiting.wake(60_000, 60_000)
  assert.is(waiting.next(60_000), 'a')
})
queue('a pod that changed itself is tried at once', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.next(0)
  waiting.unschedulable('a', 0, false)
  waiting.podChanged('a')
  assert.is(waiting.next(0), 'a')
})
queue('a pod that comes again under its name is another pod', () => {
  const waiting = new SchedulingQueue()
  waiting.add('a', 0, 1)
  waiting.next(0)
  waiting.retry('a', 0)
  waiting.remove('a')
  waiting.add('a', 0, 2)
  assert.equal(drain(waiting, 60_000), ['a'])
})
queue.run()
