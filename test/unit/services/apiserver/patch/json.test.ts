/** JSON patches: RFC 6902's own examples, and pointers that lead nowhere, through prototypes or into text. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { applyJsonPatch } from '#services/apiserver/patch/json.ts'

const patched = (document: unknown, ...operations: readonly unknown[]): unknown => {
  const result = applyJsonPatch(document, operations)
  return 'ok' in result ? result.ok : result.refused.code
}

const patch = suite('a JSON patch')

/** Appendix A, by its sections. */
const EXAMPLES: readonly (readonly [what: string, document: unknown, operation: unknown, expected: unknown])[] = [
  ['adds a member', { foo: 'bar' }, { op: 'add', path: '/baz', value: 'qux' }, { baz: 'qux', foo: 'bar' }],
  ['adds an element', { foo: ['bar', 'baz'] }, { op: 'add', path: '/foo/1', value: 'qux' }, { foo: ['bar', 'qux', 'baz'] }],
  ['removes a member', { baz: 'qux', foo: 'bar' }, { op: 'remove', path: '/baz' }, { foo: 'bar' }],
  ['removes an element', { foo: ['bar', 'qux', 'baz'] }, { op: 'remove', path: '/foo/1' }, { foo: ['bar', 'baz'] }],
  ['replaces a value', { baz: 'qux', foo: 'bar' }, { op: 'replace', path: '/baz', value: 'boo' }, { baz: 'boo', foo: 'bar' }],
  [
    'moves a value',
    { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
    { op: 'move', from: '/foo/waldo', path: '/qux/thud' },
    { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } }
  ],
  [
    'moves an element',
    { foo: ['all', 'grass', 'cows', 'eat'] },
    { op: 'move', from: '/foo/1', path: '/foo/3' },
    { foo: ['all', 'cows', 'eat', 'grass'] }
  ],
  ['tests a value', { foo: ['a', 2, 'c'] }, { op: 'test', path: '/foo/1', value: 2 }, { foo: ['a', 2, 'c'] }],
  ['fails a test', { baz: 'qux' }, { op: 'test', path: '/baz', value: 'bar' }, 422],
  ['adds an object', { foo: 'bar' }, { op: 'add', path: '/child', value: { grandchild: {} } }, { foo: 'bar', child: { grandchild: {} } }],
  ['does not add where there is no parent', { foo: 'bar' }, { op: 'add', path: '/baz/bat', value: 'qux' }, 422],
  ['unescapes pointers', { '/': 9, '~1': 10 }, { op: 'test', path: '/~01', value: 10 }, { '/': 9, '~1': 10 }],
  ['adds to the end', { foo: ['bar'] }, { op: 'add', path: '/foo/-', value: ['abc', 'def'] }, { foo: ['bar', ['abc', 'def']] }],
  ['copies a value', { foo: { a: 1 } }, { op: 'copy', from: '/foo', path: '/bar' }, { foo: { a: 1 }, bar: { a: 1 } }],
  ['replaces the whole', { foo: 1 }, { op: 'replace', path: '', value: { bar: 2 } }, { bar: 2 }]
]
for (const [what, document, operation, expected] of EXAMPLES) patch(what, () => assert.equal(patched(document, operation), expected))

patch('says of a failed test what upstream says', () => {
  const result = applyJsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])
  assert.match(JSON.stringify(result), 'testing value /a failed: test failed')
})

const NOWHERE: readonly (readonly [what: string, operation: unknown, code: number])[] = [
  ['into text', { op: 'add', path: '/text/~', value: 1 }, 422],
  ['into a number', { op: 'replace', path: '/number/x', value: 1 }, 422],
  ['into null', { op: 'add', path: '/null/x', value: 1 }, 422],
  ['past the end', { op: 'add', path: '/list/9', value: 1 }, 422],
  ['to no index', { op: 'add', path: '/list/length', value: 1 }, 422],
  ['to a negative index', { op: 'remove', path: '/list/-1' }, 422],
  ['to the end, to take from it', { op: 'remove', path: '/list/-' }, 422],
  ['to what is inherited', { op: 'remove', path: '/toString' }, 422],
  ['from what is inherited', { op: 'copy', from: '/list/map', path: '/x' }, 422],
  ['through what is inherited', { op: 'add', path: '/valueOf/name', value: 1 }, 422],
  ['through a prototype', { op: 'add', path: '/__proto__/x', value: 1 }, 422],
  ['through a constructor', { op: 'add', path: '/constructor/prototype/x', value: 1 }, 422],
  ['from nowhere', { op: 'copy', path: '/x' }, 422],
  ['without a slash', { op: 'add', path: 'x', value: 1 }, 422],
  ['with a number', { op: 'add', path: 5, value: 1 }, 400]
]
for (const [what, operation, code] of NOWHERE)
  patch(`leads nowhere: ${what}`, () => {
    const document = { text: 'abc', number: 5, null: null, list: [1, 2] }
    assert.is(patched(document, operation), code)
    assert.equal(document, { text: 'abc', number: 5, null: null, list: [1, 2] })
    assert.is(({} as Record<string, unknown>)['x'], undefined)
  })

patch.run()
