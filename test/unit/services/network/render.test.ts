/** Addresses and texts of the pod network. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { macOf, nextAddress, parseRange } from '#services/network/addresses.ts'
import { networkJumps, networkNames, parseAlias, renderNodeSide, renderRules } from '#services/network/render.ts'
import { MemoryIptables } from '#services/platform/iptables/MemoryIptables.ts'
import { removalText } from '#services/platform/iptables/text.ts'

const network = suite('network')

network('the first address is the gateway, the last one is for broadcasts', () => {
  const range = parseRange('10.244.3.0/24')
  assert.is(range.gateway, '10.244.3.1')
  assert.is(nextAddress(range, new Set(), undefined), '10.244.3.2')
  assert.is(nextAddress(range, new Set(), '10.244.3.254'), '10.244.3.2')
  for (const bad of ['10.244.0.0', '10.244.0.0/30', '10.300.0.0/24', 'x/24']) assert.throws(() => parseRange(bad))
})
network('addresses go round and are never given twice', () => {
  const range = parseRange('10.244.0.0/29')
  const taken = new Set<string>()
  let last: string | undefined
  for (let n = 0; n < 5; n++) taken.add((last = nextAddress(range, taken, last)!))
  assert.is(taken.size, 5)
  assert.is(nextAddress(range, taken, last), undefined)
  taken.delete('10.244.0.4')
  assert.is(nextAddress(range, taken, last), '10.244.0.4')
})
network('an interface says whose it is', () => {
  const text = renderNodeSide({ veth: 'rkabcde01234567', ip: '10.244.0.2', podUid: 'u-1', pausePid: 9 }, 'rkabcde0', 1500)
  assert.equal(parseAlias(/alias (\S+)/.exec(text)![1]!), { podUid: 'u-1', ip: '10.244.0.2' })
  assert.is(parseAlias('something else'), undefined)
  assert.is(macOf('10.244.0.2'), '0a:58:0a:f4:00:02')
})
network('rules can be written again, and taken away without a trace', async () => {
  const iptables = new MemoryIptables()
  const before = await iptables.save('filter')
  const inputs = { names: networkNames('abcde'), nodePodCIDR: '10.244.0.0/24', podCIDR: '10.244.0.0/16', serviceCIDR: '10.96.0.0/16' }
  await iptables.restore(renderRules(inputs, networkJumps(inputs)))
  const once = await iptables.save('filter')
  await iptables.restore(renderRules(inputs, []))
  assert.is(await iptables.save('filter'), once)
  for (const table of ['nat', 'filter'] as const) await iptables.restore(removalText(table, await iptables.save(table), 'RKN-abcde-'))
  assert.is(await iptables.save('filter'), before)
})

network.run()
