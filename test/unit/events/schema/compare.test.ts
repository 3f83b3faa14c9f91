/** The comparison with a server's documents sees every kind of difference, and none where there is none. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openapiV3 } from '#services/apiserver/openapi/documents.ts'
import { KINDS } from '#test/support/builtIns.ts'
import { compareSchemas, explained, minorOf, versionOf, type OpenApiDocument } from '#test/oracle/compareSchemas.ts'

const compare = suite('schemas compared')
const own = (): OpenApiDocument => openapiV3(KINDS, 'apps', 'v1', 'v1.34.0') as OpenApiDocument

compare('our own documents say what our types say', () => {
  const { types, fields, differences } = compareSchemas([own()])
  assert.ok(types > 100 && fields > 500, `${types} types, ${fields} fields`)
  assert.equal(differences, [])
})
compare('each difference is told', () => {
  const document = structuredClone(own())
  const spec = document.components?.schemas?.['io.k8s.api.apps.v1.DeploymentSpec'] as {
    properties: Record<string, Record<string, unknown>>
    required: string[]
  }
  spec.properties['more'] = { type: 'string' }
  delete spec.properties['paused']
  spec.properties['replicas'] = { type: 'string' }
  spec.required = ['template', 'replicas']
  const containers = (document.components?.schemas?.['io.k8s.api.core.v1.PodSpec'] as typeof spec).properties['containers'] as Record<
    string,
    unknown
  >
  containers['x-kubernetes-list-type'] = 'set'
  assert.equal(compareSchemas([document]).differences, [
    'io.k8s.api.apps.v1.DeploymentSpec.more: missing here (string)',
    'io.k8s.api.apps.v1.DeploymentSpec.paused: only here',
    'io.k8s.api.apps.v1.DeploymentSpec.replicas: integer/int32 here, string there',
    'io.k8s.api.apps.v1.DeploymentSpec.replicas: required there only',
    'io.k8s.api.apps.v1.DeploymentSpec.selector: required here only',
    'io.k8s.api.core.v1.PodSpec.containers: x-kubernetes-list-type is map here, set there'
  ])
})
compare('what is ours is told from what another version has otherwise', () => {
  assert.equal(explained(['a', 'b', 'c'], ['b', 'd']), { ours: ['b'], theirs: ['a', 'c'] })
  assert.is(versionOf([{ info: { version: 'unversioned' } }, own()]), 'v1.34.0')
  assert.is(versionOf([{ info: { version: 'unversioned' } }]), undefined)
  assert.is(minorOf('v1.36.3+k3s1'), 'v1.36')
})
compare.run()
