/** The proxy's loop on the packet filter in memory. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock, type Clock } from '#services/platform/Clock.ts'
import type { Flow } from '#services/platform/Conntrack.ts'
import { MemoryIptables } from '#services/platform/iptables/MemoryIptables.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { CONFIG } from '#test/golden/proxy/shapes.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const loop = suite('KubeProxy')

const setUp = () => {
  /** What is to be done in a second or later is done when the test says so. */
  const later: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    after: (ms, task) => {
      if (ms < 1_500) return systemClock.after(Math.min(ms, 5), task)
      later.push(task)
      return { cancel: () => void (later.includes(task) && later.splice(later.indexOf(task), 1)) }
    }
  }
  const iptables = new MemoryIptables()
  const source = new ServiceSource()
  const forgotten: Flow[] = []
  const errors: unknown[] = []
  const proxy = new KubeProxy({
    source,
    clock,
    iptables,
    conntrack: { forgetUdp: async (flow) => void forgotten.push(flow) },
    config: CONFIG,
    onError: (error) => errors.push(error)
  })
  return { iptables, source, proxy, forgotten, errors, later }
}

const web = service('web', '10.96.0.20', [{ port: 80 }])
const slices = (...ips: string[]) =>
  slice(
    'web',
    ips.map((ip) => ({ ip })),
    [{ port: 8080 }]
  )

loop('a changed endpoint touches only the chains of its Service', async () => {
  const { iptables, source, proxy } = setUp()
  source.put(
    web,
    slices('10.244.0.2'),
    service('other', '10.96.0.21', [{ port: 80 }]),
    slice('other', [{ ip: '10.244.0.9' }], [{ port: 80 }])
  )
  await proxy.start()
  source.put(slices('10.244.0.2', '10.244.0.3'))
  await proxy.settled()
  assert.is(iptables.texts.length, 2)
  const delta = iptables.texts[1] as string
  assert.match(delta, '--to-destination 10.244.0.3:8080')
  assert.not.match(delta, 'default/other')
  assert.not.match(delta, '-SERVICES ')
  assert.is(delta.match(/^:/gm)?.length, 2)
  await proxy.stop()
})

loop('a change that alters nothing for the rules writes nothing', async () => {
  const { iptables, source, proxy } = setUp()
  source.put(web, slices('10.244.0.2'))
  await proxy.start()
  source.put({ ...web, metadata: { ...web.metadata, labels: { a: 'b' } } })
  await proxy.settled()
  assert.is(iptables.texts.length, 1)
  await proxy.stop()
})

loop('many changes at once become one text', async () => {
  const { iptables, source, proxy } = setUp()
  await proxy.start()
  for (let n = 0; n < 50; n++) source.put(service(`s${n}`, `10.96.1.${n}`, [{ port: 80 }]))
  await proxy.settled()
  assert.equal(proxy.counts, { whole: 1, deltas: 1, failures: 0 })
  assert.is(iptables.texts.length, 2)
  await proxy.stop()
})

loop('after a refused text everything is written again', async () => {
  const { iptables, source, proxy, errors } = setUp()
  source.put(web)
  await proxy.start()
  iptables.failNext = 'resource temporarily unavailable'
  source.put(slices('10.244.0.2'))
  await proxy.settled()
  assert.equal(proxy.counts, { whole: 2, deltas: 0, failures: 1 })
  assert.is(errors.length, 1)
  assert.match(await iptables.save('nat'), '--to-destination 10.244.0.2:8080')
  await proxy.stop()
})

for (const [what, table, command] of [
  ['all of a table', 'nat', '-F'],
  ['one of our chains', 'nat', '-F RK-abcde-SERVICES'],
  ['the chain with our jumps', 'filter', '-F FORWARD'],
  ['one jump', 'nat', '-D OUTPUT -j RK-abcde-PROXY']
] as const)
  loop(`what others flush comes back: ${what}`, async () => {
    const { iptables, source, proxy, errors } = setUp()
    source.put(web, slices('10.244.0.2'))
    await proxy.start()
    const before = [await iptables.save('nat'), await iptables.save('filter')]
    iptables.meddle(table, command)
    assert.not.equal([await iptables.save('nat'), await iptables.save('filter')], before)
    while (proxy.counts.whole < 2) await new Promise((resolve) => setImmediate(resolve))
    await proxy.settled()
    assert.equal([await iptables.save('nat'), await iptables.save('filter')], before)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.is(errors.length, 1)
    assert.match(String(errors[0]), /somebody else changed them/)
    await proxy.stop()
  })

loop('what was flushed and nobody told of comes back as well, after a while', async () => {
  const { iptables, source, proxy, later } = setUp()
  source.put(web, slices('10.244.0.2'))
  await proxy.start()
  const before = await iptables.save('nat')
  iptables.flush()
  assert.is(later.length, 1)
  later.shift()!()
  while (proxy.counts.whole < 2) await new Promise((resolve) => setImmediate(resolve))
  await proxy.settled()
  assert.is(await iptables.save('nat'), before)
  await proxy.stop()
})

loop('after a flush flows of UDP that began meanwhile are forgotten', async () => {
  const { iptables, source, proxy, forgotten } = setUp()
  source.put(
    service('dns', '10.96.0.10', [{ port: 53, protocol: 'UDP' }]),
    slice('dns', [{ ip: '10.244.0.2' }], [{ port: 53, protocol: 'UDP' }])
  )
  await proxy.start()
  forgotten.length = 0
  iptables.meddle('nat', '-F')
  while (proxy.counts.whole < 2) await new Promise((resolve) => setImmediate(resolve))
  await proxy.settled()
  assert.equal(forgotten, [{ to: '10.96.0.10', port: 53 }])
  await proxy.stop()
})

loop('a restart removes what a predecessor left and nobody wants', async () => {
  const first = setUp()
  first.source.put(web, slices('10.244.0.2'))
  await first.proxy.start()
  await first.proxy.stop()
  const second = setUp()
  const proxy = new KubeProxy({
    source: second.source,
    clock: systemClock,
    iptables: first.iptables,
    conntrack: { forgetUdp: async () => {} },
    config: CONFIG
  })
  await proxy.start()
  const now = await first.iptables.save('nat')
  assert.not.match(now, '-SVC-')
  assert.not.match(now, '-SEP-')
  assert.is(now.match(/-A PREROUTING/g)?.length, 1)
  await proxy.removeEverything()
  assert.not.match(await first.iptables.save('nat'), 'RK-')
  assert.not.match(await first.iptables.save('filter'), 'RK-')
})

loop('flows to vanished UDP endpoints are forgotten, and untranslated ones when the first endpoint comes', async () => {
  const { source, proxy, forgotten } = setUp()
  const dns = service('web', '10.96.0.20', [{ port: 53, protocol: 'UDP', nodePort: 30053 }])
  const at = (...ips: string[]) =>
    slice(
      'web',
      ips.map((ip) => ({ ip })),
      [{ port: 53, protocol: 'UDP' }]
    )
  source.put(dns)
  await proxy.start()
  source.put(at('10.244.0.2', '10.244.0.3'))
  await proxy.settled()
  assert.equal(forgotten.splice(0), [{ to: '10.96.0.20', port: 53 }, { port: 30053 }])
  source.put(at('10.244.0.3'))
  await proxy.settled()
  assert.equal(forgotten.splice(0), [
    { to: '10.96.0.20', port: 53, endpoint: '10.244.0.2' },
    { port: 30053, endpoint: '10.244.0.2' }
  ])
  await proxy.stop()
})

loop.run()
