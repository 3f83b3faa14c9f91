/** What is said beside an answer. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { warningsOf } from '#services/apiserver/http/respond.ts'

const warnings = suite('warnings')
warnings('are whole as long as all of them are short enough together, as upstream', () => {
  const long = 'x'.repeat(2_000)
  assert.equal(warningsOf([long, 'a "b"']), [`299 - "${long}"`, '299 - "a \\"b\\""'])
  assert.equal(warningsOf(undefined), [])
})
warnings('are cut when they are more, each, and left out when that is not enough', () => {
  assert.equal(warningsOf(['y'.repeat(5_000), 'z']), [`299 - "${'y'.repeat(256)}"`, '299 - "z"'])
  const many = warningsOf(Array.from({ length: 100 }, () => 'é'.repeat(300)))
  assert.is(many.length, 15)
  assert.ok(many.every((one) => one === `299 - "${'?'.repeat(256)}"`))
})
warnings.run()
