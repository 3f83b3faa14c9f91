/** A pod resolves the cluster's names through the DNS Service's cluster IP, with the real rules. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { execa } from 'execa'
import { systemClock } from '#services/platform/Clock.ts'
import { HostConntrack } from '#services/platform/Conntrack.ts'
import { HostIptables } from '#services/platform/Iptables.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import { staticBusybox } from '#ops/setup/busybox.ts'
import { NodeLab, podNetns } from '#test/support/netns.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const dns = suite('cluster DNS')

/** The one the demo image is made from. */
const busybox = await staticBusybox(() => {})
const lab = new NodeLab()
const iptables = new HostIptables(lab.netns)
const network = new BridgeNetwork({
  instance: lab.instance,
  nodePodCIDR: '10.97.0.0/24',
  podCIDR: '10.97.0.0/16',
  serviceCIDR: '10.98.0.0/16',
  folder: `${lab.folder}/network`,
  iptables,
  netns: lab.netns
})
const source = new ServiceSource()
const proxy = new KubeProxy({
  source,
  clock: systemClock,
  iptables,
  conntrack: new HostConntrack(lab.netns),
  config: { instance: lab.instance, nodeName: 'n1', clusterCIDR: '10.97.0.0/16', masqueradeMark: 0x4000, hash: chainHash }
})
let pod = 0

dns.before(async () => {
  await lab.create()
  await network.start()
  source.put(
    service('kube-dns', '10.98.0.10', [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53 }
    ]),
    slice(
      'kube-dns',
      [{ ip: network.gateway }],
      [
        { name: 'dns', port: 10053, protocol: 'UDP' },
        { name: 'dns-tcp', port: 10053 }
      ]
    )
  )
  await proxy.start()
  await lab.serve(lab.netns, 'dns', network.gateway, '10053')
  pod = await lab.pause()
  await network.setup({ podUid: 'asker', namespace: 'default', name: 'asker', pausePid: pod })
})
dns.after(async () => {
  await proxy.stop()
  await lab.remove()
})

const lookUp = (name: string): Promise<string> =>
  execa('nsenter', [`--net=${podNetns(pod)}`, busybox, 'nslookup', name, '10.98.0.10'], { reject: false }).then(({ stdout }) => stdout)

dns('a Service by name', async () => assert.match(await lookUp('web.default.svc.cluster.local'), '10.98.0.20'))
dns('an endpoint by name', async () => assert.match(await lookUp('db-0.db.default.svc.cluster.local'), '10.97.0.5'))
dns('an address', async () => assert.match(await lookUp('10.98.0.20'), 'web.default.svc.cluster.local'))
dns('a name that is not there', async () => assert.match(await lookUp('nobody.default.svc.cluster.local'), 'NXDOMAIN'))

dns.run()
