import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fnv1a, fnv1aHex, lettersFrom, lettersOf } from '#events/meta/hash.ts'
import { timestamp, timestampWith } from '#events/meta/time.ts'
import { templateHash } from '#services/controller-manager/deployment/template.ts'

const hash = suite('hashes, letters and times')

hash('is FNV-1a as published', () => {
  assert.equal([fnv1a(''), fnv1a('a'), fnv1a('foobar')], [0x811c9dc5, 0xe40c292c, 0xbf9cf968])
  assert.is(fnv1aHex('\u0000'), '050c5d1f')
})

hash('names a template as before: another hash would roll every deployment out anew', () => {
  assert.is(templateHash({ spec: { containers: [{ name: 'a', image: 'b:1' }] } }), 'n9g5766khl')
})

hash('draws each letter within its bounds', () => {
  const drawn: number[] = []
  assert.is(
    lettersFrom(3, (below) => drawn.push(below) - 1),
    'bcd'
  )
  assert.equal(drawn, [27, 27, 27])
  assert.is(lettersOf(27n * 2n + 1n, 3), 'cdb')
})

hash('writes times as Date does, and none after the year 9999', () => {
  for (const ms of [0, 951_782_400_000, 1_700_000_000_999, 4_102_444_799_001])
    assert.is(timestamp(ms), new Date(ms).toISOString().replace(/\.\d+/, ''))
  assert.is(timestamp(1e15), '9999-12-31T23:59:59Z')
  assert.is(timestampWith(6, 1_700_000_000_042), '2023-11-14T22:13:20.042000Z')
})

hash.run()
