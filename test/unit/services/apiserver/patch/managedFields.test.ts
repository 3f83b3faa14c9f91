/** Who owns which fields, where a client brings a list of its own: it is taken as upstream takes it, or it counts for nothing. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject, ManagedFieldsEntry } from '#events/KubeObject.ts'
import { accepted, startTestApi, type TestApi } from '#test/support/api.ts'

const CONFIG_MAPS = { group: '', resource: 'configmaps' }
const NAMED = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', namespace: 'default' } as const

const lab = async (): Promise<TestApi> => {
  const api = await startTestApi()
  const data = { x: '1', y: '1' }
  accepted(
    await api.create(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' }, data },
      { options: { fieldManager: 'first' } }
    )
  )
  return api
}

const entry = (manager: string, fieldsV1: unknown, more: object = {}): ManagedFieldsEntry =>
  ({
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1,
    ...more
  }) as ManagedFieldsEntry

/** Writes x anew, with that list, and answers whose the fields are then. */
const bringing = async (
  api: TestApi,
  managedFields: readonly unknown[] | undefined,
  more: object = {}
): Promise<Record<string, unknown>> => {
  const { metadata, ...rest } = api.get(NAMED) as KubeObject
  const { managedFields: _, ...kept } = metadata
  const object = {
    ...rest,
    metadata: { ...kept, ...(managedFields === undefined ? {} : { managedFields }) },
    data: { x: String(Math.random()), y: '1' }
  } as unknown as KubeObject
  const written = accepted(
    await api.submit({
      verb: 'update',
      ref: CONFIG_MAPS,
      namespace: 'default',
      name: 'a',
      object,
      options: { fieldManager: 'second' },
      ...more
    })
  )
  return Object.fromEntries((written.metadata.managedFields ?? []).map(({ manager, fieldsV1 }) => [manager, fieldsV1]))
}

const managedFields = suite('a list of owners that a client brings')

managedFields('is the list from then on', async () => {
  const api = await lab()
  assert.equal(await bringing(api, [entry('mine', { 'f:data': { 'f:y': {} } })]), {
    mine: { 'f:data': { 'f:y': {} } },
    second: { 'f:data': { 'f:x': {} } }
  })
})
managedFields('takes nothing from anybody when it is not brought', async () => {
  const api = await lab()
  assert.equal(await bringing(api, undefined), { first: { 'f:data': { '.': {}, 'f:y': {} } }, second: { 'f:data': { 'f:x': {} } } })
})
managedFields('ends all ownership when it is empty, until somebody applies', async () => {
  for (const nobody of [[], [{}]]) {
    const api = await lab()
    assert.equal(await bringing(api, nobody), {})
    assert.equal(await bringing(api, undefined), {})
  }
})

/** Two at a time, so that they have to be put in order. */
const UNREADABLE: Readonly<Record<string, unknown>> = {
  'keys that are no JSON': { 'f:data': { 'f:x': {} }, 'k:a': {}, 'k:b': {} },
  'keys that are no object': { 'f:data': { 'f:x': {} }, 'k:null': {}, 'k:[1]': {} },
  'values that are no JSON': { 'f:data': { 'f:x': {}, 'v:a': {}, 'v:b': {} } },
  'places that are no number': { 'f:data': { 'f:x': {}, 'i:a': {}, 'i:b': {} } },
  'segments of no kind': { 'f:data': { 'f:x': {} }, 'x:a': {}, y: {} },
  'fields that are no set': { 'f:data': { 'f:x': 'yes' } },
  'a prototype': JSON.parse('{"f:data":{"f:x":{}},"__proto__":{"f:a":{}}}') as unknown
}
for (const [what, fieldsV1] of Object.entries(UNREADABLE))
  managedFields(`counts for nothing with ${what} in it`, async () => {
    const api = await lab()
    assert.equal(await bringing(api, [entry('mine', fieldsV1)]), {
      first: { 'f:data': { '.': {}, 'f:y': {} } },
      second: { 'f:data': { 'f:x': {} } }
    })
  })
for (const more of [{ operation: 'Steal' }, { apiVersion: '' }, { fieldsType: 'FieldsV2' }])
  managedFields(`counts for nothing with ${JSON.stringify(more)} in it`, async () => {
    const api = await lab()
    const owners = await bringing(api, [entry('mine', { 'f:data': {} }, more)])
    assert.equal(Object.keys(owners).toSorted(), ['first', 'second'])
  })
managedFields('may name what is called like a prototype', async () => {
  const api = await lab()
  const odd = JSON.parse('{"f:data":{"f:__proto__":{},"f:constructor":{}}}') as object
  assert.equal(Object.keys((await bringing(api, [entry('mine', odd)]))['mine'] as object), ['f:data'])
  assert.is(({} as Record<string, unknown>)['f:a'], undefined)
})
managedFields('has the places of a list in it, as an old one may', async () => {
  const api = await lab()
  assert.ok('mine' in (await bringing(api, [entry('mine', { 'f:data': { 'f:x': {} }, 'i:2': {}, 'i:1': {} })])))
})

managedFields.run()
