import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { rootOfJson } from '#events/schema/structural.ts'
import { openapiV2, openapiV3 } from '#services/apiserver/openapi/documents.ts'
import { OpenApi, type OpenApiAnswer } from '#services/apiserver/openapi/OpenApi.ts'
import type { OpenApiKind } from '#services/apiserver/openapi/schemas.ts'
import { builtInKinds } from '#test/unit/services/apiserver/discovery/kinds.ts'

// Documents are walked freely here.
type Any = any

const widget: OpenApiKind = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  resource: 'widgets',
  singular: 'widget',
  namespaced: true,
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  schema: rootOfJson({ type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } } }, 'v1.Widget')
}
const kinds: readonly OpenApiKind[] = [...builtInKinds, widget]

/** Every $ref in a document. */
const refs = (value: unknown, found = new Set<string>()): Set<string> => {
  if (typeof value !== 'object' || value === null) return found
  for (const [key, each] of Object.entries(value)) {
    if (key === '$ref' && typeof each === 'string') found.add(each)
    else refs(each, found)
  }
  return found
}

const openapi = suite('openapi documents')

openapi('refers to nothing that is not there', () => {
  for (const [group, version] of new Set(kinds.map((kind) => [kind.group, kind.version] as const))) {
    const document = openapiV3(kinds, group, version, 'v1.33.0') as Any
    for (const ref of refs(document))
      assert.ok(document.components.schemas[ref.replace('#/components/schemas/', '')], `${group}/${version}: ${ref}`)
  }
  const v2 = openapiV2(kinds, 'v1.33.0') as Any
  for (const ref of refs(v2)) assert.ok(v2.definitions[ref.replace('#/definitions/', '')], ref)
})

openapi('carries what clients look for in a PATCH', () => {
  const document = openapiV3(kinds, 'apps', 'v1', 'v1.33.0') as Any
  const { patch } = document.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']
  assert.equal(patch['x-kubernetes-group-version-kind'], { group: 'apps', version: 'v1', kind: 'Deployment' })
  assert.equal(
    patch.parameters.map((each: Any) => each.name),
    ['dryRun', 'fieldManager', 'fieldValidation', 'force']
  )
  const scale = document.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale']
  assert.equal(scale.get['x-kubernetes-group-version-kind'], { group: 'autoscaling', version: 'v1', kind: 'Scale' })
  assert.equal(scale.put.requestBody.content['application/json'].schema, { $ref: '#/components/schemas/io.k8s.api.autoscaling.v1.Scale' })
  assert.ok(document.paths['/apis/apps/v1/deployments'].get)
})

openapi('carries how lists and maps merge', () => {
  const { schemas } = (openapiV3(kinds, '', 'v1', 'v1.33.0') as Any).components
  const { ports } = schemas['io.k8s.api.core.v1.Container'].properties
  assert.equal(
    { ...ports, description: undefined },
    {
      description: undefined,
      type: 'array',
      items: { $ref: '#/components/schemas/io.k8s.api.core.v1.ContainerPort' },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'containerPort'
    }
  )
  assert.is(schemas['io.k8s.api.core.v1.PodSpec'].properties.volumes['x-kubernetes-patch-strategy'], 'merge,retainKeys')
  assert.is(schemas['io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector']['x-kubernetes-map-type'], 'atomic')
  assert.equal(schemas['io.k8s.api.core.v1.ContainerPort'].required, ['containerPort'])
  assert.equal(schemas['io.k8s.api.core.v1.Pod']['x-kubernetes-group-version-kind'], [{ group: '', kind: 'Pod', version: 'v1' }])
})

openapi('documents a custom kind by its own schema', () => {
  const document = openapiV3(kinds, 'example.com', 'v1', 'v1.33.0') as Any
  const schema = document.components.schemas['com.example.v1.Widget']
  assert.equal(Object.keys(schema.properties), ['spec', 'apiVersion', 'kind', 'metadata'])
  assert.equal(schema['x-kubernetes-group-version-kind'], [{ group: 'example.com', kind: 'Widget', version: 'v1' }])
  assert.ok(document.components.schemas['com.example.v1.WidgetList'])
})

openapi.run()

const serving = suite('OpenApi')
const server = new OpenApi(kinds, 'v1.33.0')
const answer = (request: Parameters<OpenApi['answer']>[0]): OpenApiAnswer => {
  const result = server.answer(request)
  assert.ok(result)
  return result
}
const text = (body: Uint8Array): string => Buffer.from(body).toString()

serving('points the index at documents by the hash of their content', () => {
  const index = answer({ path: '/openapi/v3', accept: 'application/json' })
  const url = JSON.parse(text(index.body)).paths['apis/apps/v1'].serverRelativeURL as string
  assert.match(url, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{128}$/)
  const [path = '', hash] = url.split('?hash=')
  const document = answer({ path, hash })
  assert.is(document.headers['Cache-Control'], 'public, immutable')
  assert.is(document.headers['ETag'], `"${hash}"`)
  assert.is(JSON.parse(text(document.body)).openapi, '3.0.0')
  assert.is(answer({ path, hash, ifNoneMatch: `"${hash}"` }).code, 304)
  const stale = answer({ path, hash: 'OLD' })
  assert.equal([stale.code, stale.headers['Location']], [301, url])
})

serving('compresses once and only when asked', () => {
  const plain = answer({ path: '/openapi/v3/api/v1' })
  const first = answer({ path: '/openapi/v3/api/v1', acceptEncoding: 'gzip' })
  assert.is(first.headers['Content-Encoding'], 'gzip')
  assert.is(answer({ path: '/openapi/v3/api/v1', acceptEncoding: 'deflate, gzip' }).body, first.body)
  assert.is(text(gunzipSync(first.body)), text(plain.body))
})

serving('answers v2 in the five bytes kubectl can parse, or in JSON', () => {
  const protobuf = answer({ path: '/openapi/v2', accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' })
  assert.is(protobuf.headers['Content-Type'], 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
  assert.is(Buffer.from(protobuf.body).toString('hex'), '0a03322e30')
  assert.is(JSON.parse(text(answer({ path: '/openapi/v2', accept: 'application/json' }).body)).swagger, '2.0')
})

serving('refuses what it has not', () => {
  assert.is(answer({ path: '/openapi/v3/apis/nope/v1' }).code, 404)
  assert.is(answer({ path: '/openapi/v3/apis' }).code, 404)
  assert.is(answer({ path: '/openapi/v3', accept: 'text/html' }).code, 406)
  assert.is(server.answer({ path: '/openapi/v4' }), undefined)
})

serving.run()
