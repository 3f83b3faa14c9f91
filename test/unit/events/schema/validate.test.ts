import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { duplicateFields } from '#events/schema/duplicates.ts'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { cannotDecode, decodeStrict, strictDecodingError } from '#events/schema/validate.ts'

const kind = (group: string, version: string, name: string): TypeSchema => {
  const type = typeOfKind(group, version, name)
  assert.ok(type, `${name} has a type`)
  return type
}
const deployment = kind('apps', 'v1', 'Deployment')
const pod = kind('', 'v1', 'Pod')
const service = kind('', 'v1', 'Service')
const configMap = kind('', 'v1', 'ConfigMap')
const secret = kind('', 'v1', 'Secret')
const lease = kind('coordination.k8s.io', 'v1', 'Lease')

const web = (container: Record<string, unknown>): unknown => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: { replicas: 3, template: { spec: { containers: [{ name: 'c', image: 'nginx' }, container] } } }
})

const decode = suite('decodeStrict')

decode('answers an equal object that shares nothing with what was given', () => {
  const given = web({ name: 'd', ports: [{ containerPort: 80 }], resources: { limits: { cpu: '1', memory: '1Gi' } } })
  const result = decodeStrict(deployment, given, 'Strict')
  assert.equal(result.value, given)
  const parts = (value: unknown): unknown[] =>
    typeof value === 'object' && value !== null ? [value, ...Object.values(value).flatMap(parts)] : []
  const theirs = new Set(parts(given))
  assert.equal(
    parts(result.value).filter((part) => theirs.has(part)),
    []
  )
  assert.equal(result.unknownFields, [])
  assert.equal(result.errors, [])
})

decode('reports unknown fields with their path and drops them', () => {
  const given = web({ name: 'd', imagee: 'x', ports: [{ containerPort: 80, hostport: 1 }] })
  const result = decodeStrict(deployment, { ...(given as object), speck: {} }, 'Strict')
  assert.equal(result.unknownFields, [
    'unknown field "spec.template.spec.containers[1].imagee"',
    'unknown field "spec.template.spec.containers[1].ports[0].hostport"',
    'unknown field "speck"'
  ])
  assert.equal(result.value, web({ name: 'd', ports: [{ containerPort: 80 }] }))
  assert.equal(decodeStrict(deployment, { speck: 1 }, 'Ignore'), { value: {}, unknownFields: [], errors: [] })
})

decode('leaves its argument alone', () => {
  const given = { metadata: { name: 'a', nme: 1 }, data: { a: 1 } }
  const copy = structuredClone(given)
  decodeStrict(configMap, given, 'Warn')
  assert.equal(given, copy)
})

decode('says a wrong type in the words of the Go decoder', () => {
  const first = (type: TypeSchema, value: unknown): string | undefined => decodeStrict(type, value, 'Warn').errors[0]
  assert.is(
    first(deployment, web({ ports: [{ containerPort: '80' }] })),
    'json: cannot unmarshal string into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32'
  )
  assert.is(
    first(deployment, { spec: { replicas: '3' } }),
    'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32'
  )
  assert.is(
    first(deployment, { spec: { replicas: 1.5 } }),
    'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32'
  )
  assert.is(
    first(pod, { metadata: { labels: { a: 1 } } }),
    'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'
  )
  assert.is(
    first(pod, { spec: { containers: {} } }),
    'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'
  )
  assert.is(first(pod, { spec: [] }), 'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec')
  assert.is(first(pod, []), 'json: cannot unmarshal array into Go value of type v1.Pod')
  assert.is(first(configMap, { data: { a: true } }), 'json: cannot unmarshal bool into Go struct field ConfigMap.data of type string')
  assert.is(
    cannotDecode('v1', 'ConfigMap', strictDecodingError(['unknown field "dataa"'])).message,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dataa"'
  )
})

decode('drops nulls where a field may be absent, and zeroes them in lists and maps', () => {
  const result = decodeStrict(
    pod,
    { metadata: { name: 'a', creationTimestamp: null, labels: { a: null } }, spec: { containers: [null], nodeSelector: null } },
    'Strict'
  )
  assert.equal(result.value, { metadata: { name: 'a', labels: { a: '' } }, spec: { containers: [{}] } })
  assert.equal(result.errors, [])
})

decode('reads quantities, ports, times and bytes in every form Go does', () => {
  const value = (type: TypeSchema, given: unknown): unknown => {
    const result = decodeStrict(type, given, 'Strict')
    assert.equal(result.errors, [])
    return result.value
  }
  const limits = (given: unknown): unknown => ({ spec: { containers: [{ resources: { limits: given } }] } })
  assert.equal(
    value(pod, limits({ cpu: 1, memory: 0.5, x: '1000m', y: '0.5Gi' })),
    limits({ cpu: '1', memory: '500m', x: '1', y: '512Mi' })
  )
  const ports = {
    spec: {
      ports: [
        { port: 80, targetPort: 'http' },
        { port: 81, targetPort: 8080 }
      ]
    }
  }
  assert.equal(value(service, ports), ports)
  assert.equal(value(pod, { metadata: { creationTimestamp: '2026-01-02T03:04:05.5+02:00' } }), {
    metadata: { creationTimestamp: '2026-01-02T01:04:05Z' }
  })
  assert.equal(value(lease, { spec: { renewTime: '2026-01-02T03:04:05.123Z' } }), { spec: { renewTime: '2026-01-02T03:04:05.123000Z' } })
  assert.equal(value(secret, { data: { a: 'aGVs\nbG8=' } }), { data: { a: 'aGVsbG8=' } })
})

decode('refuses malformed quantities, times and bytes', () => {
  const first = (type: TypeSchema, given: unknown): string | undefined => decodeStrict(type, given, 'Strict').errors[0]
  assert.match(first(pod, { spec: { overhead: { cpu: 'many' } } }) ?? '', 'quantities must match the regular expression')
  assert.is(first(pod, { spec: { overhead: { cpu: '1Kii' } } }), "unable to parse quantity's suffix")
  assert.match(
    first(pod, { metadata: { creationTimestamp: 'today' } }) ?? '',
    'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today"'
  )
  assert.is(first(secret, { data: { a: 'not base64!' } }), 'illegal base64 data at input byte 3')
  assert.is(
    first(service, { spec: { ports: [{ targetPort: true }] } }),
    'json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32'
  )
})

decode('is not fooled by the names of Object.prototype', () => {
  const result = decodeStrict(configMap, JSON.parse('{"__proto__":{"a":"b"},"constructor":1,"data":{"__proto__":"x","a":null}}'), 'Strict')
  assert.equal(result.unknownFields, ['unknown field "__proto__"', 'unknown field "constructor"'])
  assert.is(JSON.stringify(result.value), '{"data":{"__proto__":"x","a":""}}')
})

decode('bounds unknown fields and depth', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x${i}`, 1]))
  assert.is(decodeStrict(configMap, many, 'Strict').unknownFields.length, 100)
  let schema: unknown = {}
  for (let i = 0; i < 5000; i++) schema = { not: schema }
  const definition = kind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition')
  const result = decodeStrict(definition, { spec: { versions: [{ schema: { openAPIV3Schema: schema } }] } }, 'Strict')
  assert.equal(result.errors, ['exceeded max depth'])
  const revision = kind('apps', 'v1', 'ControllerRevision')
  assert.equal(decodeStrict(revision, { data: schema }, 'Strict').errors, ['exceeded max depth'])
  assert.equal(decodeStrict(revision, { data: { spec: { a: [null, { b: null }] } } }, 'Strict').value, {
    data: { spec: { a: [null, { b: null }] } }
  })
})

decode.run()

const duplicates = suite('duplicateFields')

duplicates('names each repeated key once, with its path', () => {
  assert.equal(duplicateFields('{"a":1,"spec":{"replicas":1,"x":[{"k":1},{"k":1,"k":2,"k":3}],"replicas":2},"a":"a"}'), [
    'duplicate field "spec.x[1].k"',
    'duplicate field "spec.replicas"',
    'duplicate field "a"'
  ])
})

duplicates('is not misled by strings, escapes and nesting', () => {
  assert.equal(duplicateFields('{"a":"{\\"a\\":1,\\"a\\":2}","b":["a","a",{}],"c":{"a":1},"\\u0061":1}'), ['duplicate field "a"'])
  assert.equal(duplicateFields('{"a\\\\":1,"b":"\\\\","a":2}'), [])
  assert.equal(duplicateFields('['.repeat(100_000) + ']'.repeat(100_000)), [])
})

duplicates.run()
