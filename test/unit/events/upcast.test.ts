import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFacts, encodeEvent, objectOf, UnreadableEvent, type NewEvent } from '#events/Event.ts'
import { NewerShape, SHAPE, SHAPE_HEADER, shapeAfter, upcastBody, upcastHeaders, type Upcast } from '#events/upcast.ts'

const upcast = suite('older events')

/** Two changes of the shape: a header got another name, then bodies lay in an envelope. */
const STEPS: readonly Upcast[] = [
  { headers: ({ who = '', ...others }) => ({ ...others, 'ce-authid': who }) },
  { body: (body, headers) => JSON.stringify({ ...(JSON.parse(body) as object), from: headers[SHAPE_HEADER] ?? 'the first' }) }
]

upcast('are brought to the present step by step, from the shape they have', () => {
  assert.is(shapeAfter(STEPS), 3)
  assert.equal(upcastHeaders({ who: 'ada' }, STEPS), { 'ce-authid': 'ada' })
  assert.equal(upcastHeaders({ [SHAPE_HEADER]: '2', who: 'kept' }, STEPS), { [SHAPE_HEADER]: '2', who: 'kept' })
  assert.equal(JSON.parse(upcastBody({}, '{"a":1}', STEPS)), { a: 1, from: 'the first' })
  assert.equal(JSON.parse(upcastBody({ [SHAPE_HEADER]: '2' }, '{"a":1}', STEPS)), { a: 1, from: '2' })
  assert.is(upcastBody({ [SHAPE_HEADER]: '3' }, '{"a":1}', STEPS), '{"a":1}')
})

upcast('are not touched where nothing has changed', () => {
  const headers = { 'ce-id': '1' }
  assert.is(upcastHeaders(headers), headers)
  assert.is(upcastBody(headers, '{}'), '{}')
})

upcast('of a newer shape, or of none there is, are refused with a way on', () => {
  for (const shape of ['4', '0', '-1', '1e3', 'x', ''])
    assert.throws(
      () => upcastHeaders({ [SHAPE_HEADER]: shape }, STEPS),
      (error: Error) => error instanceof NewerShape
    )
  const event: NewEvent = {
    stream: 'EVENTS',
    key: { group: '', resource: 'configmaps', namespace: 'a', name: 'b' },
    id: '1',
    type: 'reckon.configmap.created.v1',
    source: 'test',
    time: '2026-01-01T00:00:00.000Z',
    user: 'ada',
    correlationId: '1',
    verb: 'create',
    deleted: false,
    object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b', namespace: 'a' } },
    expected: 0
  }
  const { headers, text } = encodeEvent(event)
  const stored = { subject: 'ev.core.configmaps.a.b', sequence: 7, headers, text }
  assert.is(decodeFacts('EVENTS', stored).user, 'ada')
  assert.is(objectOf(stored).metadata.resourceVersion, '7')
  const newer = { ...stored, headers: { ...headers, [SHAPE_HEADER]: String(SHAPE + 1) } }
  assert.throws(
    () => decodeFacts('EVENTS', newer),
    (error: Error) => error instanceof UnreadableEvent && /EVENTS 7 .*run the newer one/.test(error.message)
  )
  assert.throws(() => objectOf(newer), /run the newer one/)
})

upcast.run()
