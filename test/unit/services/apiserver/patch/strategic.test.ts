/** Strategic merge patches: lists by their keys, and the directives that say otherwise. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { typeOfKind, type TypeSchema } from '#events/schema/Schema.ts'
import { applyStrategicMergePatch } from '#services/apiserver/patch/strategic.ts'

type Json = Record<string, unknown>

const POD = typeOfKind('', 'v1', 'Pod') as TypeSchema
const patch = suite('a strategic merge patch')

const meta = (metadata: Json): Json => ({ metadata })
const spec = (more: Json): Json => ({ spec: more })
const containers = (...names: readonly string[]): Json => spec({ containers: names.map((name) => ({ name, image: `${name}:1` })) })

const named = (...names: readonly string[]): Json[] => names.map((name) => ({ name }))
const bare = (...names: readonly string[]): Json => spec({ containers: named(...names) })

const CASES: readonly (readonly [what: string, before: Json, patch: Json, after: Json])[] = [
  [
    'merges a list by its key',
    containers('a', 'b'),
    spec({ containers: [{ name: 'b', image: 'b:2' }] }),
    spec({
      containers: [
        { name: 'a', image: 'a:1' },
        { name: 'b', image: 'b:2' }
      ]
    })
  ],
  // The orders are those that k8s.io/apimachinery's own strategicpatch makes of the same documents.
  [
    'adds what is new before what was there',
    containers('a'),
    spec({ containers: [{ name: 'b' }] }),
    spec({ containers: [{ name: 'b' }, { name: 'a', image: 'a:1' }] })
  ],
  ['orders by the patch alone', bare('a', 'b', 'c'), bare('c', 'a'), bare('b', 'c', 'a')],
  [
    'orders by what it says of the order',
    bare('a', 'b', 'c'),
    spec({ '$setElementOrder/containers': named('c', 'n', 'a'), containers: named('n') }),
    bare('b', 'c', 'n', 'a')
  ],
  ['orders only what it names', bare('a', 'b', 'c'), spec({ '$setElementOrder/containers': named('c', 'a') }), bare('b', 'c', 'a')],
  [
    'adds, merges and takes away',
    bare('a', 'b', 'c'),
    spec({ containers: [{ name: 'n' }, { name: 'b', image: 'x' }, { name: 'a', $patch: 'delete' }] }),
    spec({ containers: [{ name: 'n' }, { name: 'b', image: 'x' }, { name: 'c' }] })
  ],
  [
    'adds what it says twice once',
    containers(),
    spec({
      containers: [
        { name: 'b', image: 'x' },
        { name: 'b', image: 'y' }
      ]
    }),
    spec({ containers: [{ name: 'b', image: 'y' }] })
  ],
  ['takes one away', containers('a', 'b', 'c'), spec({ containers: [{ name: 'b', $patch: 'delete' }] }), containers('a', 'c')],
  [
    'replaces a list',
    containers('a', 'b'),
    spec({ containers: [{ name: 'c' }, { $patch: 'replace' }] }),
    spec({ containers: [{ name: 'c' }] })
  ],
  [
    'replaces a list without a key',
    spec({ tolerations: [{ key: 'a' }] }),
    spec({ tolerations: [{ key: 'b' }] }),
    spec({ tolerations: [{ key: 'b' }] })
  ],
  ['orders a list', containers('a', 'b'), spec({ '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] }), containers('b', 'a')],
  ['adds to a list of texts', meta({ finalizers: ['x/a'] }), meta({ finalizers: ['x/b'] }), meta({ finalizers: ['x/b', 'x/a'] })],
  [
    'takes from a list of texts',
    meta({ finalizers: ['x/a', 'x/b'] }),
    meta({ '$deleteFromPrimitiveList/finalizers': ['x/a'] }),
    meta({ finalizers: ['x/b'] })
  ],
  [
    'retains keys',
    spec({ securityContext: { runAsUser: 1, runAsGroup: 2 } }),
    spec({ securityContext: { $retainKeys: ['runAsUser', 'fsGroup'], fsGroup: 3 } }),
    spec({ securityContext: { runAsUser: 1, fsGroup: 3 } })
  ],
  [
    'replaces an object',
    spec({ securityContext: { runAsUser: 1 } }),
    spec({ securityContext: { $patch: 'replace', fsGroup: 3 } }),
    spec({ securityContext: { fsGroup: 3 } })
  ],
  [
    'empties an object',
    spec({ securityContext: { runAsUser: 1 } }),
    spec({ securityContext: { $patch: 'delete' } }),
    spec({ securityContext: {} })
  ],
  ['merges a map', meta({ labels: { a: '1', b: '2' } }), meta({ labels: { a: null, c: '3' } }), meta({ labels: { b: '2', c: '3' } })],
  ['replaces a map', meta({ labels: { a: '1' } }), meta({ labels: { $patch: 'replace', b: '2' } }), meta({ labels: { b: '2' } })],
  ['empties a map', meta({ labels: { a: '1' } }), meta({ labels: { $patch: 'delete' } }), meta({ labels: {} })],
  [
    'keeps the order of the server where a deleted item makes place for a new one',
    spec({ containers: [{ name: 'a' }, { name: 'sidecar' }] }),
    spec({ '$setElementOrder/containers': [{ name: 'b' }], containers: [{ $patch: 'delete', name: 'a' }, { name: 'b' }] }),
    spec({ containers: [{ name: 'sidecar' }, { name: 'b' }] })
  ],
  [
    'does not reach a prototype',
    meta({ labels: { a: '1' } }),
    JSON.parse('{"__proto__":{"x":1},"metadata":{"__proto__":{"y":1},"labels":{"b":"2"}}}') as Json,
    meta({ labels: { a: '1', b: '2' } })
  ]
]
for (const [what, before, change, after] of CASES)
  patch(what, () => {
    const original = structuredClone(before)
    assert.equal(applyStrategicMergePatch(POD, before, change), after)
    assert.equal(before, original, 'what is patched stays as it was')
  })

const PRESENT: Json = { metadata: { labels: { a: '1' }, finalizers: ['e/a'] }, spec: { containers: [{ name: 'a' }] } }
const REFUSED: readonly (readonly [change: Json, message: RegExp])[] = [
  [{ $patch: 'x' }, /^unknown patch type: x in map: map\[\$patch:x\]$/],
  [{ $patch: { toString: false } }, /^unknown patch type: map\[toString:false\] in map: map\[\$patch:map\[toString:false\]\]$/],
  [meta({ labels: { $patch: ['x'] } }), /^unknown patch type: \[x\] in map: map\[\$patch:\[x\]\]$/],
  [meta({ labels: { $patch: 'merge', b: '2' } }), /^unknown patch type: merge in map: map\[\$patch:merge b:2\]$/],
  [{ $retainKeys: 5 }, /^invalid patch format of retainKeys$/],
  [spec({ containers: [5] }), /^list element types are not identical: /],
  [spec({ containers: [{ image: 'x' }] }), /does not contain declared merge key: name$/],
  [
    spec({ containers: [], '$setElementOrder/containers': 5 }),
    /^expected a \[\]interface \{\}, but received a number for the order of containers$/
  ],
  [meta({ '$deleteFromPrimitiveList/finalizers': {} }), /^invalid patch format of primitive list$/]
]
for (const [change, message] of REFUSED)
  patch(`is refused: ${JSON.stringify(change)}`, () => assert.throws(() => applyStrategicMergePatch(POD, PRESENT, change), message))

patch.run()
