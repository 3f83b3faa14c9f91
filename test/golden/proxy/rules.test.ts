/** The whole rule set for each shape of Service, as text. `RECKON_UPDATE_GOLDEN=1` writes the files anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { proxyPorts } from '#projections/Proxy.ts'
import { jumps } from '#services/kube-proxy/chains.ts'
import { decideBase, decideService } from '#services/kube-proxy/decide.ts'
import { renderAll } from '#services/kube-proxy/render.ts'
import { union } from '#services/kube-proxy/RuleSet.ts'
import { CONFIG, SHAPES } from './shapes.ts'

const rules = suite('rules of Services')

for (const [name, objects] of Object.entries(SHAPES)) {
  rules(name, () => {
    const [of, ...slices] = objects
    const set = union([decideBase(CONFIG), decideService(proxyPorts(of!, slices, CONFIG.nodeName), CONFIG)])
    const text = renderAll(set, [], jumps(CONFIG))
    const path = join(import.meta.dirname, `${name}.rules`)
    if (process.env['RECKON_UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
    assert.fixture(text, readFileSync(path, 'utf8'))
  })
}

rules.run()
