/** The names of the components, as people write them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { COMPONENTS, componentsOf } from '#services/platform/components.ts'

const components = suite('components')
components('are run in the order they begin in, each once', () => {
  assert.equal(componentsOf(['dns', 'apiserver', 'dns'], 'x'), ['apiserver', 'dns'])
  assert.equal(componentsOf([...COMPONENTS], 'x'), COMPONENTS)
})
components('that there are not are refused, with those that there are', () => {
  for (const named of [['kublet'], ['apiserver', ''], [null], [['apiserver']], ['APISERVER']])
    assert.throws(
      () => componentsOf(named, '--components'),
      /^--components: there is no component .*; there are apiserver, scheduler, controller-manager, kubelet, kube-proxy, dns$/
    )
  assert.throws(() => componentsOf([], 'settings.components'), 'settings.components: names nothing to run; there are apiserver')
  for (const named of ['apiserver', {}, 5, null])
    assert.throws(() => componentsOf(named, 'settings.components'), 'settings.components: must be a list of components: apiserver')
})
components.run()
