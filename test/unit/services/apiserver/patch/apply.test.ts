/** Server-side apply where upstream’s libraries can’t be asked through built-in kinds: times, versions, free JSON, bad lists. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { Refusal } from '#events/Refusal.ts'
import { typeOfKind, type FieldSchema, type TypeSchema } from '#events/schema/Schema.ts'
import { applyPatch, type Apply } from '#services/apiserver/patch/apply.ts'
import { sorted } from '#services/apiserver/patch/fieldSet.ts'
import { trackUpdate } from '#services/apiserver/patch/managedFields.ts'

const CONFIG_MAP = typeOfKind('', 'v1', 'ConfigMap') as TypeSchema
const META = CONFIG_MAP.fields['metadata'] as FieldSchema
const FREE: FieldSchema = { type: 'any', preserveUnknown: true }
const struct = (fields: Record<string, FieldSchema>): FieldSchema => ({ type: 'object', object: { name: '', fields } })
/** A custom kind: free JSON, and a list with keys that are not in the order of the alphabet. */
const WIDGET: TypeSchema = {
  name: '',
  fields: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: META,
    free: FREE,
    list: {
      type: 'array',
      listType: 'map',
      listMapKeys: ['port', 'host'],
      items: struct({ host: { type: 'string' }, port: { type: 'integer' }, note: { type: 'string' } })
    },
    numbers: { type: 'array', listType: 'set', items: { type: 'integer' } }
  }
}
const widget = (fields: object, managedFields?: readonly ManagedFieldsEntry[]): KubeObject => ({
  apiVersion: 'e.com/v1',
  kind: 'Widget',
  metadata: { name: 'w', ...(managedFields === undefined ? {} : { managedFields: [...managedFields] }) },
  ...fields
})
const applied = (live: KubeObject | undefined, fields: object, more: Partial<Apply> = {}): KubeObject => {
  const result = applyPatch({
    type: WIDGET,
    live,
    applied: widget(fields),
    manager: 'one',
    force: true,
    apiVersion: 'e.com/v1',
    time: '2026-01-01T00:00:02Z',
    ...more
  })
  if ('conflicts' in result) throw new Error(result.message)
  return result.object
}
const ownersOf = ({ metadata }: KubeObject): readonly ManagedFieldsEntry[] => metadata.managedFields ?? []
const fieldsOf = (object: KubeObject): unknown => ownersOf(object)[0]?.fieldsV1

const apply = suite('server-side apply')

apply('who applies what is there already has changed nothing at no time', () => {
  const first = applied(undefined, { free: { a: 1 } }, { time: '2026-01-01T00:00:01Z' })
  assert.is(ownersOf(applied(first, { free: { a: 1 } }))[0]?.time, '2026-01-01T00:00:01Z')
  assert.is(ownersOf(applied(first, { free: { a: 2 } }))[0]?.time, '2026-01-01T00:00:02Z')
})
apply('an applier is the same in every version of a kind', () => {
  const first = applied(undefined, { free: { a: 1 } }, { apiVersion: 'e.com/v1beta1' })
  const second = applied(first, { free: { b: 1 } })
  assert.equal(
    ownersOf(second).map(({ manager, apiVersion }) => [manager, apiVersion]),
    [['one', 'e.com/v1']]
  )
  assert.equal(second['free'], { b: 1 })
})
apply('appliers stand before those who updated, who stand in the order of their times', () => {
  let object = applied(undefined, { free: { a: 1 } }, { manager: 'z', time: '2026-01-01T00:00:09Z' })
  for (const [manager, second] of [
    ['b', 8],
    ['a', 7]
  ] as const) {
    const after = { ...structuredClone(object), [manager]: 1, free: { ...(object['free'] as object), [manager]: 1 } }
    trackUpdate({ type: WIDGET, before: object, after, manager, apiVersion: 'e.com/v1', time: `2026-01-01T00:00:0${second}Z` })
    object = after
  }
  assert.equal(
    ownersOf(object).map(({ manager }) => manager),
    ['z', 'a', 'b']
  )
})
apply('a manager’s name is as long as an option may be', () => {
  const after = widget({ free: { a: 1 } })
  trackUpdate({ type: WIDGET, before: undefined, after, manager: 'm'.repeat(200), apiVersion: 'e.com/v1', time: '' })
  assert.is(ownersOf(after)[0]?.manager, 'm'.repeat(128))
})
apply('free JSON is owned entry by entry, and what becomes a map or none any more as a whole', () => {
  const first = applied(undefined, { free: { a: { b: 1 }, c: [1] } })
  assert.equal(fieldsOf(first), { 'f:free': { 'f:a': { '.': {}, 'f:b': {} }, 'f:c': {} } })
  const second = applied(first, { free: { a: 'text' } }, { manager: 'two' })
  assert.equal(second['free'], { a: 'text', c: [1] })
  assert.equal(
    ownersOf(second).map(({ manager, fieldsV1 }) => [manager, fieldsV1]),
    [
      ['one', { 'f:free': { 'f:c': {} } }],
      ['two', { 'f:free': { 'f:a': {} } }]
    ]
  )
})
apply('keys of an item are written in the order of the alphabet, numbers of a set in theirs', () => {
  const object = applied(undefined, { list: [{ port: 1, host: 'h' }], numbers: [10, 9, 2] })
  assert.equal(Object.keys((fieldsOf(object) as { 'f:list': object })['f:list']), ['k:{"host":"h","port":1}'])
  assert.equal(Object.keys((fieldsOf(object) as { 'f:numbers': object })['f:numbers']), ['v:2', 'v:9', 'v:10'])
  assert.equal(Object.keys(sorted({ 'v:"b"': {}, 'v:1': {}, 'f:z': {}, '.': {}, 'k:{"a":1}': {} })), [
    '.',
    'f:z',
    'k:{"a":1}',
    'v:1',
    'v:"b"'
  ])
})
apply('an item without its keys is a fault where it is sent, and ends what could be told apart where it is stored', () => {
  const refusal = (run: () => unknown): string => {
    try {
      run()
    } catch (error) {
      if (error instanceof Refusal) return `${error.status.code} ${error.message}`
      throw error
    }
    return 'none'
  }
  const bad = { list: [{ note: 'n' }] }
  assert.match(
    refusal(() => applied(undefined, bad)),
    /^400 .*\.list: element 0: .*omits all key fields/
  )
  assert.match(
    refusal(() => applied(widget(bad), { list: [{ port: 1, host: 'h' }] })),
    /^400 failed to create typed live object/
  )
  const after = widget(bad)
  trackUpdate({ type: WIDGET, before: undefined, after, manager: 'm', apiVersion: 'e.com/v1', time: '' })
  assert.equal(ownersOf(after), [])
})
apply('of a document that fits nowhere a hundred faults are told', () => {
  const list = Array.from({ length: 1_000 }, (_, n) => ({ port: n, host: 1 }))
  try {
    applied(undefined, { list })
    assert.unreachable()
  } catch (error) {
    assert.instance(error, Refusal)
    assert.is((error as Refusal).message.split('\n').length, 101)
  }
})

apply.run()
