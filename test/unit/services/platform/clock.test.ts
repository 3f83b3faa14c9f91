/** The machine's clock: however far off something is, it happens then, and not before. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sleep, systemClock } from '#services/platform/Clock.ts'
import { VirtualClock } from '#test/simulation/VirtualClock.ts'

const DAY = 86_400_000

/** Runs `work` with Node's timers replaced by some that are told when to go on, and that know 31 bits as Node's do. */
const withTimers = (work: (advance: (ms: number) => void, armed: () => number) => void): void => {
  const { setTimeout: set, clearTimeout: clear } = globalThis
  let now = 0
  const timers = new Map<number, { readonly at: number; readonly task: () => void }>()
  let ids = 0
  const advance = (ms: number): void => {
    const end = now + ms
    for (;;) {
      const [next] = [...timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at)
      if (next === undefined) break
      timers.delete(next[0])
      now = next[1].at
      next[1].task()
    }
    now = end
  }
  globalThis.setTimeout = ((task: () => void, ms: number) => (
    timers.set(++ids, { at: now + (ms > 2 ** 31 - 1 ? 1 : ms), task }),
    ids
  )) as unknown as typeof set
  globalThis.clearTimeout = ((id: number) => void timers.delete(id)) as unknown as typeof clear
  try {
    work(advance, () => timers.size)
  } finally {
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear })
  }
}

const clock = suite('the clock')
clock('what is 30 days off happens in 30 days, and what is 100 days off in 100', () =>
  withTimers((advance, armed) => {
    const ran: string[] = []
    systemClock.after(30 * DAY, () => ran.push('30'))
    systemClock.after(100 * DAY, () => ran.push('100'))
    systemClock.after(5, () => ran.push('soon'))
    advance(30 * DAY - 1)
    assert.equal(ran, ['soon'])
    advance(1)
    assert.equal(ran, ['soon', '30'])
    advance(70 * DAY - 1)
    assert.is(ran.length, 2)
    advance(1)
    assert.equal(ran, ['soon', '30', '100'])
    assert.is(armed(), 0)
  })
)
clock('is called off however far it has come; what never happens does not', () =>
  withTimers((advance, armed) => {
    const far = systemClock.after(100 * DAY, () => assert.unreachable('it was called off'))
    const never = systemClock.after(Number.POSITIVE_INFINITY, () => assert.unreachable('it never happens'))
    advance(60 * DAY)
    assert.is(armed(), 2)
    far.cancel()
    advance(3_650 * DAY)
    assert.is(armed(), 1)
    never.cancel()
    assert.is(armed(), 0)
  })
)
clock("Node's own timers would not wait", async () => {
  let ran = false
  const timer = systemClock.after(30 * DAY, () => (ran = true))
  await new Promise((resolve) => setTimeout(resolve, 20))
  timer.cancel()
  assert.not(ran)
})
clock('a sleep ends when it is told to', async () => {
  const time = new VirtualClock(1)
  const end = new AbortController()
  const order: string[] = []
  void sleep(time, 1_000).then(() => order.push('slept'))
  void sleep(time, 5_000, end.signal).then(() => order.push('woken'))
  await time.run(2_000)
  assert.equal(order, ['slept'])
  end.abort()
  await time.run(0)
  assert.equal(order, ['slept', 'woken'])
  await sleep(time, 5_000, end.signal)
})
clock.run()
