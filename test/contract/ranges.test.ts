/** Parts of the pod network, on both twins of the log: several API servers and leaders give none of it out twice. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { NODES } from '#events/collections.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Log } from '#events/Log.ts'
import { overlap, parseCIDR } from '#events/meta/cidr.ts'
import type { Network } from '#events/meta/ip.ts'
import type { StreamName } from '#events/Subject.ts'
import { rangesOf } from '#services/apiserver/claims/ranges.ts'
import { decide } from '#services/controller-manager/node-ipam/decide.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { accepted, refused } from '#test/support/api.ts'
import { onBothLogs, type LogOf } from '#test/support/bothLogs.ts'
import { builtIns } from '#test/support/builtIns.ts'
import { settled, startServers, SETTINGS, type Server } from '#test/support/servers.ts'

const podCIDRs = ['10.244.0.0/20', 'fd00:10:244::/60']
const CONFIG = { clusterCIDRs: podCIDRs, maskSizes: { IPv4: 24, IPv6: 64 } } as const
const node = (name: string, ...ranges: readonly string[]): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  ...(ranges.length === 0 ? {} : { spec: { podCIDR: ranges[0], podCIDRs: ranges } })
})

const shared = ({ views }: Server): readonly string[] => {
  const all = views
    .collection(NODES)
    .list()
    .flatMap(({ key, object }) => rangesOf(object).map((cidr) => ({ name: key.name, cidr, range: parseCIDR(cidr) as Network })))
  return all.flatMap((one, at) =>
    all.slice(at + 1).flatMap((other) => (overlap(one.range, other.range) ? [`${one.name} ${one.cidr}, ${other.name} ${other.cidr}`] : []))
  )
}

const contract = (name: string, open: () => Promise<LogOf>, close: () => Promise<void>): void => {
  const ranges = suite(`pod CIDRs: ${name}`)
  let logs: (stream: StreamName) => Log
  let servers: readonly Server[] = []
  ranges.before(async () => void (logs = await open()))
  ranges.before.each(async () => {
    servers = await startServers(3, logs, systemClock, { settings: { ...SETTINGS, podCIDRs } })
    await settled(servers)
  })
  ranges.after.each(async () => {
    const [first] = servers as readonly [Server]
    for (const { key } of first.views.collection(NODES).list())
      accepted(await first.submit({ verb: 'delete', ref: NODES, namespace: '', name: key.name }))
    for (const { views } of servers) for (const view of views.byStream.values()) view.close()
  })
  ranges.after(close)
  const server = (n: number): Server => servers[n % 3] as Server

  ranges('nodes that come at the same moment with ranges that touch: one of them has it', async () => {
    const wanted = ['10.244.3.0/24', '10.244.3.128/25', '10.244.2.0/23', '10.244.3.0/25', 'fd00:10:244:3::/64', 'fd00:10:244:2::/63']
    const made = await Promise.all(
      Array.from({ length: 24 }, (_, n) => server(n).create(node(`n${n}`, wanted[n % wanted.length] as string)))
    )
    const good = made.filter(({ ok }) => ok)
    assert.ok(good.length >= 2 && good.length <= 3, `${good.length}`)
    for (const result of made)
      if (!result.ok)
        assert.match(
          refused(result),
          /^422 Invalid: Node "n\d+" is invalid: spec\.podCIDRs\[0\]: Invalid value: "[^"]+": has addresses of \S+, the pod CIDR of node "n\d+": leave it out, and the node is given a free part/
        )
    await settled(servers)
    for (const one of servers) assert.equal(shared(one), [])
  })
  ranges('leaders that decide at the same moment give nothing out twice, and everybody gets a part of each family', async () => {
    for (let n = 0; n < 14; n++) accepted(await server(n).create(node(`n${String(n).padStart(2, '0')}`)))
    await settled(servers)
    for (let round = 0; round < 20; round++) {
      // Each on its own state: two leaders, and a person in between.
      const asks = servers.map(({ views }) => decide(views, CONFIG, { api: builtIns, now: systemClock.now(), random: 0 }).asks)
      const person = round === 0 ? [server(2).create(node('own', '10.244.0.0/24', 'fd00:10:244::/64'))] : []
      await Promise.all([...person, ...asks.flatMap((some, n) => some.map((ask) => server(n).submit(ask)))])
      await settled(servers)
      for (const one of servers) assert.equal(shared(one), [])
      if (
        server(0)
          .views.collection(NODES)
          .list()
          .every(({ object }) => rangesOf(object).length === 2)
      )
        break
    }
    const given = server(1)
      .views.collection(NODES)
      .list()
      .map(({ object }) => rangesOf(object).map((cidr) => parseCIDR(cidr)?.family))
    for (const families of given.slice(0, 14)) assert.equal(families, ['IPv4', 'IPv6'])
  })
  ranges('what a node had is free when it is gone, and what is no part of the network is refused', async () => {
    accepted(await server(0).create(node('a', '10.244.1.0/24')))
    await settled(servers)
    assert.match(refused(await server(1).create(node('b', '10.244.1.0/24'))), /the pod CIDR of node "a"/)
    accepted(await server(2).submit({ verb: 'delete', ref: NODES, namespace: '', name: 'a' }))
    await settled(servers)
    accepted(await server(1).create(node('b', '10.244.1.0/24')))
    for (const outside of ['10.245.0.0/24', '10.244.0.0/16', 'fd00:10:245::/64'])
      assert.match(
        refused(await server(0).create(node('c', outside))),
        /is no part of the cluster's pod network 10\.244\.0\.0\/20, fd00:10:244::\/60: leave it out/
      )
    accepted(await server(0).create(node('c')))
    await settled(servers)
    const patch = (spec: object) =>
      server(1).submit({
        verb: 'patch',
        ref: NODES,
        namespace: '',
        name: 'c',
        patch: { type: 'application/merge-patch+json', body: { spec } }
      })
    assert.match(refused(await patch({ podCIDR: '10.244.1.128/25', podCIDRs: ['10.244.1.128/25'] })), /the pod CIDR of node "b"/)
    accepted(await patch({ podCIDR: '10.244.2.0/24', podCIDRs: ['10.244.2.0/24'] }))
    assert.match(
      refused(await patch({ podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24'] })),
      /may not change podCIDR except from "" to valid/
    )
  })
  ranges.run()
}

onBothLogs(contract)
