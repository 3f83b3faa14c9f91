import { readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as fc from 'fast-check'
import { typeOfKind } from '#events/schema/Schema.ts'
import { decodeStrict } from '#events/schema/validate.ts'
import { decodeProtobuf } from '#services/apiserver/protobuf/decode.ts'
import { ProtobufError } from '#services/apiserver/protobuf/wire.ts'

interface Golden {
  readonly command: string
  readonly body: string
  /** What the same command prints with --dry-run=client -o json, or by hand where it has no dry run. */
  readonly object: Record<string, unknown>
}

const folder = new URL('../../../../golden/protobuf/', import.meta.url)
const golden = readdirSync(folder).map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Golden)

/** JSON as kubectl prints it, less the nulls that mean "not set". */
const withoutNulls = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (_, each) => (each === null ? undefined : each))

const decode = suite('decodeProtobuf')

for (const { command, body, object } of golden) {
  decode(`reads what "${command}" sends`, () => {
    const decoded = decodeProtobuf(Buffer.from(body, 'base64'))
    assert.equal(decoded.object, withoutNulls(object))
    assert.is(decoded.object['kind'], decoded.kind)
    const [group = '', version = ''] = decoded.apiVersion.includes('/') ? decoded.apiVersion.split('/') : ['', decoded.apiVersion]
    const type = typeOfKind(group, version, decoded.kind)
    assert.ok(type)
    const strict = decodeStrict(type, decoded.object, 'Strict')
    assert.equal([strict.errors, strict.unknownFields], [[], []])
  })
}

const bytes = (...parts: (number | string | readonly number[])[]): number[] =>
  parts.flatMap((part) => (typeof part === 'number' ? [part] : typeof part === 'string' ? [...Buffer.from(part)] : [...part]))
/** A length-delimited field. */
const field = (number: number, ...parts: (number | string | readonly number[])[]): number[] => {
  const content = bytes(...parts)
  return [...varint(number * 8 + 2), ...varint(content.length), ...content]
}
const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))])
const envelope = (apiVersion: string, kind: string, raw: number[], ...more: number[][]): Uint8Array =>
  Uint8Array.from([0x6b, 0x38, 0x73, 0, ...field(1, field(1, apiVersion), field(2, kind)), ...field(2, raw), ...more.flat()])

decode('flattens what JSON flattens', () => {
  const projection = field(3, field(1, field(1, 'settings')))
  const volume = [...field(1, 'v'), ...field(2, field(26, field(1, projection), 16, ...varint(420)))]
  const probe = [...field(1, field(2, field(1, '/'), field(2, 8, 0, 16, 80))), 16, 5]
  const container = [...field(1, 'c'), ...field(10, probe)]
  const secretKey = field(4, field(1, field(1, 'keys')), field(2, 'k'), 24, 0)
  const env = field(7, field(1, 'E'), field(3, secretKey))
  const pod = decodeProtobuf(envelope('v1', 'Pod', field(2, field(1, volume), field(2, [...container, ...env]))))
  assert.equal(pod.object, {
    apiVersion: 'v1',
    kind: 'Pod',
    spec: {
      volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'settings' } }], defaultMode: 420 } }],
      containers: [
        {
          name: 'c',
          livenessProbe: { httpGet: { path: '/', port: 80 }, initialDelaySeconds: 5 },
          env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 'keys', key: 'k', optional: false } } }]
        }
      ]
    }
  })
})

decode('keeps a zero behind a pointer and drops the others', () => {
  assert.equal(decodeProtobuf(envelope('apps/v1', 'Deployment', field(2, 8, 0, 40, 0, 56, 0))).object['spec'], { replicas: 0 })
})

decode('reads negative and 64-bit integers, times and micro times', () => {
  const minus = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
  const priority = decodeProtobuf(envelope('scheduling.k8s.io/v1', 'PriorityClass', [16, ...minus]))
  assert.is(priority.object['value'], -1)
  const meta = field(1, 56, ...varint(5_000_000_000), ...field(8, 8, ...varint(1_767_323_045)), ...field(9, []))
  assert.equal(decodeProtobuf(envelope('v1', 'ConfigMap', meta)).object['metadata'], {
    generation: 5_000_000_000,
    creationTimestamp: '2026-01-02T03:04:05Z'
  })
  const lease = field(2, field(4, 8, ...varint(1_767_323_045), 16, ...varint(123_456_000)))
  assert.equal(decodeProtobuf(envelope('coordination.k8s.io/v1', 'Lease', lease)).object['spec'], {
    renewTime: '2026-01-02T03:04:05.123456Z'
  })
})

decode('finds DeleteOptions whatever group names it, and infers an absent type', () => {
  const options = [8, 0, ...field(4, 'Background')]
  assert.equal(decodeProtobuf(envelope('apps/v1', 'DeleteOptions', options)).object, {
    apiVersion: 'apps/v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    propagationPolicy: 'Background'
  })
  assert.is(decodeProtobuf(envelope('', '', options), { apiVersion: 'v1', kind: 'DeleteOptions' }).kind, 'DeleteOptions')
})

decode('takes JSON inside the envelope', () => {
  assert.equal(decodeProtobuf(envelope('example.com/v1', 'Widget', bytes('{"spec":{"a":1}}'), field(4, 'application/json'))).object, {
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    spec: { a: 1 }
  })
})

decode('skips fields it does not know', () => {
  assert.equal(decodeProtobuf(envelope('v1', 'ConfigMap', [...field(1, field(1, 'a')), ...field(99, 'x'), ...varint(98 * 8), 1])).object, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a' }
  })
})

decode('refuses what is not an envelope or not a known kind', () => {
  assert.throws(() => decodeProtobuf(Buffer.from('{"kind":"Pod"}')), /does not appear to be a protobuf message/)
  assert.throws(() => decodeProtobuf(envelope('v1', 'Nope', [])), 'no kind "Nope" is registered for version "v1"')
  assert.throws(() => decodeProtobuf(envelope('', '', [])), "Object 'Kind' is missing")
  assert.throws(() => decodeProtobuf(envelope('v1', 'ConfigMap', field(1, [0x0a, 0x7f]))), 'unexpected EOF')
})

decode('answers damaged bytes with a value or a ProtobufError, nothing else', () => {
  const bodies = golden.map((each) => Buffer.from(each.body, 'base64'))
  fc.assert(
    fc.property(
      fc.nat(bodies.length - 1),
      fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      fc.nat(400),
      (which, edits, cut) => {
        const body = Uint8Array.from(bodies[which] ?? []).slice(0, -cut || undefined)
        for (const [at, value] of edits) if (at < body.length) body[at] = value
        try {
          decodeProtobuf(body)
        } catch (error) {
          assert.instance(error, ProtobufError)
        }
      }
    ),
    { seed: 7, numRuns: 2000 }
  )
})

decode.run()
