/** Custom kinds on the decider and its loops: they come and go at run time, and nothing of theirs stays behind. */
import { setAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { definitionOf, startServed, versionOf, type Served } from '#test/support/served.ts'

const crds = suite('custom kinds at run time')
let served: Served

crds.before(async () => {
  served = await startServed(false)
})
crds.after(async () => {
  const { errors } = served.server
  await served.stop()
  assert.equal(errors, [])
})

const GADGETS = '/apis/example.com/v1/namespaces/default/gadgets'
const gadget = (name: string, more: Record<string, unknown> = {}, meta: Record<string, unknown> = {}): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Gadget',
  metadata: { name, ...meta },
  ...more
})

crds('a custom object is owned, and collected, as any other; a namespace takes it along', async () => {
  const { server } = served
  await served.define(definitionOf('Gadget', [versionOf('v1', { properties: { size: { type: 'integer' } } })]))
  const owner = (await server.json('POST', GADGETS, gadget('owner', { spec: { size: 1 } }))).object
  const reference = { apiVersion: 'example.com/v1', kind: 'Gadget', name: 'owner', uid: owner.metadata.uid }
  assert.is(
    (
      await server.json('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'owned', ownerReferences: [reference] }
      })
    ).code,
    201
  )
  assert.is((await server.json('POST', GADGETS, gadget('child', {}, { ownerReferences: [reference] }))).code, 201)
  assert.is((await server.json('DELETE', `${GADGETS}/owner`)).code, 200)
  await served.until(
    'what it owned is gone',
    async () =>
      (await server.json('GET', '/api/v1/namespaces/default/configmaps/owned')).code === 404 &&
      (await server.json('GET', `${GADGETS}/child`)).code === 404
  )
  assert.is(
    (await server.json('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })).code,
    201
  )
  assert.is((await server.json('POST', '/apis/example.com/v1/namespaces/shop/gadgets', gadget('a'))).code, 201)
  assert.is((await server.json('DELETE', '/api/v1/namespaces/shop')).code, 200)
  await served.until('the namespace is gone', async () => (await server.json('GET', '/api/v1/namespaces/shop')).code === 404)
  assert.equal(server.api.views.collection({ group: 'example.com', resource: 'gadgets' }).list(), [])
})
crds('discovery and OpenAPI follow, and say what has changed', async () => {
  const { server } = served
  const before = await server.send({ method: 'GET', path: '/apis/example.com/v1' })
  assert.equal(
    (JSON.parse(before.text) as { resources: { name: string }[] }).resources.map(({ name }) => name),
    ['gadgets']
  )
  const openapi = await server.send({ method: 'GET', path: '/openapi/v3/apis/example.com/v1' })
  const schema = (JSON.parse(openapi.text) as { components: { schemas: Record<string, { properties: { spec: unknown } }> } }).components
    .schemas['com.example.v1.Gadget']
  assert.equal(schema?.properties.spec, { type: 'object', properties: { size: { type: 'integer' } } })
  const changed = (await server.json('GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.example.com')).object
  setAt(changed, 'spec.versions.0.subresources', { status: {} })
  setAt(changed, 'spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.color', { type: 'string', default: 'red' })
  assert.is((await server.json('POST', GADGETS, gadget('old', { spec: { size: 1 } }))).code, 201)
  assert.is((await server.json('PUT', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.example.com', changed)).code, 200)
  const after = await server.send({ method: 'GET', path: '/apis/example.com/v1' })
  assert.equal(
    (JSON.parse(after.text) as { resources: { name: string }[] }).resources.map(({ name }) => name),
    ['gadgets', 'gadgets/status']
  )
  assert.is.not(after.headers['etag'], before.headers['etag'])
  // An object of before has the default of now, in every way it is read.
  assert.equal((await server.json('GET', `${GADGETS}/old`)).object['spec'], { size: 1, color: 'red' })
  assert.equal(
    ((await server.json('GET', GADGETS)).object['items'] as KubeObject[]).map((item) => item['spec']),
    [{ size: 1, color: 'red' }]
  )
})
crds('a status and the rest are written apart, and a scale writes where the definition says', async () => {
  const { server } = served
  const properties = { pool: { type: 'object', properties: { size: { type: 'integer' } } } }
  const status = { type: 'object', properties: { now: { type: 'integer' }, selector: { type: 'string' } } }
  const version = versionOf(
    'v1',
    { properties },
    {
      subresources: {
        status: {},
        scale: { specReplicasPath: '.spec.pool.size', statusReplicasPath: '.status.now', labelSelectorPath: '.status.selector' }
      }
    }
  )
  Object.assign((version['schema'] as { openAPIV3Schema: { properties: object } }).openAPIV3Schema.properties, { status })
  await served.define(definitionOf('Cluster', [version]))
  const path = '/apis/example.com/v1/namespaces/default/clusters'
  const object = (spec: unknown, told: unknown): KubeObject =>
    ({ apiVersion: 'example.com/v1', kind: 'Cluster', metadata: { name: 'a' }, spec, status: told }) as KubeObject
  const halves = async (): Promise<unknown> => {
    const {
      spec,
      status: told,
      metadata
    } = (await server.json('GET', `${path}/a`)).object as KubeObject & { spec: unknown; status: unknown }
    return [spec, told, metadata.generation]
  }
  assert.is((await server.json('POST', path, object({ pool: { size: 1 } }, { now: 9 }))).code, 201)
  assert.equal(await halves(), [{ pool: { size: 1 } }, undefined, 1])
  assert.is((await server.json('PUT', `${path}/a/status`, object({ pool: { size: 7 } }, { now: 1, selector: 'a=b' }))).code, 200)
  assert.equal(await halves(), [{ pool: { size: 1 } }, { now: 1, selector: 'a=b' }, 1])
  assert.is((await server.json('PUT', `${path}/a`, object({ pool: { size: 2 } }, { now: 8 }))).code, 200)
  assert.equal(await halves(), [{ pool: { size: 2 } }, { now: 1, selector: 'a=b' }, 2])
  const scaled = await server.json('PATCH', `${path}/a/scale`, { spec: { replicas: 5 } }, 'application/merge-patch+json')
  assert.equal([scaled.code, scaled.object['spec'], scaled.object['status']], [200, { replicas: 5 }, { replicas: 1, selector: 'a=b' }])
  assert.equal(await halves(), [{ pool: { size: 5 } }, { now: 1, selector: 'a=b' }, 3])
  const stale = { ...scaled.object, metadata: { ...scaled.object.metadata, resourceVersion: '1' } }
  assert.is((await server.json('PUT', `${path}/a/scale`, stale)).code, 409)
})
crds('a definition that goes takes no new objects, waits for finalizers, and ends its watches', async () => {
  const { server } = served
  assert.is((await server.json('POST', GADGETS, gadget('kept', {}, { finalizers: ['example.com/mine'] }))).code, 201)
  const watch = server.send({ method: 'GET', path: `${GADGETS}?watch=1` })
  assert.is((await server.json('DELETE', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.example.com')).code, 200)
  await served.until(
    'only what is kept is left',
    async () => ((await server.json('GET', GADGETS)).object['items'] as unknown[]).length === 1
  )
  const { code, object } = await server.json('POST', GADGETS, gadget('late'))
  assert.equal([code, object['message']], [405, 'create not allowed while custom resource definition is terminating'])
  assert.is((await server.json('PATCH', `${GADGETS}/kept`, { metadata: { finalizers: null } }, 'application/merge-patch+json')).code, 200)
  const lines = (await watch).text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; object: KubeObject })
  assert.equal(
    lines
      .filter(({ type }) => type === 'DELETED')
      .map(({ object: { metadata } }) => metadata.name)
      .sort(),
    ['kept', 'old']
  )
  assert.is((await server.json('GET', GADGETS)).code, 404)
  assert.is(server.api.views.api.kindOf({ group: 'example.com', resource: 'gadgets' }), undefined)
})
crds.run()
