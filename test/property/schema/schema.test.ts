/** Custom objects against any schema: what is valid, what pruning keeps, what defaulting adds; by a simple checker, and once is enough. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkValue } from '#events/schema/check.ts'
import { fillIn, pruned } from '#events/schema/prune.ts'
import { fieldOfJson, rootOfJson, structuralFaults, type JsonSchema } from '#events/schema/structural.ts'
import { alike, isValid, json, keptOf, NAMES, placesOf, saysNull, schemaOf, valueOf, type Wanted } from './schemas.ts'

const RUNS = { numRuns: 1_500, seed: 20_300_101 }

/** A schema and a value that may be right. */
const pair = (wanted: Wanted, noise = 6): fc.Arbitrary<readonly [JsonSchema, unknown]> =>
  schemaOf(3, wanted).chain((schema) => fc.tuple(fc.constant(schema), valueOf(schema, noise)))

const ALL = { conditions: true }
const PLAIN = { conditions: false }
const shown = (value: unknown): string => JSON.stringify(value)

const schemas = suite('schemas')

schemas('are structural as they are made here: nothing below is about schemas that nobody may have', () => {
  fc.assert(
    fc.property(schemaOf(3, ALL), (schema) => {
      const faults = structuralFaults({ type: 'object', properties: { spec: schema } }, 'schema')
      assert.equal(faults, [])
    }),
    RUNS
  )
})
schemas('take exactly what is valid', () => {
  let [good, bad] = [0, 0]
  fc.assert(
    fc.property(pair(ALL), ([schema, value]) => {
      const faults = checkValue(fieldOfJson(schema, 'x'), value)
      const valid = isValid(schema, value)
      if (valid) good++
      else bad++
      assert.is(faults.length === 0, valid, `${shown(schema)} of ${shown(value)}: ${shown(faults)}`)
    }),
    { ...RUNS, numRuns: 5_000 }
  )
  assert.ok(good > 500 && bad > 500, `${good} were valid and ${bad} were not: both must be tried`)
})
schemas('name places that are there, or what is missing from one that is', () => {
  fc.assert(
    fc.property(pair(ALL, 20), ([schema, value]) => {
      const places = new Set(placesOf(value, NAMES))
      for (const { field } of checkValue(fieldOfJson(schema, 'x'), value))
        assert.ok(field === '<nil>' || places.has(field), `${field} is no place in ${shown(value)}`)
    }),
    RUNS
  )
})
schemas('prune to what they describe, once, and nothing that was valid becomes invalid', () => {
  fc.assert(
    fc.property(pair(ALL, 12), ([schema, value]) => {
      const field = fieldOfJson(schema, 'x')
      const before = shown(value)
      const { value: once, unknownFields, error } = pruned(field, value)
      assert.is(error, undefined)
      assert.is(shown(value), before, 'what is given is left alone')
      assert.ok(alike(once, keptOf(schema, value)), `${shown(schema)} keeps ${shown(once)} of ${before}`)
      assert.is(unknownFields.length === 0, alike(once, value), 'what is dropped is told')
      const twice = pruned(field, once)
      assert.ok(alike(twice.value, once) && twice.unknownFields.length === 0, 'pruned twice')
      if (isValid(schema, value)) assert.ok(isValid(schema, once), `${shown(schema)}: ${before} is valid, ${shown(once)} is not`)
    }),
    RUNS
  )
})

/** Everything that was said is still said. */
const holds = (whole: unknown, part: unknown): boolean => {
  if (Array.isArray(part)) return Array.isArray(whole) && whole.length === part.length && part.every((item, at) => holds(whole[at], item))
  if (typeof part === 'object' && part !== null)
    return (
      typeof whole === 'object' &&
      whole !== null &&
      Object.entries(part).every(([key, item]) => Object.hasOwn(whole, key) && holds((whole as Record<string, unknown>)[key], item))
    )
  return whole === part
}

schemas('fill in what is left out, once; what is given stays, and what is valid stays valid', () => {
  let filled = 0
  fc.assert(
    fc.property(pair(PLAIN, 1), ([schema, value]) => {
      const field = fieldOfJson(schema, 'x')
      const once = structuredClone(value)
      fillIn(field, once)
      const twice = structuredClone(once)
      fillIn(field, twice)
      assert.ok(alike(once, twice), `${shown(schema)}: ${shown(once)} becomes ${shown(twice)}`)
      if (!isValid(schema, value) || saysNull(schema, value)) return
      assert.ok(holds(once, value), `${shown(value)} became ${shown(once)}`)
      assert.ok(isValid(schema, once), `${shown(schema)}: ${shown(value)} is valid, ${shown(once)} is not`)
      if (!alike(once, value)) filled++
    }),
    { ...RUNS, numRuns: 3_000 }
  )
  assert.ok(filled > 40, `only ${filled} had anything filled in`)
})
schemas('are asked by anybody anything', () => {
  const nested = (depth: number, open: string, close: string): unknown =>
    JSON.parse(`${open.repeat(depth)}1${close.repeat(depth)}`) as unknown
  const deep = fc.constantFrom(nested(5_000, '[', ']'), nested(5_000, '{"a":', '}'), nested(5_000, '{"__proto__":', '}'))
  fc.assert(
    fc.property(schemaOf(3, ALL), fc.oneof({ weight: 8, arbitrary: json }, { weight: 1, arbitrary: deep }), (schema, value) => {
      const root = rootOfJson({ type: 'object', properties: { spec: schema } }, 'Widget')
      const { value: object, error } = pruned(root, { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: value })
      if (error !== undefined) return
      fillIn(root, object)
      const faults = checkValue(root, object)
      assert.equal(checkValue(root, object, '', undefined, structuredClone(object)), [], 'what has not changed is left in peace')
      JSON.stringify(faults)
      assert.is(Object.getPrototypeOf(object), Object.prototype)
      assert.is(({} as Record<string, unknown>)['a'], undefined, 'every object has got a field')
    }),
    RUNS
  )
})
schemas.run()
