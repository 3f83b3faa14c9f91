/** Keyframes: what is believed of one, and which are kept. */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogState } from '#events/Log.ts'
import { Seal } from '#services/platform/ledger/Seal.ts'
import { decodeKeyframe, encodeKeyframe, misfitOf, type Keyframe } from '#services/platform/past/Keyframe.ts'
import { superfluous, type Kept } from '#services/platform/past/Keyframes.ts'

const seal = new Seal(new Map([['k1', Buffer.alloc(32, 7)]]))
const keyframe: Keyframe = {
  stream: 'EVENTS',
  identity: 'this-log',
  epoch: 1,
  quarantined: [4],
  sequence: 40,
  hash: Buffer.alloc(32, 3),
  time: 1_000,
  standing: [
    { collection: '/pods', id: 'default/a', version: 9 },
    { collection: 'apps/deployments', id: 'other/"b"', version: 40 }
  ]
}

const sealed = suite('a keyframe')
sealed('is read as it was written', async () => {
  for (const standing of [keyframe.standing, []])
    assert.equal(await decodeKeyframe(await encodeKeyframe({ ...keyframe, standing }, seal), seal), { ...keyframe, standing })
})
sealed('that somebody else made, or changed anywhere, is none', async () => {
  const bytes = await encodeKeyframe(keyframe, seal)
  assert.is(await decodeKeyframe(bytes, new Seal(new Map([['k1', Buffer.alloc(32, 8)]]))), undefined)
  const text = zstdDecompressSync(bytes).toString()
  const changed = (from: string | RegExp, to: string): Uint8Array => {
    assert.is.not(text.replace(from, to), text)
    return zstdCompressSync(Buffer.from(text.replace(from, to)))
  }
  for (const [from, to] of [
    ['"sequence":40', '"sequence":41'],
    ['this-log', 'that-log'],
    ['default/a",9', 'default/a",8'],
    [/.*\n$/, ''],
    [/^k1:./, 'k1:']
  ] as const)
    assert.is(await decodeKeyframe(changed(from, to), seal), undefined, String(from))
  assert.is(await decodeKeyframe(bytes.subarray(0, bytes.length - 9), seal), undefined)
  assert.is(await decodeKeyframe(Buffer.from('no keyframe'), seal), undefined)
})
sealed('fits the log it is of, and no other: not one made anew, restored, cut off, or whose losses were accepted since', () => {
  const state: LogState = {
    identity: 'this-log',
    first: 1,
    last: 50,
    messages: 50,
    bytes: 1,
    sealedFrom: 1,
    epoch: 1,
    losses: [],
    quarantined: [4, 45],
    floor: 0
  }
  const named = { stream: 'EVENTS', sequence: 40 }
  assert.is(misfitOf(keyframe, named, state), undefined)
  assert.match(misfitOf(keyframe, named, { ...state, identity: 'another' }) ?? '', /another log/)
  assert.match(misfitOf(keyframe, named, { ...state, epoch: 2 }) ?? '', /lost since/)
  assert.match(misfitOf(keyframe, named, { ...state, last: 39 }) ?? '', /ends at 39/)
  assert.match(misfitOf(keyframe, named, { ...state, quarantined: [4, 7] }) ?? '', /put aside/)
  assert.match(misfitOf(keyframe, { ...named, sequence: 39 }, state) ?? '', /another one/)
  assert.match(misfitOf(keyframe, { ...named, stream: 'NOTICES' }, state) ?? '', /another one/)
})
sealed.run()

const HOUR = 3_600_000
const kept = suite('which keyframes are kept')
kept('many of the last hours, ever fewer of before, however they come', () => {
  for (const every of [5, 60, 7 * 24 * 60]) {
    let there: Kept[] = []
    let now = 0
    for (let sequence = 1; sequence < 3_000; sequence++) {
      now += every * 60_000
      there.push({ sequence, time: now })
      const gone = new Set(superfluous(there, 0, now))
      there = there.filter((one) => !gone.has(one.sequence))
    }
    const ages = there.map(({ time }) => (now - time) / HOUR)
    assert.ok(there.length <= 8 + 10, `${there.length} of one each ${every} minutes`)
    assert.equal(
      there.slice(-2).map(({ sequence }) => sequence),
      [2_998, 2_999]
    )
    if (every === 5) assert.ok(ages.filter((age) => age < 1).length >= 8, ages.join())
    // For each span of age that is long enough there is one.
    if (every <= 60)
      for (let span = 2; span < 100; span *= 2)
        assert.ok(
          ages.some((age) => age >= span / 2 && age < span * 2),
          `${span} hours: ${ages.join()}`
        )
  }
})
kept('none of before the floor', () => {
  const there = [1, 2, 3].map((sequence) => ({ sequence, time: sequence }))
  assert.equal(superfluous(there, 3, 10), [1, 2])
  assert.equal(superfluous(there, 0, 10), [])
})
kept.run()
