/** What a process holds of the objects it sees: bounded by what there is, and not by what there was or who looked at it. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFacts, encodeEvent } from '#events/Event.ts'
import { Heads } from '#projections/Heads.ts'
import { leanFacts } from '#projections/lean.ts'
import { Objects } from '#projections/Objects.ts'
import { Parsed, type Holder } from '#projections/Parsed.ts'
import { builtIns } from '#test/support/builtIns.ts'

const PODS = { group: '', resource: 'pods' }
const event = (name: string, sequence: number, deleted = false) => {
  const key = { ...PODS, namespace: 'default', name }
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', labels: { app: 'web' } } }
  const record = encodeEvent({
    stream: 'EVENTS',
    key,
    id: `id-${sequence}`,
    type: 'reckon.pod.updated.v1',
    source: 'test',
    time: '2026-01-01T00:00:00.000Z',
    user: 'test',
    correlationId: 'root',
    verb: 'update',
    command: 'kubectl edit',
    reasons: { because: 'of this' },
    deleted,
    expected: 0,
    object
  })
  return { facts: decodeFacts('EVENTS', { subject: `ev.core.pods.default.${name}`, sequence, headers: record.headers }), body: record.text }
}

const held = suite('what is held of objects')
held('parsed objects are let go in their order, but for those that were asked for since', () => {
  const parsed = new Parsed(300)
  const gone: string[] = []
  const holder = (name: string, wanted = false): Holder & { wanted: boolean } => ({
    bytes: 100,
    wanted,
    letGo() {
      if (!this.wanted) gone.push(name)
      const goes = !this.wanted
      this.wanted = false
      return goes
    }
  })
  const a = holder('a', true)
  const b = holder('b')
  for (const one of [a, b, holder('c'), holder('d')]) parsed.hold(one)
  assert.equal([gone, parsed.bytes], [['b'], 300])
  parsed.hold(holder('e'))
  assert.equal(gone, ['b', 'c'])
  parsed.release(a)
  assert.is(parsed.bytes, 200)
  parsed.release(a)
  assert.is(parsed.bytes, 200)
})
held('one that is larger than the bound is parsed all the same', () => {
  const parsed = new Parsed(50)
  parsed.hold({ bytes: 100, letGo: () => true })
  parsed.hold({ bytes: 100, letGo: () => true })
  assert.is(parsed.bytes, 100)
})
held('an object that was let go reads as before', () => {
  const objects = new Objects(builtIns)
  const { facts, body } = event('a', 1)
  objects.apply(facts, body)
  const entry = objects.get({ ...PODS, namespace: 'default', name: 'a' })
  const before = entry?.object
  entry?.letGo()
  entry?.letGo()
  assert.is.not(entry?.object, before)
  assert.equal(entry?.object, before)
  assert.is(entry?.object.metadata.resourceVersion, '1')
})
held('of an event, what the log tells is left to it', () => {
  const { facts } = event('a', 1)
  const { reasons: _, command: __, ...kept } = facts
  assert.equal(leanFacts(facts), kept)
})
held('names of deleted objects are forgotten, the latest last', () => {
  const heads = new Heads()
  for (let n = 0; n < 20_000; n++) heads.set(`name-${n}`, n + 1)
  assert.is(heads.size, 16_384)
  assert.equal([heads.get('name-0'), heads.get('name-19999')], [undefined, 20_000])
  // A name that comes and goes is one of the latest, however long it is known.
  heads.set('name-3616', 20_001)
  heads.set('another', 20_002)
  assert.equal([heads.get('name-3616'), heads.get('name-3617')], [20_001, undefined])
  heads.set('another', 20_003)
  heads.delete('another')
  heads.delete('name-3616')
  heads.forget(19_000)
  assert.is(heads.size, 1_001)
})
held('deletions leave nothing behind in any index', () => {
  const objects = new Objects(builtIns)
  for (let n = 1; n <= 10; n++) {
    const { facts, body } = event('a', 2 * n - 1)
    objects.apply(facts, body)
    const gone = event('a', 2 * n, true)
    objects.apply(gone.facts, gone.body)
  }
  const pods = objects.collection(PODS)
  assert.equal([pods.size, [...pods.indexed('label', 'app=web')], pods.list(), pods.sequence], [0, [], [], 20])
  assert.is(objects.head({ ...PODS, namespace: 'default', name: 'a' }), 20)
})
held.run()
