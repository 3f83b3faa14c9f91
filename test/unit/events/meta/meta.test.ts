/** The value types every kind is built from. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { setCondition, type Condition } from '#events/meta/Conditions.ts'
import { humanDuration, since } from '#events/meta/Duration.ts'
import { fieldMatcher, parseFieldSelector, requiredValue } from '#events/meta/FieldSelector.ts'
import { scaledValue } from '#events/meta/IntOrString.ts'
import { formatLabelSelector, matches, parseSelector, selectorOf, selectorOfMap } from '#events/meta/LabelSelector.ts'
import { configKey, ipAddress, isIPv6, labelValue, pathName, portName, qualifiedName, subdomainName } from '#events/meta/names.ts'
import { validateMeta, validateMetaUpdate } from '#events/meta/ObjectMeta.ts'
import { addQuantities, canonicalQuantity, milliValue, parseQuantity, wholeValue } from '#events/meta/Quantity.ts'
import type { KubeObject, ObjectMeta } from '#events/KubeObject.ts'
import { fieldErrorBody, Refusal, type FieldError } from '#events/Refusal.ts'
import { kindNamed, kindOf, KINDS, streamOf } from '#test/support/builtIns.ts'

const refusal = (attempt: () => unknown): string => {
  try {
    attempt()
  } catch (error) {
    if (error instanceof Refusal) return `${error.status.code} ${error.message}`
    throw error
  }
  return 'accepted'
}

const durations = suite('durations')
durations('have about two units', () => {
  const S = 1000
  const cases: readonly [number, string][] = [
    [-5 * S, '<invalid>'],
    [-S, '0s'],
    [0, '0s'],
    [119 * S, '119s'],
    [120 * S, '2m'],
    [302 * S, '5m2s'],
    [600 * S, '10m'],
    [179 * 60 * S, '179m'],
    [180 * 60 * S, '3h'],
    [190 * 60 * S, '3h10m'],
    [8 * 3600 * S, '8h'],
    [47 * 3600 * S, '47h'],
    [76 * 3600 * S, '3d4h'],
    [192 * 3600 * S, '8d'],
    [729 * 86400 * S, '729d'],
    [800 * 86400 * S, '2y70d'],
    [3000 * 86400 * S, '8y']
  ]
  for (const [milliseconds, text] of cases) assert.is(humanDuration(milliseconds), text)
  assert.is(since(undefined, 0), '<unknown>')
  assert.is(since('1970-01-01T00:00:00Z', 5000), '5s')
})
durations.run()

const quantities = suite('quantities')
quantities('print in their canonical form', () => {
  const cases = {
    '0.5': '500m',
    '1.5Gi': '1536Mi',
    '1024Mi': '1Gi',
    '1000Mi': '1000Mi',
    '100000': '100k',
    '1500': '1500',
    '0.5Ki': '512',
    '1e3': '1e3',
    '12e6': '12e6',
    '0': '0',
    '0Gi': '0',
    '1000m': '1',
    '-0.5': '-500m',
    '1.1Ki': '1126400m',
    '.5': '500m',
    '5.': '5',
    '0.1n': '1n'
  }
  for (const [text, canonical] of Object.entries(cases)) assert.is(canonicalQuantity(text), canonical, text)
})
quantities('are refused when they are none', () => {
  for (const text of ['', 'x', '1x', '1ki', '1e', '--1', '1 Gi', '1e99', '.', '1.2.3', 'Gi'])
    assert.is(parseQuantity(text), undefined, text)
})
quantities('count', () => {
  assert.is(milliValue('0.25'), 250)
  assert.is(milliValue('1u'), 1)
  assert.is(wholeValue('1500m'), 2)
  assert.is(wholeValue('1Gi'), 1024 ** 3)
  assert.is(milliValue(undefined), 0)
  assert.is(addQuantities('500m', '1'), '1500m')
  assert.is(addQuantities(undefined, '1Gi'), '1Gi')
})
quantities.run()

const labels = suite('label selectors')
labels('read every operator', () => {
  const selects = (text: string, set: Record<string, string>): boolean => matches(parseSelector(text), set)
  assert.ok(selects('', {}))
  assert.ok(selects('a=b,c!=d,e in (x, y),!f,g', { a: 'b', e: 'y', g: '' }))
  assert.not.ok(selects('a=b', { a: 'c' }))
  assert.ok(selects('a!=b', {}))
  assert.ok(selects('a notin (b)', {}))
  assert.ok(selects('a=', { a: '' }))
  assert.ok(selects('a in (,b)', { a: '' }))
  assert.ok(selects('n>5,n<7', { n: '6' }))
  assert.not.ok(selects('n>5', { n: 'many' }))
})
labels('are refused in upstream’s words', () => {
  assert.is(
    refusal(() => parseSelector('a in')),
    "400 unable to parse requirement: found '' expected: '('"
  )
  assert.is(
    refusal(() => parseSelector('a b')),
    "400 unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"
  )
  assert.is(
    refusal(() => parseSelector('a=b=c')),
    "400 found '=', expected: ',' or 'end of string'"
  )
  assert.is(
    refusal(() => parseSelector(',')),
    "400 found ',', expected: !, identifier, or 'end of string'"
  )
  assert.is(
    refusal(() => parseSelector('a,')),
    "400 found '', expected: identifier after ','"
  )
  assert.match(
    refusal(() => parseSelector('a=b$')),
    /^400 unable to parse requirement: values\[0\]\[a\]: Invalid value: "b\$": a valid label must be an empty string/
  )
  assert.match(
    refusal(() => parseSelector('a/b/c')),
    /^400 unable to parse requirement: key: Invalid value: "a\/b\/c": a qualified name/
  )
})
labels('as objects: absent selects nothing, empty everything', () => {
  assert.not.ok(matches(selectorOf(undefined), { a: 'b' }))
  assert.ok(matches(selectorOf({}), {}))
  assert.not.ok(matches(selectorOfMap({}), {}))
  assert.is(formatLabelSelector(undefined), '<none>')
  assert.is(formatLabelSelector({ matchLabels: { b: '1', a: '2' } }), 'a=2,b=1')
})
labels.run()

const fields = suite('field selectors')
fields('read operators and escapes', () => {
  assert.equal(parseFieldSelector('a=b,c==d,e!=f,g='), [
    { field: 'a', operator: '=', value: 'b' },
    { field: 'c', operator: '=', value: 'd' },
    { field: 'e', operator: '!=', value: 'f' },
    { field: 'g', operator: '=', value: '' }
  ])
  assert.equal(parseFieldSelector('a=b\\,c\\=d\\\\'), [{ field: 'a', operator: '=', value: 'b,c=d\\' }])
  assert.is(requiredValue(parseFieldSelector('spec.nodeName=n1'), 'spec.nodeName'), 'n1')
})
fields('are refused in upstream’s words', () => {
  assert.is(
    refusal(() => parseFieldSelector('a')),
    "400 invalid selector: 'a'; can't understand 'a'"
  )
  const pods = kindNamed('', 'v1', 'Pod')!
  assert.is(
    refusal(() => fieldMatcher(pods, parseFieldSelector('foo=bar'))),
    '400 field label not supported: foo'
  )
  assert.is(
    refusal(() => fieldMatcher(kindNamed('', 'v1', 'ConfigMap')!, parseFieldSelector('foo=bar'))),
    '400 "foo" is not a known field selector: only "metadata.name", "metadata.namespace"'
  )
})
fields('select', () => {
  const test = fieldMatcher(kindNamed('', 'v1', 'Pod')!, parseFieldSelector('status.phase!=Failed,spec.nodeName=n1,metadata.name=x'))
  const pod = (phase: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'x' },
    spec: { nodeName: 'n1' },
    status: { phase }
  })
  assert.ok(test(pod('Running')))
  assert.not.ok(test(pod('Failed')))
})
fields.run()

const names = suite('names')
names('are good or say why not', () => {
  for (const good of [
    subdomainName('a.b-c'),
    qualifiedName('a.b/C_d'),
    qualifiedName('x'),
    labelValue(''),
    labelValue('A.b_c-1'),
    portName('http'),
    configKey('.a'),
    pathName('system:node'),
    ipAddress('10.0.0.1'),
    ipAddress('::1')
  ])
    assert.equal([...good], [])
  for (const bad of [
    subdomainName('a..b'),
    subdomainName('A'),
    subdomainName('x'.repeat(254)),
    qualifiedName('/x'),
    qualifiedName('a/'),
    qualifiedName('a/b/c'),
    labelValue('-a'),
    portName('--'),
    portName('80'),
    configKey('..x'),
    pathName('a/b'),
    pathName('..'),
    ipAddress('10.0.0.256'),
    ipAddress('1.2.3')
  ])
    assert.ok(bad.length > 0)
  for (const good of ['::', '::ffff:1.2.3.4', '2001:db8::1', '1:2:3:4:5:6:7:8']) assert.ok(isIPv6(good), good)
  for (const bad of [':', '1::2::3', '12345::', '1:2:3:4:5:6:7:8:9', '1.2.3.4', 'g::']) assert.not.ok(isIPv6(bad), bad)
})
names('with a generated end are checked with one', () => {
  const faults = (metadata: ObjectMeta): string[] =>
    validateMeta(kindNamed('', 'v1', 'ConfigMap')!, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'd', ...metadata } }).map(
      (error) => `${error.field}: ${fieldErrorBody(error)}`
    )
  assert.equal(faults({ generateName: 'web-', name: 'web-x' }), [])
  assert.equal(faults({}), ['metadata.name: Required value: name or generateName is required'])
})
names.run()

const metadata = suite('changes of metadata')
metadata('keep what is immutable, and take no finalizer while being deleted', () => {
  const words = (errors: readonly FieldError[]): string[] => errors.map((error) => `${error.field}: ${fieldErrorBody(error)}`)
  const object = (meta: ObjectMeta): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'd', uid: 'u', ...meta }
  })
  assert.equal(words(validateMetaUpdate(object({}), object({}))), [])
  assert.equal(words(validateMetaUpdate(object({ uid: 'v' }), object({}))), ['metadata.uid: Invalid value: "v": field is immutable'])
  const gone = { deletionTimestamp: '2026-01-01T00:00:00Z' }
  assert.equal(words(validateMetaUpdate(object({ ...gone, finalizers: ['a/b'] }), object(gone))), [
    'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a/b"}'
  ])
  const big = validateMeta(kindNamed('', 'v1', 'ConfigMap')!, object({ annotations: { a: 'x'.repeat(262144) } }))
  assert.equal(words(big), ['metadata.annotations: Too long: may not be more than 262144 bytes'])
})
metadata.run()

const conditions = suite('conditions')
conditions('keep their transition time until the status changes', () => {
  const first = setCondition<Condition>(undefined, { type: 'Ready', status: 'False', reason: 'A' }, 't1')
  assert.equal(first, [{ type: 'Ready', status: 'False', reason: 'A', lastTransitionTime: 't1' }])
  const second = setCondition(first, { type: 'Ready', status: 'False', reason: 'B' }, 't2')
  assert.is(second[0]?.lastTransitionTime, 't1')
  assert.is(setCondition(second, { type: 'Ready', status: 'False', reason: 'B' }, 't3'), second)
  assert.is(setCondition(second, { type: 'Ready', status: 'True' }, 't4')[0]?.lastTransitionTime, 't4')
})
conditions.run()

const counts = suite('counts or percentages')
counts('scale and round', () => {
  assert.is(scaledValue('25%', 3, 'up'), 1)
  assert.is(scaledValue('25%', 3, 'down'), 0)
  assert.is(scaledValue(2, 3, 'up'), 2)
  assert.is(scaledValue('many', 3, 'up'), undefined)
})
counts.run()

const scheme = suite('the registry')
scheme('finds kinds, and has a cell for every column', () => {
  assert.is(kindOf({ group: 'apps', resource: 'deployments' })?.kind, 'Deployment')
  assert.is(kindNamed('apps', 'v2', 'Deployment'), undefined)
  assert.is(streamOf({ group: '', resource: 'events' }), 'NOTICES')
  assert.is(streamOf({ group: 'coordination.k8s.io', resource: 'leases' }), 'PULSE')
  assert.is(new Set(KINDS.map((kind) => `${kind.group}/${kind.resource}`)).size, KINDS.length)
  for (const kind of KINDS) {
    const empty: KubeObject = { apiVersion: 'v1', kind: kind.kind, metadata: { name: 'x' } }
    assert.is(kind.row?.(empty, 0).length, kind.columns?.length, kind.kind)
    kind.default?.(empty)
    const again = structuredClone(empty)
    kind.default?.(again)
    assert.equal(again, empty, `${kind.kind}: defaulting twice is defaulting once`)
    kind.validate?.(empty)
  }
})
scheme.run()
