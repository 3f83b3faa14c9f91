/** Addresses and texts of the pod network. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { macOf, nextAddress, parseRange } from '#services/network/addresses.ts'
import { networkJumps, networkNames, parseAlias, renderNodeSide, renderPodSide, renderRules, sysctls } from '#services/network/render.ts'
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

network("of IPv6 too: the last address is a pod's, and nobody is asked whether an address is free", () => {
  const range = parseRange('fd00:10:244:3::/64')
  assert.equal([range.family, range.gateway, range.prefixLength], ['IPv6', 'fd00:10:244:3::1', 64])
  assert.is(nextAddress(range, new Set(['fd00:10:244:3::2']), undefined), 'fd00:10:244:3::3')
  assert.is(nextAddress(range, new Set(), 'fd00:10:244:3:ffff:ffff:ffff:ffff'), 'fd00:10:244:3::2')
  assert.is(nextAddress(range, new Set(), '10.244.0.9'), 'fd00:10:244:3::2')
  const small = parseRange('fd00::/125')
  const taken = new Set<string>()
  for (let ip = nextAddress(small, taken, undefined); ip !== undefined; ip = nextAddress(small, taken, ip)) taken.add(ip)
  assert.equal([...taken].at(-1), 'fd00::7')
  for (const bad of ['fd00::/126', '::/0', 'fd00::x/64', 'fd00::/129']) assert.throws(() => parseRange(bad))
  assert.is(macOf('fd00:10:244:3::2'), '0a:58:00:00:00:02')
  const text = renderNodeSide({ veth: 'rkabcde01234567', ip: 'fd00::a', podUid: 'u-1', pausePid: 9 }, 'rkabcde0', 1500)
  assert.equal(parseAlias(/alias (\S+)/.exec(text)![1]!), { podUid: 'u-1', ip: 'fd00::a' })
  assert.match(
    renderPodSide('fd00:10:244:3::2', range),
    'address replace fd00:10:244:3::2/64 dev eth0 nodad\nlink set dev eth0 up\nroute replace default via fd00:10:244:3::1 dev eth0'
  )
})
network('the rules of IPv6 name no IPv4', () => {
  const inputs = {
    names: networkNames('abcde'),
    nodePodCIDR: 'fd00:10:244::/64',
    podCIDR: 'fd00:10:244::/56',
    serviceCIDR: 'fd00:10:96::/112'
  }
  const text = renderRules(inputs, networkJumps(inputs))
  assert.not.match(text, /\d+\.\d+\.\d+\.\d+/)
  assert.match(text, '-A RKN-abcde-POSTROUTING -d ff00::/8 -j RETURN')
  assert.match(text, '-I POSTROUTING -s fd00:10:244::/64 -j RKN-abcde-POSTROUTING')
  assert.not.match(text, 'INPUT')
  assert.equal(
    sysctls('rkabcde0', 'IPv6').map(({ path }) => path),
    ['net/ipv6/conf/all/forwarding', 'net/bridge/bridge-nf-call-ip6tables']
  )
})

network.run()
