/** The whole rule set for each shape of Service, as text. `RECKON_UPDATE_GOLDEN=1` writes the files anew. */
import { asOneOf, type KubeObject } from '#events/KubeObject.ts'
import { ENDPOINT_SLICES, SERVICES } from '#events/collections.ts'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { proxyPorts } from '#projections/Proxy.ts'
import { jumps } from '#services/kube-proxy/chains.ts'
import { decideBase, decideService } from '#services/kube-proxy/decide.ts'
import { renderAll } from '#services/kube-proxy/render.ts'
import { union } from '#services/kube-proxy/RuleSet.ts'
import { service, slice } from '#test/support/services.ts'
import { CONFIG, SHAPES } from './shapes.ts'

const rules = suite('rules of Services')

for (const [name, objects] of Object.entries(SHAPES)) {
  rules(name, () => {
    const [of, ...slices] = objects
    const set = union([
      decideBase(CONFIG),
      decideService(
        proxyPorts(
          asOneOf(SERVICES, of as KubeObject),
          slices.map((slice) => asOneOf(ENDPOINT_SLICES, slice)),
          CONFIG.nodeName
        ),
        CONFIG
      )
    ])
    const text = renderAll(set, [], jumps(CONFIG))
    const path = join(import.meta.dirname, `${name}.rules`)
    if (process.env['RECKON_UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
    assert.fixture(text, readFileSync(path, 'utf8'))
  })
}

rules('IPv6: the same rules in its own words, of its own addresses alone', () => {
  const config = { ...CONFIG, family: 'IPv6' as const, clusterCIDR: 'fd00:10:244::/56' }
  const of = service('web', '10.96.0.20', [{ name: 'http', port: 80, nodePort: 30080 }], {
    clusterIPs: ['10.96.0.20', 'fd00:10:96::20'],
    externalIPs: ['203.0.113.7', '2001:db8::7'],
    sessionAffinity: 'ClientIP'
  })
  const slices = [
    slice('web', [{ ip: '10.244.0.2' }], [{ name: 'http', port: 8080 }]),
    { ...slice('web', [{ ip: 'fd00:10:244::2' }, { ip: 'fd00:10:244::3' }], [{ name: 'http', port: 8080 }], 'six'), addressType: 'IPv6' }
  ]
  const none = service('idle', 'fd00:10:96::21', [{ port: 80 }])
  const set = union([
    decideBase(config),
    decideService(proxyPorts(of, slices, config.nodeName, 'IPv6'), config),
    decideService(proxyPorts(none, [], config.nodeName, 'IPv6'), config)
  ])
  const text = renderAll(set, [], jumps(config))
  const path = join(import.meta.dirname, 'ipv6.rules')
  if (process.env['RECKON_UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
  assert.fixture(text, readFileSync(path, 'utf8'))
  assert.not.match(text, /\d+\.\d+\.\d+\.\d+/)
})

rules.run()
