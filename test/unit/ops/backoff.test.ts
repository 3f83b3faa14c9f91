/** Pauses before something that ended is started again. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Backoff, PAUSES_MS, STEADY_IF_KILLED_MS, STEADY_MS } from '#ops/supervise/backoff.ts'

const backoff = suite('back-off')

backoff('at once after a good life', () => {
  const mine = new Backoff()
  for (let n = 0; n < 20; n++) assert.is(mine.after({ lived: STEADY_MS, killed: false }), 0)
})

backoff('further apart with each short life, up to the last pause, which stays', () => {
  const mine = new Backoff()
  const pauses = Array.from({ length: 12 }, () => mine.after({ lived: 1_000, killed: false }))
  assert.equal(pauses.slice(0, PAUSES_MS.length - 1), PAUSES_MS.slice(1))
  assert.equal(
    pauses.slice(PAUSES_MS.length - 1),
    Array.from({ length: 13 - PAUSES_MS.length }, () => PAUSES_MS.at(-1))
  )
})

backoff('a life must last for a while to count as good', () => {
  const mine = new Backoff()
  for (let n = 0; n < 5; n++) mine.after({ lived: 0, killed: false })
  assert.ok(mine.after({ lived: STEADY_MS - 1, killed: false }) > 1_000)
  assert.is(mine.after({ lived: STEADY_MS, killed: false }), 0)
  assert.is(mine.after({ lived: 0, killed: false }), PAUSES_MS[1])
})

backoff('what is killed again and again is no worse for it, unless it is killed as soon as it lives', () => {
  const mine = new Backoff()
  for (let n = 0; n < 20; n++) assert.is(mine.after({ lived: STEADY_IF_KILLED_MS, killed: true }), 0)
  for (let n = 0; n < 20; n++) mine.after({ lived: 100, killed: true })
  assert.is(mine.after({ lived: 100, killed: true }), PAUSES_MS.at(-1))
})

backoff.run()
