/** Patches as upstream's own libraries answer them: cases that `npm run check-patches -- --golden` kept. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isEmptyValue } from '#events/schema/presence.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { ours, split, words } from '#test/oracle/patch/answers.ts'
import type { Agreed } from '#test/oracle/patch/compare.ts'

const cases = readFileSync(join(import.meta.dirname, 'patches/cases.jsonl'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Agreed)

/** What Go drops, or writes whether it is there or not, is no matter of the patch. */
const withoutEmpty = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutEmpty)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, part]) => [key, withoutEmpty(part)] as const)
      .filter(([, part]) => part !== null && !isEmptyValue(part))
  )
}

const patches = suite('patches, compared with upstream')
const count = new Map<string, number>()
for (const { question, answer } of cases) {
  const { op, kind, apiVersion } = question
  const number = (count.get(`${kind} ${op}`) ?? 0) + 1
  count.set(`${kind} ${op}`, number)
  const [version = '', group = ''] = apiVersion.split('/').toReversed()
  patches(`${kind} ${op} ${number}`, () => {
    const mine = ours(typeOfKind(group, version, kind) as TypeSchema, question)
    if (answer.error !== undefined) {
      if (op !== 'update') assert.ok(mine.error, `accepted, where upstream says: ${answer.error}`)
      if (op === 'apply') assert.is(words(mine.error), words(answer.error))
      return
    }
    const [left, right] = [split(mine.object), split(answer.object)]
    assert.equal(withoutEmpty(left.body), withoutEmpty(right.body))
    assert.equal(left.managers, right.managers)
  })
}
patches('are of every kind and way', () => assert.ok(count.size >= 30, `${count.size}`))
patches.run()
