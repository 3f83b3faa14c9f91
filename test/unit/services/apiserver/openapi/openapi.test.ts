import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { rootOfJson } from '#events/schema/structural.ts'
import { groupVersionPaths, openapiV2, openapiV3 } from '#services/apiserver/openapi/documents.ts'
import { GroupVersions } from '#services/apiserver/openapi/GroupVersions.ts'
import { OpenApi, type OpenApiAnswer } from '#services/apiserver/openapi/OpenApi.ts'
import type { OpenApiKind } from '#services/apiserver/openapi/schemas.ts'
import { at } from '#test/support/kinds.ts'
import { builtInKinds } from '#test/unit/services/apiserver/discovery/kinds.ts'

/** As far as it is walked here. */
interface Walked {
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
  readonly definitions: Readonly<Record<string, Schema>>
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}
interface Schema {
  readonly properties: Readonly<Record<string, object>>
  readonly required?: readonly string[]
  readonly 'x-kubernetes-map-type'?: string
  readonly 'x-kubernetes-group-version-kind'?: readonly object[]
}
interface Put {
  readonly requestBody: { readonly content: { readonly 'application/json': { readonly schema: object } } }
}
interface Operation {
  readonly parameters: readonly { readonly name: string }[]
  readonly 'x-kubernetes-group-version-kind'?: object
}
const v3 = (group: string, version: string): Walked => openapiV3(kinds, group, version, 'v1.33.0') as unknown as Walked

const widget: OpenApiKind = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  resource: 'widgets',
  singular: 'widget',
  namespaced: true,
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
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
    const document = v3(group, version)
    for (const ref of refs(document))
      assert.ok(document.components.schemas[ref.replace('#/components/schemas/', '')], `${group}/${version}: ${ref}`)
  }
  const v2 = openapiV2(kinds, 'v1.33.0') as unknown as Walked
  for (const ref of refs(v2)) assert.ok(v2.definitions[ref.replace('#/definitions/', '')], ref)
})

openapi('carries what clients look for in a PATCH', () => {
  const document = v3('apps', 'v1')
  const patch = document.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.['patch']
  assert.equal(patch?.['x-kubernetes-group-version-kind'], { group: 'apps', version: 'v1', kind: 'Deployment' })
  assert.equal(
    patch?.parameters.map((each) => each.name),
    ['dryRun', 'fieldManager', 'fieldValidation', 'force']
  )
  const scale = document.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale']
  assert.equal(scale?.['get']?.['x-kubernetes-group-version-kind'], { group: 'autoscaling', version: 'v1', kind: 'Scale' })
  assert.equal((scale?.['put'] as unknown as Put).requestBody.content['application/json'].schema, {
    $ref: '#/components/schemas/io.k8s.api.autoscaling.v1.Scale'
  })
  assert.ok(document.paths['/apis/apps/v1/deployments']?.['get'])
})

openapi('offers the patch types a kind takes: kubectl applies custom objects by what stands there', () => {
  const types = (path: string, group: string): readonly string[] =>
    Object.keys(at(v3(group, 'v1').paths[path]?.['patch'], 'requestBody.content') as object)
  const custom = ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml']
  const item = '/apis/example.com/v1/namespaces/{namespace}/widgets/{name}'
  assert.equal(types(item, 'example.com'), custom)
  assert.equal(types(`${item}/status`, 'example.com'), custom)
  assert.ok(types('/apis/apps/v1/namespaces/{namespace}/deployments/{name}', 'apps').includes('application/strategic-merge-patch+json'))
  assert.equal(at((openapiV2(kinds, 'v1.33.0') as unknown as Walked).paths[item]?.['patch'], 'consumes'), custom)
})

openapi('carries how lists and maps merge', () => {
  const { schemas } = v3('', 'v1').components
  const ports = schemas['io.k8s.api.core.v1.Container']?.properties['ports']
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
  assert.is(at(schemas['io.k8s.api.core.v1.PodSpec'], 'properties.volumes.x-kubernetes-patch-strategy'), 'merge,retainKeys')
  assert.is(schemas['io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector']?.['x-kubernetes-map-type'], 'atomic')
  assert.equal(schemas['io.k8s.api.core.v1.ContainerPort']?.required, ['containerPort'])
  assert.equal(schemas['io.k8s.api.core.v1.Pod']?.['x-kubernetes-group-version-kind'], [{ group: '', kind: 'Pod', version: 'v1' }])
})

openapi('documents a custom kind by its own schema', () => {
  const document = v3('example.com', 'v1')
  const schema = document.components.schemas['com.example.v1.Widget']
  assert.equal(Object.keys(schema?.properties ?? {}), ['spec', 'apiVersion', 'kind', 'metadata'])
  assert.equal(schema?.['x-kubernetes-group-version-kind'], [{ group: 'example.com', kind: 'Widget', version: 'v1' }])
  assert.ok(document.components.schemas['com.example.v1.WidgetList'])
})

openapi.run()

const serving = suite('OpenApi')
const server = new OpenApi(kinds, new GroupVersions('v1.33.0'))
const answer = (request: Parameters<OpenApi['answer']>[0]): OpenApiAnswer => {
  const result = server.answer(request)
  assert.ok(result)
  return result
}
const NONE = new Uint8Array(0)
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

serving('of definitions that change makes the documents of their group versions again, and of no other', () => {
  const made: string[] = []
  const groupVersions = new GroupVersions('v1.33.0', (all, group, version, serverVersion) => {
    made.push(`${group}/${version}`)
    return openapiV3(all, group, version, serverVersion)
  })
  const custom = (n: number, size: string): OpenApiKind => ({
    ...widget,
    group: `group-${n}.example.com`,
    schema: rootOfJson({ type: 'object', properties: { [size]: { type: 'integer' } } }, `v1.Widget${n}`)
  })
  const before = [...kinds, ...Array.from({ length: 20 }, (_, n) => custom(n, 'size'))]
  const after = before.map((kind) => (kind.group === 'group-7.example.com' ? custom(7, 'color') : kind))
  const others = after.filter(({ group }) => group !== 'group-3.example.com')
  const documentsOf = (served: readonly OpenApiKind[]): string[] => {
    const one = new OpenApi(served, groupVersions)
    const index = JSON.parse(text(one.answer({ path: '/openapi/v3' })?.body ?? NONE)) as { readonly paths: object }
    return Object.keys(index.paths).map((path) => text(one.answer({ path: `/openapi/v3/${path}` })?.body ?? NONE))
  }
  const fresh = (served: readonly OpenApiKind[]): string[] =>
    groupVersionPaths(served).map((path) => {
      const [group = '', version = ''] = path.startsWith('api/') ? ['', path.slice(4)] : path.split('/').slice(1)
      return JSON.stringify(openapiV3(served, group, version, 'v1.33.0'))
    })
  assert.equal(documentsOf(before), fresh(before))
  assert.is(made.splice(0).length, groupVersionPaths(before).length)
  assert.equal(documentsOf(after), fresh(after))
  assert.equal(made.splice(0), ['group-7.example.com/v1'])
  assert.equal(documentsOf(others), fresh(others))
  assert.equal(made, [], 'a definition that goes leaves the others as they were')
  const gadget = (size: string): OpenApiKind => ({ ...custom(3, size), kind: 'Gadget', resource: 'gadgets' })
  for (const two of [[...after, gadget('size')], [...after, gadget('color')], after]) {
    assert.equal(documentsOf(two), fresh(two))
    assert.equal(made.splice(0), ['group-3.example.com/v1'])
  }
})

serving.run()
