/** The cluster's names, after the Kubernetes DNS specification 1.1.0. */
import type { Question, RecordType } from 'dns-packet'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, type DnsConfig } from '#services/dns/answer.ts'
import { dnsView } from '#services/dns/DnsView.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const dns = suite('dns answer')

const CONFIG: DnsConfig = { domain: 'cluster.local', clusterDNS: '10.96.0.10', reverse: ['10.96.0.0/16', '10.244.0.0/16'], serial: 7 }
const source = new ServiceSource()
source.put(
  service('web', '10.96.0.20', [
    { name: 'http', port: 80 },
    { name: 'dns', port: 53, protocol: 'UDP' }
  ]),
  slice('web', [{ ip: '10.244.0.2', hostname: 'a' }, { ip: '10.244.0.3' }], [{ name: 'http', port: 8080 }]),
  service('db', 'None', [{ name: 'sql', port: 5432 }]),
  slice(
    'db',
    [{ ip: '10.244.0.5', hostname: 'db-0' }, { ip: '10.244.0.6' }, { ip: '10.244.0.7', conditions: { ready: false } }],
    [{ name: 'sql', port: 5432 }]
  ),
  service('empty', 'None', [{ port: 1 }]),
  service('out', '', [], { type: 'ExternalName', externalName: 'example.org', clusterIPs: [] }),
  service('alias', '', [], { type: 'ExternalName', externalName: 'web.default.svc.cluster.local', clusterIPs: [] }),
  service('round', '', [], { type: 'ExternalName', externalName: 'round.default.svc.cluster.local', clusterIPs: [] })
)
const view = dnsView(source)

const ask = (name: string, type: RecordType = 'A') => answer(view, { name, type, class: 'IN' } satisfies Question, CONFIG)
const data = (name: string, type: RecordType = 'A') => {
  const reply = ask(name, type)
  return reply.kind === 'forward'
    ? 'forward'
    : reply.code === 'NXDOMAIN'
      ? 'NXDOMAIN'
      : reply.answers.map((record) => ('data' in record ? record.data : undefined))
}

dns('a Service has its cluster IP', () => assert.equal(data('web.default.svc.cluster.local'), ['10.96.0.20']))
dns('names compare without case and are answered as asked', () => {
  const reply = ask('WEB.Default.svc.CLUSTER.local')
  assert.is(reply.kind === 'answer' && reply.answers[0]?.name, 'WEB.Default.svc.CLUSTER.local')
})
dns('a headless Service has the addresses of its ready endpoints', () =>
  assert.equal(data('db.default.svc.cluster.local'), ['10.244.0.5', '10.244.0.6'])
)
dns('a headless Service without ready endpoints has no name', () => assert.is(data('empty.default.svc.cluster.local'), 'NXDOMAIN'))
dns('an endpoint has a name: its host name, or its address with dashes', () => {
  assert.equal(data('db-0.db.default.svc.cluster.local'), ['10.244.0.5'])
  assert.equal(data('10-244-0-6.db.default.svc.cluster.local'), ['10.244.0.6'])
  assert.equal(data('a.web.default.svc.cluster.local'), ['10.244.0.2'])
  assert.is(data('db-9.db.default.svc.cluster.local'), 'NXDOMAIN')
})
dns('SRV of a named port leads to the Service, with its address', () => {
  const reply = ask('_http._tcp.web.default.svc.cluster.local', 'SRV')
  if (reply.kind !== 'answer') throw new Error('not answered')
  assert.equal(reply.answers, [
    {
      type: 'SRV',
      name: '_http._tcp.web.default.svc.cluster.local',
      ttl: 5,
      data: { priority: 0, weight: 100, port: 80, target: 'web.default.svc.cluster.local' }
    }
  ])
  assert.equal(reply.additionals, [{ type: 'A', name: 'web.default.svc.cluster.local', ttl: 5, data: '10.96.0.20' }])
  assert.is(data('_http._udp.web.default.svc.cluster.local', 'SRV'), 'NXDOMAIN')
})
dns('SRV of a headless Service leads to each endpoint', () => {
  assert.equal(data('_sql._tcp.db.default.svc.cluster.local', 'SRV'), [
    { priority: 0, weight: 100, port: 5432, target: 'db-0.db.default.svc.cluster.local' },
    { priority: 0, weight: 100, port: 5432, target: '10-244-0-6.db.default.svc.cluster.local' }
  ])
})
dns('ExternalName is a CNAME; inside the cluster it is followed', () => {
  const out = ask('out.default.svc.cluster.local')
  assert.is(out.kind === 'answer' && out.chase, 'example.org')
  assert.equal(data('out.default.svc.cluster.local', 'CNAME'), ['example.org'])
  assert.equal(data('alias.default.svc.cluster.local'), ['web.default.svc.cluster.local', '10.96.0.20'])
})
dns('a CNAME that leads to itself ends', () => assert.is((data('round.default.svc.cluster.local') as unknown[]).length, 9))
dns('PTR of Services and endpoints', () => {
  assert.equal(data('20.0.96.10.in-addr.arpa', 'PTR'), ['web.default.svc.cluster.local'])
  assert.equal(data('5.0.244.10.in-addr.arpa', 'PTR'), ['db-0.db.default.svc.cluster.local'])
  assert.is(data('99.0.96.10.in-addr.arpa', 'PTR'), 'NXDOMAIN')
  assert.is(data('1.2.0.192.in-addr.arpa', 'PTR'), 'forward')
})
dns('pods by address', () => {
  assert.equal(data('10-244-0-9.default.pod.cluster.local'), ['10.244.0.9'])
  assert.is(data('10-244-0-9.nowhere.pod.cluster.local'), 'NXDOMAIN')
  assert.is(data('web.default.pod.cluster.local'), 'NXDOMAIN')
})
dns('a name without records of the type is no missing name', () => {
  for (const name of [
    'web.default.svc.cluster.local',
    'default.svc.cluster.local',
    'svc.cluster.local',
    'cluster.local',
    '_tcp.web.default.svc.cluster.local'
  ]) {
    const reply = ask(name, 'AAAA')
    if (reply.kind !== 'answer') throw new Error('not answered')
    assert.is(reply.code, 'NOERROR', name)
    assert.equal(reply.answers, [], name)
    assert.is(reply.authorities[0]?.type, 'SOA', name)
  }
})
dns('unknown names are denied with the SOA, for a short time', () => {
  const reply = ask('nobody.default.svc.cluster.local')
  if (reply.kind !== 'answer') throw new Error('not answered')
  assert.is(reply.code, 'NXDOMAIN')
  assert.equal(reply.authorities, [
    {
      type: 'SOA',
      name: 'cluster.local',
      ttl: 5,
      data: {
        mname: 'ns.dns.cluster.local',
        rname: 'hostmaster.cluster.local',
        serial: 7,
        refresh: 7200,
        retry: 1800,
        expire: 86400,
        minimum: 5
      }
    }
  ])
  for (const name of [
    'web.nowhere.svc.cluster.local',
    'nowhere.svc.cluster.local',
    'example.org.default.svc.cluster.local',
    'x.cluster.local'
  ])
    assert.is(data(name), 'NXDOMAIN', name)
})
dns('other names are not ours', () => {
  assert.is(data('example.org'), 'forward')
  assert.is(data('notcluster.local'), 'forward')
})
dns('the version of the specification', () => assert.equal(data('dns-version.cluster.local', 'TXT'), ['1.1.0']))
dns('the zone knows its server', () => {
  assert.equal(data('cluster.local', 'NS'), ['ns.dns.cluster.local'])
  assert.equal(data('ns.dns.cluster.local'), ['10.96.0.10'])
})

const SIX: DnsConfig = {
  domain: 'cluster.local',
  clusterDNS: 'fd00:10:96::a',
  reverse: ['fd00:10:96::/112', 'fd00:10:244::/56', '10.96.0.0/16'],
  serial: 7
}
const six = new ServiceSource()
six.put(
  service('web', 'fd00:10:96::20', [{ name: 'http', port: 80 }], { clusterIPs: ['fd00:10:96::20', '10.96.0.20'] }),
  service('db', 'None', [{ name: 'sql', port: 5432 }]),
  {
    ...slice('db', [{ ip: 'fd00:10:244::5', hostname: 'db-0' }, { ip: 'fd00:10:244::6' }], [{ name: 'sql', port: 5432 }]),
    addressType: 'IPv6'
  }
)
const sixView = dnsView(six)
const data6 = (name: string, type: RecordType) => {
  const reply = answer(sixView, { name, type, class: 'IN' } satisfies Question, SIX)
  return reply.kind === 'forward'
    ? 'forward'
    : reply.code === 'NXDOMAIN'
      ? 'NXDOMAIN'
      : [...reply.answers, ...reply.additionals].map((one) =>
          'data' in one ? (typeof one.data === 'object' && 'target' in one.data ? one.data.target : one.data) : undefined
        )
}
dns('IPv6 addresses are AAAA records, each family under its own type', () => {
  assert.equal(
    [data6('web.default.svc.cluster.local', 'AAAA'), data6('web.default.svc.cluster.local', 'A')],
    [['fd00:10:96::20'], ['10.96.0.20']]
  )
  assert.equal(
    [data6('db.default.svc.cluster.local', 'AAAA'), data6('db.default.svc.cluster.local', 'A')],
    [['fd00:10:244::5', 'fd00:10:244::6'], []]
  )
  assert.equal(data6('fd00-10-244--6.db.default.svc.cluster.local', 'AAAA'), ['fd00:10:244::6'])
  assert.equal(data6('ns.dns.cluster.local', 'AAAA'), ['fd00:10:96::a'])
  assert.equal(data6('fd00-10-244--9.default.pod.cluster.local', 'AAAA'), ['fd00:10:244::9'])
  assert.is(data6('fd00-10-zz--9.default.pod.cluster.local', 'AAAA'), 'NXDOMAIN')
  assert.equal(data6('_sql._tcp.db.default.svc.cluster.local', 'SRV'), [
    'db-0.db.default.svc.cluster.local',
    'fd00-10-244--6.db.default.svc.cluster.local',
    'fd00:10:244::5',
    'fd00:10:244::6'
  ])
})
/** As a resolver asks. */
const reversed = (digits: string): string => `${[...digits].reverse().join('.')}.ip6.arpa`
dns('IPv6 addresses lead back to names (ip6.arpa)', () => {
  assert.equal(data6(reversed('fd000010009600000000000000000020'), 'PTR'), ['web.default.svc.cluster.local'])
  assert.equal(data6(reversed('fd000010024400000000000000000005'), 'PTR'), ['db-0.db.default.svc.cluster.local'])
  assert.is(data6(reversed('fd000010024400000000000000000099'), 'PTR'), 'NXDOMAIN')
  assert.is(data6(reversed('20010db8000000000000000000000001'), 'PTR'), 'forward')
  assert.equal(data6('20.0.96.10.in-addr.arpa', 'PTR'), ['web.default.svc.cluster.local'])
})

dns.run()
