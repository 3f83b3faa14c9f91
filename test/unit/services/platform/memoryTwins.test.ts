/** What the memory twins of the log and of a work queue do when their server is started again. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AppendUncertain, LogAway } from '#events/Log.ts'
import { MemoryLog } from '#services/platform/MemoryLog.ts'
import { MemoryWorkQueue } from '#services/platform/MemoryWorkQueue.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const twins = suite('the memory twins, when their server goes and comes back')
const entry = (subject: string) => ({ subject, headers: {}, text: '{}' })
const outcome = (promise: Promise<unknown>): { readonly of: () => unknown } => {
  let known: unknown
  promise.then(
    (value) => (known = value),
    (error: unknown) => (known = error)
  )
  return { of: () => known }
}

twins('nothing is sent to a log that is gone, and it is said so', async () => {
  const clock = new VirtualClock(1)
  let gone = true
  const log = new MemoryLog('EVENTS', clock, { faults: { gone: () => gone } })
  const [asked, read] = [outcome(log.append([entry('a')], 500)), outcome(log.lastSequence())]
  await clock.run(400)
  assert.is(asked.of(), undefined)
  await clock.run(10_000)
  assert.instance(asked.of(), LogAway)
  assert.instance(read.of(), LogAway)
  gone = false
  assert.is(await log.lastSequence(), 0)
})

twins('an acknowledgement on its way is lost, and its entry is there', async () => {
  const clock = new VirtualClock(2)
  const log = new MemoryLog('EVENTS', clock, { faults: { append: () => 100 } })
  const asked = outcome(log.append([entry('a')]))
  await clock.run(50)
  log.restart()
  await clock.run(100)
  assert.instance(asked.of(), AppendUncertain)
  assert.is(await log.lastSequence(), 1)
})

twins('who follows goes on where it was', async () => {
  const clock = new VirtualClock(3)
  const log = new MemoryLog('EVENTS', clock)
  const seen: number[] = []
  const following = log.follow({
    from: 1,
    onEntries: (entries) => void seen.push(...entries.map(({ sequence }) => sequence)),
    onFailed: (error) => assert.unreachable(error.message)
  })
  await log.append([entry('a')])
  await clock.run(10)
  log.restart()
  await log.append([entry('b')])
  await clock.run(1_000)
  assert.equal(seen, [1, 2])
  following.close()
})

twins('what a work queue had heard last comes again, and what nobody was done with', async () => {
  const clock = new VirtualClock(4)
  const queue = new MemoryWorkQueue(clock)
  const seen: (readonly [sequence: number, again: boolean])[] = []
  for (const subject of ['a', 'b']) queue.append(subject, '')
  const consuming = queue.consume(({ sequence, again, done }) => {
    seen.push([sequence, again])
    if (sequence === 1) done()
  })
  await clock.run(10)
  assert.equal(
    seen.map(([sequence]) => sequence),
    [1, 2]
  )
  queue.restart()
  await clock.run(10)
  assert.equal(
    seen.slice(2).sort(([a], [b]) => a - b),
    [
      [1, true],
      [2, true]
    ]
  )
  consuming.close()
})

twins.run()
