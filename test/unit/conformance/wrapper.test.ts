/** Wrappers around Go modules, and which images are made for the suite. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RECIPES, referencesOf, versionOf, type Recipe } from '#test/conformance/images/recipes.ts'
import { stagingVersion, wrapperOf } from '#test/conformance/wrapper.ts'

const wrapper = suite('conformance builds')

const GO_MOD = `module k8s.io/kubernetes

go 1.24.0

require (
	example.org/a v1.2.3
	k8s.io/api v0.0.0
)

replace (
	example.org/a => example.org/b v1.0.0
	k8s.io/api => ./staging/src/k8s.io/api
)

replace example.org/c v1.0.0 => ../c
`

wrapper('a folder becomes what is published of it; other pins stay', () => {
  const made = wrapperOf(GO_MOD, (module) => (module.startsWith('k8s.io/') ? stagingVersion('v1.34.4') : undefined))
  assert.match(made, /^module reckon\.conformance\n/)
  assert.match(made, '\tk8s.io/api => k8s.io/api v0.34.4\n)')
  assert.match(made, '\texample.org/a => example.org/b v1.0.0\n')
  assert.match(made, '\texample.org/a v1.2.3\n\tk8s.io/api v0.0.0\n)')
  assert.not.match(made, '../c')
})

wrapper('without published versions what is required is used', () => {
  assert.not.match(wrapperOf(GO_MOD), 'staging')
  assert.match(wrapperOf(GO_MOD), 'k8s.io/api v0.0.0')
})

const IMAGES = [
  'a.example/private/agnhost:2.6',
  'b.example/e2e-test-images/agnhost:2.56',
  'b.example/e2e-test-images/busybox:1.36.1-1',
  'b.example/e2e-test-images/busybox:1.37.0-1',
  'b.example:5000/pause:3.10.1'
]
const recipe = (path: string): Recipe => ({ path, layers: [], config: {} })

wrapper('an image is made in each version the suite names, and only where it is public', () => {
  assert.equal(referencesOf(recipe('/e2e-test-images/agnhost'), IMAGES), ['b.example/e2e-test-images/agnhost:2.56'])
  assert.equal(referencesOf(recipe('/e2e-test-images/busybox'), IMAGES).map(versionOf), ['1.36.1-1', '1.37.0-1'])
  assert.equal(referencesOf(recipe('/pause'), IMAGES), ['b.example:5000/pause:3.10.1'])
})

wrapper('an image the suite no longer names is an error', () => {
  assert.throws(() => referencesOf(recipe('/e2e-test-images/httpd'), IMAGES), /names no image e2e-test-images\/httpd/)
})

wrapper('every image stands on a root of its own or on busybox', () => {
  for (const { path, layers } of RECIPES) assert.ok(layers[0] === 'busybox' || path === '/pause', path)
})

wrapper.run()
