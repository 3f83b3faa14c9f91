/** Objects of the built-in kinds, nearly as their schema says: taken or refused in Kubernetes' words, and never a fault of ours. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { eventTypeOf } from '#events/meta/eventType.ts'
import { isObject, put } from '#events/meta/json.ts'
import { validateMeta, validateMetaUpdate } from '#events/meta/ObjectMeta.ts'
import { fieldErrorBody, Refusal } from '#events/Refusal.ts'
import type { FieldSchema, TypeSchema } from '#events/schema/Schema.ts'
import { decodeObject, typeOf } from '#services/apiserver/request/decode.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { sampleName, sampleOf } from '#test/support/samples.ts'
import { alike, json } from './schemas.ts'

const NOW = '2030-01-01T00:00:00Z'

/** What values of built-in types look like, and what they are mistaken for. */
const TEXTS = [
  ...['', 'a', 'web', 'Web_1', 'a.b/c', '-', 'x'.repeat(300), '😀', '\ud83d', '__proto__', 'constructor', '*', '/', '../x'],
  ...[
    'Always',
    'Never',
    'TCP',
    'UDP',
    'ClusterIP',
    'NodePort',
    'ExternalName',
    'None',
    'IPv4',
    'Exists',
    'In',
    'NoExecute',
    'Node',
    'User'
  ],
  ...['10.96.0.7', 'fd00::7', '10.0.0.0/8', '80', '50%', 'http', 'localhost/x', 'RollingUpdate', 'Recreate', 'default', 'status.podIP']
]
const QUANTITIES = ['1', '100m', '1Gi', '-1', '1e3', '0', '9223372036854775807', '1n', 100, 0.5, 'x']
const INTEGERS = [0, 1, -1, 80, 65_535, 65_536, 1_000, 2 ** 31 - 1, -(2 ** 31), 2 ** 53]
const TIMES = [NOW, '2030-01-01T00:00:00.000001Z', '1969-12-31T23:59:59+01:00', 'yesterday', '']

/** A source of chance that shrinks: the fewer fields, the simpler. */
type Draw = (most: number) => number

const oneOf = <Value>(draw: Draw, values: readonly Value[]): Value => values[draw(values.length - 1)] as Value

const some = (draw: Draw, field: FieldSchema, depth: number): unknown => {
  switch (field.type) {
    case 'string':
      return oneOf(draw, (field.enum as readonly string[] | undefined) ?? TEXTS)
    case 'integer':
    case 'number':
      return oneOf(draw, INTEGERS)
    case 'boolean':
      return draw(1) === 1
    case 'quantity':
      return oneOf(draw, QUANTITIES)
    case 'time':
      return oneOf(draw, TIMES)
    case 'bytes':
      return oneOf(draw, ['', 'YQ==', '!'])
    case 'int-or-string':
      return draw(1) === 1 ? oneOf(draw, INTEGERS) : oneOf(draw, TEXTS)
    case 'array':
      return Array.from({ length: depth <= 0 ? 0 : draw(2) }, () => some(draw, field.items ?? { type: 'any' }, depth - 1))
    case 'map': {
      const map = {}
      for (let n = depth <= 0 ? 0 : draw(2); n > 0; n--) put(map, oneOf(draw, TEXTS), some(draw, field.items ?? { type: 'any' }, depth - 1))
      return map
    }
    case 'object':
      return field.object === undefined ? {} : someOf(draw, field.object, depth - 1)
    case 'any':
      return oneOf(draw, [{}, { a: 1 }, [], 'a', 1])
  }
}

/** Required fields mostly, the others now and then; below a depth only what is required. */
const someOf = (draw: Draw, { fields }: TypeSchema, depth: number): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  const rare = Math.max(2, Math.floor(Object.keys(fields).length / 5))
  for (const [name, field] of Object.entries(fields)) {
    const wanted = field.required === true ? draw(12) !== 0 : depth > 0 && draw(rare) === rare
    if (wanted) object[name] = some(draw, field, depth)
  }
  return object
}

/** A good object into which chance has put something of its own, here and there. */
const mixed = (draw: Draw, good: unknown, chance: unknown): unknown => {
  if (!isObject(good) || !isObject(chance)) return draw(7) === 0 ? chance : good
  const object: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(good)) put(object, key, Object.hasOwn(chance, key) ? mixed(draw, value, chance[key]) : value)
  for (const [key, value] of Object.entries(chance)) if (!Object.hasOwn(object, key) && draw(5) === 0) put(object, key, value)
  return object
}

/** Of 32-bit numbers as many as it takes, the first ones given. */
const drawing = (given: readonly number[]): Draw => {
  let state = 1
  let at = 0
  return (most) => {
    const next = given[at++]
    state = next === undefined ? (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0 : next ^ state
    return Math.floor(((state >>> 0) / 2 ** 32) * (most + 1))
  }
}

const metadataOf = (draw: Draw): Record<string, unknown> => ({
  name: oneOf(draw, ['web', 'web', 'web', '10.96.0.7', 'A b']),
  ...(draw(3) === 0 ? { labels: { app: oneOf(draw, TEXTS) } } : {}),
  ...(draw(3) === 0 ? { annotations: { [oneOf(draw, TEXTS)]: oneOf(draw, TEXTS) } } : {}),
  ...(draw(9) === 0 ? { finalizers: [oneOf(draw, TEXTS)] } : {})
})

/** As a write goes, without what needs a cluster: the object as it would be stored, or its faults. */
const written = (kind: Kind, body: unknown): { readonly object: KubeObject; readonly faults: readonly string[] } | undefined => {
  let object: KubeObject
  try {
    ;({ object } = decodeObject(kind, body, 'Ignore'))
  } catch (error) {
    assert.instance(error, Refusal)
    assert.is((error as Refusal).status.code, 400)
    return undefined
  }
  if (kind.namespaced) object.metadata.namespace = 'default'
  kind.prepareForCreate?.(object, { now: NOW })
  kind.default?.(object)
  const errors = [...validateMeta(kind, object), ...(kind.validate?.(object) ?? []), ...(kind.validateCreate?.(object) ?? [])]
  kind.warnings?.(object)
  for (const error of errors) assert.ok(error.field !== '' || error.detail !== undefined, JSON.stringify(error))
  return { object, faults: errors.map((error) => `${error.field}: ${fieldErrorBody(error)}`) }
}

/** What is looked at of every object that is stored. */
const look = (kind: Kind, object: KubeObject, old: KubeObject | undefined): void => {
  const cells = kind.row?.(object, Date.parse(NOW)) ?? []
  if (kind.columns !== undefined) assert.is(cells.length, kind.columns.length)
  kind.rowConditions?.(object)
  for (const [name, of] of Object.entries(kind.fields ?? {})) assert.type(of(object), 'string', name)
  for (const of of Object.values(kind.indexes ?? {})) for (const value of of(object)) assert.type(value, 'string')
  for (const subresource of ['', 'status'])
    assert.match(eventTypeOf(kind, { before: old, after: object, deleted: false, subresource }), /^reckon\./)
  kind.scale?.selector(object)
  kind.gracePeriodSeconds?.(object)
  kind.isKept?.(object)
}

const goodOf = (kind: Kind): KubeObject => {
  const sample = sampleOf(kind, sampleName(kind, 'web'))
  if (kind.group !== 'events.k8s.io') return sample
  // Samples are in the words of core/v1; by the newer version more has to be said.
  const said = {
    eventTime: NOW,
    type: 'Normal',
    action: 'Pulling',
    reason: 'Pulled',
    reportingController: 'example.com/a',
    reportingInstance: 'a'
  }
  return { apiVersion: sample.apiVersion, kind: sample.kind, metadata: sample.metadata, ...said, regarding: { namespace: 'default' } }
}

const kinds = suite('built-in kinds')
for (const kind of builtIns.served)
  kinds(`${kind.version} ${kind.kind}: whatever is sent is decided`, () => {
    let stored: KubeObject | undefined
    const sample = goodOf(kind)
    const seen = { unread: 0, faulty: 0, good: 0 }
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 40 }), fc.option(json, { freq: 12 }), (given, noise) => {
        const draw = drawing(given)
        const chance = someOf(draw, typeOf(kind), 5)
        const metadata = metadataOf(draw)
        // Half of them are good ones that were spoilt a little: of what is refused for ten reasons nothing else is learnt.
        const half = draw(1) === 1 ? (mixed(draw, sample, chance) as Record<string, unknown>) : chance
        const body: Record<string, unknown> = {
          ...half,
          apiVersion: undefined,
          kind: undefined,
          metadata: draw(3) === 0 ? metadata : sample.metadata
        }
        if (noise !== null) body[oneOf(draw, ['spec', 'status', 'metadata', 'data'])] = noise
        const result = written(kind, body)
        if (result === undefined) return void seen.unread++
        const { object, faults } = result
        const again = structuredClone(object)
        kind.default?.(again)
        assert.ok(alike(again, object), 'defaults are filled in once')
        if (faults.length > 0) return void seen.faulty++
        seen.good++
        look(kind, object, stored)
        if (stored !== undefined) {
          const next = structuredClone(object)
          kind.prepareForUpdate?.(next, stored, '', { now: NOW })
          validateMetaUpdate(next, stored)
          kind.validateUpdate?.(next, stored, '')
          kind.validate?.(next, stored)
        }
        stored = object
      }),
      { numRuns: 400, seed: 20_300_101 }
    )
    for (const [what, times] of Object.entries(seen)) assert.ok(times > 10, `only ${times} were ${what}`)
  })
kinds.run()
