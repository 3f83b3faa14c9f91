/** Differences between versions, and chains of causes. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { diffObjects } from '#services/historian/diff.ts'
import { chainTo, eventToExplain, type Link } from '#services/historian/why.ts'

const object = (spec: unknown, more: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'a' },
  spec,
  ...more
})

const diff = suite('diffObjects')
diff('names fields, and items of lists by what names them', () => {
  const before = object({
    replicas: 2,
    containers: [
      { name: 'web', image: 'a:1' },
      { name: 'side', image: 's' }
    ]
  })
  const after = object({
    replicas: 3,
    containers: [
      { name: 'side', image: 's' },
      { name: 'web', image: 'a:2' }
    ]
  })
  assert.equal(diffObjects(before, after), [
    { path: 'spec.replicas', before: 2, after: 3 },
    { path: 'spec.containers[name=web].image', before: 'a:1', after: 'a:2' }
  ])
})
diff('tells added from removed', () => {
  assert.equal(diffObjects(object({ a: 1 }), object({ b: 1 })), [
    { path: 'spec.a', before: 1 },
    { path: 'spec.b', after: 1 }
  ])
})
diff('is silent about bookkeeping', () => {
  assert.equal(
    diffObjects(
      object({}, { metadata: { name: 'a', resourceVersion: '1', generation: 1 } }),
      object({}, { metadata: { name: 'a', resourceVersion: '2', generation: 2 } })
    ),
    []
  )
})
diff('never shows what a Secret holds', () => {
  const secret = (value: string): KubeObject => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { key: value } })
  assert.equal(diffObjects(secret('old'), secret('new')), [{ path: 'data.key', before: '<hidden>', after: '<hidden>' }])
})
diff('puts keys with dots in brackets', () => {
  assert.is(
    diffObjects(object({}), { ...object({}), metadata: { name: 'a', annotations: { 'a.b/c': '1' } } })[0]?.path,
    'metadata.annotations'
  )
  assert.is(
    diffObjects(
      { ...object({}), metadata: { name: 'a', annotations: { x: '1' } } },
      { ...object({}), metadata: { name: 'a', annotations: { x: '1', 'a.b/c': '1' } } }
    )[0]?.path,
    'metadata.annotations[a.b/c]'
  )
})
diff.run()

const link = (sequence: number, more: Partial<Link> = {}): Link => ({
  stream: 'EVENTS',
  sequence,
  id: `id-${sequence}`,
  key: { group: '', resource: 'pods', namespace: 'default', name: 'p' },
  type: 'reckon.pod.updated.v1',
  time: '2026-01-01T00:00:00.000Z',
  user: 'u',
  source: 's',
  verb: 'update',
  correlationId: 'id-1',
  ...more
})

const chain = suite('chainTo')
const log = new Map(
  [1, 2, 3].map((sequence) => [
    sequence,
    link(sequence, sequence === 1 ? {} : { causationId: `id-${sequence - 1}`, causationRef: `EVENTS:${sequence - 1}` })
  ])
)
chain('walks from an event to its root', async () => {
  const { links, broken } = await chainTo(log.get(3) as Link, async (_, sequence) => log.get(sequence))
  assert.equal(
    links.map(({ sequence }) => sequence),
    [1, 2, 3]
  )
  assert.is(broken, undefined)
})
chain('says where it breaks rather than guess', async () => {
  const lost = await chainTo(log.get(3) as Link, async (_, sequence) => (sequence === 1 ? undefined : log.get(sequence)))
  assert.equal(
    lost.links.map(({ sequence }) => sequence),
    [2, 3]
  )
  assert.match(lost.broken ?? '', /EVENTS 1, the cause of .* is not in the log/)
  const other = await chainTo(log.get(2) as Link, async () => link(1, { id: 'somebody-else' }))
  assert.ok(other.broken)
})
chain('does not follow a loop for ever', async () => {
  const self = link(1, { causationId: 'id-1', causationRef: 'EVENTS:1' })
  assert.match((await chainTo(self, async () => self)).broken ?? '', /longer than/)
})
chain('explains the last start of a container, else the last decision', () => {
  const history = [
    link(1, { verb: 'create' }),
    link(2, { type: 'reckon.pod.started.v1', verb: 'update/status' }),
    link(3, { type: 'reckon.pod.ready.v1', verb: 'update/status' })
  ]
  assert.is(eventToExplain(history)?.sequence, 2)
  assert.is(eventToExplain([link(1, { verb: 'patch' }), link(2, { verb: 'update/status' })])?.sequence, 1)
  assert.is(eventToExplain([]), undefined)
})
chain.run()
