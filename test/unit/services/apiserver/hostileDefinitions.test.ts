/** Definitions that mean harm: whoever may make kinds may not thereby reach into the process that serves them. */
import { at } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CustomResourceDefinition } from '#events/apiextensions/CustomResourceDefinition.ts'
import { DEFINITIONS } from '#events/collections.ts'
import { statusWith, takenBy } from '#events/apiextensions/names.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Entry } from '#projections/Objects.ts'
import { customresourcedefinition } from '#services/controller-manager/customresourcedefinition/controller.ts'
import type { ControllerWatch } from '#services/platform/decision.ts'
import { startTestApi, type TestApi } from '#test/support/api.ts'
import { definitionOf, versionOf } from '#test/support/served.ts'

const WIDGETS = { group: 'example.com', resource: 'widgets' }

const serving = async (version: Parameters<typeof versionOf>): Promise<TestApi> => {
  const api = await startTestApi()
  const made = await api.create(definitionOf('Widget', [versionOf(...version)]), { ref: DEFINITIONS })
  assert.ok(made.ok, JSON.stringify(made))
  const object = structuredClone((made as { readonly object: KubeObject }).object)
  const status = statusWith(object, takenBy([], [], []), '2030-01-01T00:00:00Z')
  assert.ok(
    (
      await api.submit({
        verb: 'update',
        ref: DEFINITIONS,
        name: object.metadata.name as string,
        subresource: 'status',
        object: { ...object, status } as unknown as KubeObject
      })
    ).ok
  )
  return api
}

const hostile = suite('hostile definitions')

hostile('a scale path leads nowhere but into the object', async () => {
  for (const path of ['.spec.__proto__.polluted', '.spec.constructor.prototype.polluted', '.spec.name.size']) {
    const api = await serving([
      'v1',
      { 'x-kubernetes-preserve-unknown-fields': true },
      { subresources: { scale: { specReplicasPath: path, statusReplicasPath: '.status.n' } } }
    ])
    const created = await api.submit({
      verb: 'create',
      ref: WIDGETS,
      namespace: 'default',
      name: 'w',
      object: {
        apiVersion: 'example.com/v1',
        kind: 'Widget',
        metadata: { name: 'w', namespace: 'default' },
        spec: { name: 'text' }
      } as unknown as KubeObject
    })
    assert.ok(created.ok, JSON.stringify(created))
    const scaled = await api.submit({
      verb: 'patch',
      ref: WIDGETS,
      namespace: 'default',
      name: 'w',
      subresource: 'scale',
      patch: { type: 'application/merge-patch+json', body: { spec: { replicas: 7 } } }
    })
    assert.ok(scaled.ok, JSON.stringify(scaled))
    assert.is(({} as Record<string, unknown>)['polluted'], undefined, path)
    assert.is(at((scaled as { readonly object: KubeObject }).object, 'spec.replicas'), 7)
  }
})
hostile('hundreds of definitions in a group cost each other nothing', async () => {
  const api = await startTestApi()
  const accept = async (kind: string, taken = takenBy([], [], [])): Promise<Entry> => {
    const name = `${kind.toLowerCase()}s.example.com`
    assert.ok((await api.create(definitionOf(kind, [versionOf('v1', {})]), { ref: DEFINITIONS })).ok)
    const { object } = api.views.get({ ...DEFINITIONS, namespace: '', name }) as Entry
    assert.ok(
      (
        await api.submit({
          verb: 'update',
          ref: DEFINITIONS,
          name,
          subresource: 'status',
          object: { ...structuredClone(object), status: statusWith(object, taken, '2030-01-01T00:00:00Z') } as unknown as KubeObject
        })
      ).ok
    )
    return api.views.get({ ...DEFINITIONS, namespace: '', name }) as Entry
  }
  const first = await accept('First')
  const made = api.views.api.kindOf({ group: 'example.com', resource: 'firsts' })
  // What was parsed gives way to other objects.
  while (!first.letGo());
  const second = await accept('Second')
  const refused = await accept('Third', { resources: new Set(['thirds']), kinds: new Set() })
  assert.is(api.views.api.kindOf({ group: 'example.com', resource: 'firsts' }), made)
  assert.ok(api.views.api.kindOf({ group: 'example.com', resource: 'seconds' }))
  const [watch] = customresourcedefinition.watches as readonly ControllerWatch[]
  const keys = watch?.keys({ type: 'MODIFIED', entry: second, previous: undefined }, api.views, api.views.api)
  assert.equal(keys, [second.id, refused.id], 'only those are looked at again that lack a name')
})
hostile('a thousand versions, or fields, are looked at once each', () => {
  const properties = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`f${at}`, { type: 'string' }]))
  const versions = Array.from({ length: 1_000 }, (_, at) => ({
    ...versionOf(`v${at + 1}`, { properties: structuredClone(properties) }),
    storage: at === 0
  }))
  const wide = Object.fromEntries(Array.from({ length: 30_000 }, (_, at) => [`f${at}`, { type: 'string' }]))
  for (const definition of [
    definitionOf('Widget', versions),
    definitionOf('Widget', [versionOf('v1', { properties: wide, required: Object.keys(wide) })])
  ]) {
    CustomResourceDefinition.default?.(definition)
    const before = performance.now()
    assert.equal(CustomResourceDefinition.validate?.(definition), [])
    assert.ok(performance.now() - before < 5_000)
  }
})
hostile.run()
