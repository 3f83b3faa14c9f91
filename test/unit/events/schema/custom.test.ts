/** Custom objects against their schema: what is kept, what is filled in, what is a fault, and that nothing of a schema is lost. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fieldErrorBody } from '#events/Refusal.ts'
import { checkValue } from '#events/schema/check.ts'
import { fillIn, pruned } from '#events/schema/prune.ts'
import { fieldOfJson, patternOf, rootOfJson, type JsonSchema } from '#events/schema/structural.ts'
import { parseJsonPath } from '#events/meta/JsonPath.ts'

const faults = (schema: JsonSchema, value: unknown): string[] =>
  checkValue(fieldOfJson(schema, 'x'), value, 'spec').map((error) => `${error.field}: ${fieldErrorBody(error)}`)

const custom = suite('schemas of custom kinds')

custom('every bound has its fault', () => {
  assert.equal(faults({ type: 'integer', minimum: 1, maximum: 3 }, 0), [
    'spec: Invalid value: 0: spec in body should be greater than or equal to 1'
  ])
  assert.equal(faults({ type: 'number', maximum: 3, exclusiveMaximum: true }, 3), [
    'spec: Invalid value: 3: spec in body should be less than 3'
  ])
  assert.equal(faults({ type: 'number', multipleOf: 0.1 }, 0.3), [])
  assert.is(faults({ type: 'number', multipleOf: 1 }, 5e-324).length, 1)
  assert.equal(faults({ type: 'integer', multipleOf: 3 }, 4), ['spec: Invalid value: 4: spec in body should be a multiple of 3'])
  assert.equal(faults({ type: 'string', minLength: 2, pattern: '^a' }, 'b'), [
    'spec: Invalid value: "b": spec in body should be at least 2 chars long',
    'spec: Invalid value: "b": spec in body should match \'^a\''
  ])
  assert.equal(faults({ type: 'string', maxLength: 2 }, '€€€'), ['spec: Too long: may not be more than 2 bytes'])
  assert.equal(faults({ type: 'string', maxLength: 1 }, '😀'), [])
  assert.equal(faults({ type: 'array', minItems: 1, items: { type: 'string' } }, []), [
    'spec: Invalid value: 0: spec in body should have at least 1 items'
  ])
  assert.equal(faults({ type: 'array', maxItems: 1, items: { type: 'string' } }, ['a', 'b']), [
    'spec: Too many: 2: must have at most 1 items'
  ])
  assert.equal(faults({ type: 'object', minProperties: 1 }, {}), ['spec: Invalid value: 0: spec in body should have at least 1 properties'])
  assert.equal(faults({ type: 'string', enum: ['a', 'b'] }, 'c'), ['spec: Unsupported value: "c": supported values: "a", "b"'])
  assert.equal(faults({ type: 'object', required: ['a', 'b'], properties: { a: { type: 'string' } } }, {}), [
    'spec.a: Required value',
    'spec.b: Required value'
  ])
  assert.equal(faults({ type: 'object', additionalProperties: { type: 'integer' } }, { k: 'v' }), [
    'spec.k: Invalid value: "string": spec.k in body must be of type integer: "string"'
  ])
})
custom('a set has each item once, however its fields are ordered; a key is what an item has of its own', () => {
  const set = { type: 'array', 'x-kubernetes-list-type': 'set', items: { 'x-kubernetes-preserve-unknown-fields': true } }
  assert.equal(
    faults(set, [
      { a: 1, b: { c: 1, d: 2 } },
      { b: { d: 2, c: 1 }, a: 1 }
    ]).length,
    1
  )
  assert.equal(faults(set, [{ a: 1, b: 2 }, { a: 2, b: 1 }, [1, 2], [2, 1]]), [])
  const map = {
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['__proto__'],
    items: { 'x-kubernetes-preserve-unknown-fields': true }
  }
  assert.equal(faults(map, JSON.parse('[{"__proto__":"a"},{"__proto__":"b"}]')), [])
  assert.is(faults(map, JSON.parse('[{"__proto__":"a"},{"__proto__":"a"}]')).length, 1)
  assert.equal(faults(map, JSON.parse('[{},{"__proto__":{}}]')), [], 'what is not there is not what every object has')
})
custom('a list where a map should be is kept as it is, for validation to tell', () => {
  const map = fieldOfJson(
    { type: 'object', additionalProperties: { type: 'object', properties: { a: { type: 'string', default: 'x' } } } },
    'x'
  )
  const { value, unknownFields } = pruned(map, [{ b: 1 }])
  assert.equal([value, unknownFields], [[{ b: 1 }], []])
  fillIn(map, value)
  assert.equal(value, [{ b: 1 }])
  assert.is(checkValue(map, value).length, 1)
})
custom('null, int-or-string, lists that are sets or maps', () => {
  assert.equal(faults({ type: 'string', nullable: true }, null), [])
  assert.equal(faults({ type: 'string' }, null), ['spec: Invalid value: "null": spec in body must be of type string: "null"'])
  assert.equal(
    [1, 'a', true].map((value) => faults({ 'x-kubernetes-int-or-string': true }, value).length),
    [0, 0, 1]
  )
  assert.equal(faults({ type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'integer' } }, [1, 2, 1]), [
    'spec[2]: Duplicate value: 1'
  ])
  assert.equal(
    faults(
      {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: { type: 'object', properties: { k: { type: 'string' } } }
      },
      [{ k: 'a' }, { k: 'a' }]
    ),
    ['spec[1]: Duplicate value: {"k":"a"}']
  )
})
custom('conditions narrow what the fields say', () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'string' } },
    oneOf: [{ required: ['a'] }, { required: ['b'] }],
    not: { properties: { a: { enum: [7] } }, required: ['a'] }
  }
  assert.equal(faults(schema, { a: 1 }), [])
  assert.equal(faults(schema, {}), [
    '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid',
    'spec.a: Required value'
  ])
  assert.match(faults(schema, { a: 1, b: 'x' }).join(), /Found 2 valid alternatives/)
  assert.match(faults(schema, { a: 7 }).join(), /must not validate the schema \(not\)/)
  assert.match(
    faults({ type: 'integer', anyOf: [{ minimum: 5 }, { maximum: 1 }] }, 3).join(),
    /must validate at least one schema \(anyOf\)/
  )
  assert.equal(faults({ type: 'integer', allOf: [{ minimum: 5 }] }, 3), [
    'spec: Invalid value: 3: spec in body should be greater than or equal to 5'
  ])
})
custom('what is as it was is left in peace, also where it breaks a rule that came later; what changes is not', () => {
  const item: JsonSchema = {
    type: 'object',
    required: ['name'],
    properties: { name: { type: 'string' }, size: { type: 'integer', maximum: 5 } }
  }
  const keyed: JsonSchema = { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], items: item }
  const schema: JsonSchema = {
    type: 'object',
    properties: { size: { type: 'integer', maximum: 5 }, note: { type: 'string' }, parts: keyed, loose: { type: 'array', items: item } }
  }
  const faulty = (value: unknown, old?: unknown): string[] =>
    checkValue(fieldOfJson(schema, 'x'), value, 'spec', undefined, old).map(({ field }) => field)
  const old = { size: 9, parts: [{ name: 'a', size: 9 }], loose: [{ name: 'a', size: 9 }] }
  assert.equal(faulty(old), ['spec.size', 'spec.parts[0].size', 'spec.loose[0].size'])
  assert.equal(faulty({ ...old, note: 'new' }, old), [])
  assert.equal(faulty({ ...old, size: 8 }, old), ['spec.size'])
  assert.equal(faulty({ ...old, parts: [{ name: 'b', size: 1 }, ...old.parts] }, old), [])
  assert.equal(
    faulty({ ...old, loose: [...old.loose, { name: 'b', size: 1 }] }, old),
    ['spec.loose[0].size'],
    'items without keys can not be told apart'
  )
})
custom('formats', () => {
  const good = {
    'date-time': '2030-01-01T00:00:00.5Z',
    date: '2024-02-29',
    duration: '1h30m',
    byte: 'YQ==',
    uuid: '123e4567-e89b-12d3-a456-426614174000',
    ipv4: '1.2.3.4',
    ipv6: '::1',
    cidr: '10.0.0.0/8',
    hostname: 'a.b',
    email: 'a@b.c',
    uri: 'https://a/b',
    mac: '00:11:22:33:44:55'
  }
  const bad = {
    'date-time': '2030-02-31T00:00:00Z',
    date: '2023-02-29',
    duration: 'soon',
    byte: 'a',
    uuid: 'x',
    ipv4: '1.2.3',
    ipv6: '1.2.3.4',
    cidr: '10.0.0.0/33',
    hostname: 'a_b',
    email: 'a',
    uri: 'a b',
    mac: '00:11'
  }
  for (const [format, value] of Object.entries(good)) assert.equal(faults({ type: 'string', format }, value), [], format)
  for (const [format, value] of Object.entries(bad))
    assert.equal(
      faults({ type: 'string', format }, value),
      [`spec: Invalid value: ${JSON.stringify(value)}: spec in body must be of type ${format}: ${JSON.stringify(value)}`],
      format
    )
  assert.equal(faults({ type: 'string', format: 'unheard-of' }, 'x'), [])
})
custom('what no field describes goes, and is named; what is to be kept is kept', () => {
  const schema = rootOfJson(
    {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            a: { type: 'integer' },
            free: {
              type: 'object',
              'x-kubernetes-preserve-unknown-fields': true,
              properties: { known: { type: 'object', properties: {} } }
            }
          }
        }
      }
    },
    'v1.Widget'
  )
  const given = {
    apiVersion: 'e/v1',
    kind: 'Widget',
    metadata: { name: 'n', odd: 1 },
    spec: { a: 1, b: 2, free: { more: { deep: [1] }, known: { gone: 1 } } },
    status: {}
  }
  const { value, unknownFields } = pruned(schema, given)
  assert.equal(value, {
    apiVersion: 'e/v1',
    kind: 'Widget',
    metadata: { name: 'n' },
    spec: { a: 1, free: { more: { deep: [1] }, known: {} } }
  })
  assert.equal(unknownFields, [
    'unknown field "metadata.odd"',
    'unknown field "spec.b"',
    'unknown field "spec.free.known.gone"',
    'unknown field "status"'
  ])
  assert.equal(
    pruned(schema, JSON.parse('{"spec":{"free":{"__proto__":{"x":1}}}}')).value,
    JSON.parse('{"spec":{"free":{"__proto__":{"x":1}}}}')
  )
})
custom('defaults bring their own, and take the place of nulls', () => {
  const schema = rootOfJson(
    {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          default: {},
          properties: {
            a: { type: 'integer', default: 1 },
            b: { type: 'string', nullable: true, default: 'x' },
            c: { type: 'string' },
            list: { type: 'array', items: { type: 'object', properties: { p: { type: 'string', default: 'TCP' } } } }
          }
        }
      }
    },
    'v1.Widget'
  )
  const filled = (object: Record<string, unknown>): unknown => {
    fillIn(schema, object)
    return object
  }
  assert.equal(filled({}), { spec: { a: 1, b: 'x' } })
  assert.equal(filled({ spec: { a: null, b: null, c: null, list: [{}, { p: 'UDP' }] } }), {
    spec: { a: 1, b: null, list: [{ p: 'TCP' }, { p: 'UDP' }] }
  })
  const [one, other] = [{}, {}] as [{ spec?: { a: number } }, { spec?: { a: number } }]
  filled(one)
  filled(other)
  ;(one.spec as { a: number }).a = 9
  assert.is(other.spec?.a, 1)
})
custom('patterns in the words of RE2', () => {
  assert.is(patternOf('(?i)^abc$')?.test('ABC'), true)
  assert.is(patternOf('^[[:alpha:]]+\\z')?.test('ab1'), false)
  assert.is(patternOf('(?P<year>\\d+)')?.test('2030'), true)
  assert.is(patternOf('('), undefined)
  for (const foreign of ['(?=a)', '(a)\\1', '(?<!a)b']) assert.is(patternOf(foreign), undefined, `${foreign} is JavaScript's, not RE2's`)
})
custom('a pattern that leads others astray takes time in proportion to the text', () => {
  const began = performance.now()
  assert.is(patternOf('^(a|aa)+$')?.test(`${'a'.repeat(36)}b`), false)
  assert.ok(performance.now() - began < 5_000, `it took ${performance.now() - began} ms`)
})
custom('a pattern costs what its text is long, whatever both are', () => {
  // Each of them takes RegExp longer than anybody waits.
  for (const pattern of ['^(a+)+$', '^(([a-z0-9]+)-?)*$', '^(a|a)*$', '(a*)*b']) {
    const before = performance.now()
    assert.is(patternOf(pattern)?.test(`${'a'.repeat(20_000)}!`), false, pattern)
    assert.ok(performance.now() - before < 5_000, pattern)
  }
  for (const none of ['(?=a)', '(a)\\1', '(a{1,1000}){1,1000}']) assert.is(patternOf(none), undefined, none)
})
custom('alternatives within alternatives are looked at once', () => {
  let schema: JsonSchema = { minimum: 5 }
  for (let depth = 0; depth < 200; depth++) schema = { [depth % 2 === 0 ? 'anyOf' : 'oneOf']: [schema] }
  const before = performance.now()
  assert.match(faults({ type: 'integer', ...schema }, 1).at(-1) as string, /greater than or equal to 5/)
  assert.ok(performance.now() - before < 5_000)
})
custom('fields may be called like what every object of JavaScript has', () => {
  const schema = rootOfJson(
    JSON.parse(
      '{"type":"object","properties":{"spec":{"type":"object","properties":{"constructor":{"type":"string","default":"c"},"toString":{"type":"integer"},"__proto__":{"type":"object","default":{},"properties":{"polluted":{"type":"string","default":"p"}}}}}}}'
    ) as JsonSchema,
    'v1.Widget'
  )
  const object = { spec: {} }
  fillIn(schema, object)
  assert.is(JSON.stringify(object), '{"spec":{"constructor":"c","__proto__":{"polluted":"p"}}}')
  assert.is(({} as Record<string, unknown>)['polluted'], undefined)
  assert.equal(checkValue(schema, { spec: {} }, ''), [])
  assert.equal(
    checkValue(schema, JSON.parse('{"spec":{"__proto__":{"polluted":3}}}'), '').map(({ field }) => field),
    ['spec.__proto__.polluted']
  )
  assert.is(
    JSON.stringify(pruned(schema, JSON.parse('{"spec":{"__proto__":{"polluted":"x","gone":1},"toString":1}}')).value),
    '{"spec":{"__proto__":{"polluted":"x"},"toString":1}}'
  )
})
custom('paths end in spite of one `..` after another', () => {
  let deep: unknown = 'x'
  for (let depth = 0; depth < 200; depth++) deep = { a: deep, b: depth }
  const before = performance.now()
  assert.ok((parseJsonPath(`.${'.'.repeat(2)}[*]${'..[*]'.repeat(6)}`)?.(deep).length ?? -1) >= 0)
  assert.ok(performance.now() - before < 5_000)
  assert.is(parseJsonPath('..[*]')?.({ list: Array.from({ length: 99_000 }, (_, at) => at) }).length, 99_001)
})
custom('paths find what printer columns show', () => {
  const object = {
    spec: {
      replicas: 3,
      'a.b': 'x',
      list: [
        { t: 'A', s: 1 },
        { t: 'B', s: 2 }
      ]
    }
  }
  const found = (path: string): unknown => parseJsonPath(path)?.(object)
  assert.equal(
    [
      '.spec.replicas',
      '{.spec.replicas}',
      '.spec.list[?(@.t=="B")].s',
      '.spec.list[*].t',
      '.spec.list[-1].t',
      ".spec['a.b']",
      '.spec.a\\.b',
      '..t',
      '.spec.list[?(@.s>1)].t',
      '.none'
    ].map(found),
    [[3], [3], [2], ['A', 'B'], ['B'], ['x'], ['x'], ['A', 'B'], ['B'], []]
  )
  for (const bad of ['spec', '.spec.', '[x', '.a b', '.spec[?(@.a==)]']) assert.is(parseJsonPath(bad), undefined, bad)
})
custom.run()
