/** Real pods' namespaces, the real pod network and real rules: Services as clients see them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { execa } from 'execa'
import { systemClock } from '#services/platform/Clock.ts'
import { HostConntrack } from '#services/platform/Conntrack.ts'
import { HostIptables } from '#services/platform/Iptables.ts'
import { parseSave } from '#services/platform/iptables/text.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import { NodeLab, podNetns, type Probe } from '#test/support/netns.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const services = suite('Services in the kernel')

const lab = new NodeLab()
const iptables = new HostIptables(lab.netns)
const errors: unknown[] = []
const network = new BridgeNetwork({
  instance: lab.instance,
  nodePodCIDR: '10.97.0.0/24',
  podCIDR: '10.97.0.0/16',
  serviceCIDR: '10.98.0.0/16',
  folder: `${lab.folder}/network`,
  iptables,
  netns: lab.netns,
  onWarning: (message) => errors.push(message)
})
const source = new ServiceSource()
const proxy = new KubeProxy({
  source,
  clock: systemClock,
  iptables,
  conntrack: new HostConntrack(lab.netns),
  config: { instance: lab.instance, nodeName: 'n1', clusterCIDR: '10.97.0.0/16', masqueradeMark: 0x4000, hash: chainHash },
  onError: (error) => errors.push(error)
})
const pods: { pid: number; ip: string }[] = []
const outside = `/run/netns/${lab.outside}`

const VIP = '10.98.0.20'
const NODE_PORT = 30080
const web = service('web', VIP, [
  { name: 'tcp', port: 80, nodePort: NODE_PORT },
  { name: 'udp', port: 80, nodePort: NODE_PORT, protocol: 'UDP' }
])
const sliceOf = (ips: readonly string[]) =>
  slice(
    'web',
    ips.map((ip) => ({ ip, node: 'n1' })),
    [
      { name: 'tcp', port: 8080 },
      { name: 'udp', port: 8080, protocol: 'UDP' }
    ]
  )
const names = ({ results }: Probe): string[] => [...new Set(results.map((result) => result.split(' ')[0] as string))].sort()
const sources = ({ results }: Probe): string[] => [...new Set(results.map((result) => result.split(' ')[1] as string))].sort()
const ALL = ['p0', 'p1', 'p2']

services.before(async () => {
  await lab.create()
  // As Docker sets it: whatever is not allowed is dropped.
  await execa('nsenter', [`--net=${lab.netns}`, 'iptables', '-P', 'FORWARD', 'DROP'])
  await network.start()
  for (let n = 0; n < 4; n++) {
    const pid = await lab.pause()
    pods.push({ pid, ...(await network.setup({ podUid: `uid-${n}`, namespace: 'default', name: `p${n}`, pausePid: pid })) })
  }
  await Promise.all(ALL.map((name, n) => lab.serve(podNetns(pods[n]!.pid), 'serve', name, '8080')))
  source.put(web, sliceOf(pods.slice(0, 3).map(({ ip }) => ip)), service('nobody', '10.98.0.21', [{ port: 80, nodePort: 30081 }]))
  await proxy.start()
})
services.after(async () => {
  await proxy.stop()
  await lab.remove()
})

services('from a pod to the cluster IP: every endpoint, the source preserved', async () => {
  for (const mode of ['tcp', 'udp'] as const) {
    const probe = await lab.probe(podNetns(pods[3]!.pid), mode, VIP, 80, 40)
    assert.equal(names(probe), ALL, mode)
    assert.equal(sources(probe), [pods[3]!.ip], mode)
  }
})
services('an endpoint reaches itself through its own Service', async () => {
  for (const mode of ['tcp', 'udp'] as const) {
    const probe = await lab.probe(podNetns(pods[0]!.pid), mode, VIP, 80, 40)
    assert.equal(names(probe), ALL, mode)
    assert.equal(sources(probe), [network.gateway, pods[0]!.ip].sort(), mode)
  }
})
services('from the node to the cluster IP', async () => {
  assert.equal(names(await lab.probe(lab.netns, 'tcp', VIP, 80, 40)), ALL)
})
services("the node port on the node's address from outside, from a pod and from the node", async () => {
  for (const from of [outside, podNetns(pods[3]!.pid), lab.netns])
    for (const mode of ['tcp', 'udp'] as const)
      assert.equal(names(await lab.probe(from, mode, lab.nodeIP, NODE_PORT, 40)), ALL, `${mode} from ${from}`)
})
services('the node port on 127.0.0.1', async () => {
  for (const mode of ['tcp', 'udp'] as const) assert.equal(names(await lab.probe(lab.netns, mode, '127.0.0.1', NODE_PORT, 40)), ALL, mode)
})
services('a Service without endpoints refuses at once, everywhere', async () => {
  for (const [from, host, port] of [
    [podNetns(pods[3]!.pid), '10.98.0.21', 80],
    [lab.netns, '10.98.0.21', 80],
    [outside, lab.nodeIP, 30081],
    [lab.netns, '127.0.0.1', 30081]
  ] as const) {
    const probe = await lab.probe(from, 'tcp', host, port, 1)
    assert.equal(probe.results, ['ECONNREFUSED'], `${from} to ${host}`)
    assert.ok(probe.ms < 1_000)
  }
})
services('a client with affinity stays with its endpoint', async () => {
  source.put(
    service('sticky', '10.98.0.22', [{ port: 80 }], { sessionAffinity: 'ClientIP' }),
    slice(
      'sticky',
      pods.slice(0, 3).map(({ ip }) => ({ ip })),
      [{ port: 8080 }]
    )
  )
  await proxy.settled()
  assert.is(names(await lab.probe(podNetns(pods[3]!.pid), 'tcp', '10.98.0.22', 80, 20)).length, 1)
})
services("externalTrafficPolicy Local: from outside only this node's endpoints, and the client's own address", async () => {
  source.put(
    service('near', '10.98.0.23', [{ port: 80, nodePort: 30082 }], { externalTrafficPolicy: 'Local' }),
    slice(
      'near',
      [
        { ip: pods[0]!.ip, node: 'n1' },
        { ip: pods[1]!.ip, node: 'n2' }
      ],
      [{ port: 8080 }]
    )
  )
  await proxy.settled()
  const probe = await lab.probe(outside, 'tcp', lab.nodeIP, 30082, 20)
  assert.equal(names(probe), ['p0'])
  assert.equal(sources(probe), ['198.18.0.1'])
  assert.equal(names(await lab.probe(podNetns(pods[3]!.pid), 'tcp', '10.98.0.23', 80, 20)), ['p0', 'p1'])
})
services('what the kernel holds is what was decided', async () => {
  for (const table of ['nat', 'filter'] as const) {
    const kernel = parseSave(await iptables.save(table))
    const wanted = new Map<string, Iterable<string>>(
      [...proxy.rules.chains, ...proxy.rules.lists].filter(([id]) => id.startsWith(`${table} `))
    )
    const own = [...kernel.keys()].filter((name) => name.startsWith(`RK-${lab.instance}-`))
    assert.equal(own.sort(), [...wanted.keys()].map((id) => id.split(' ')[1]).sort())
    for (const [id, rules] of wanted) assert.equal(kernel.get(id.split(' ')[1]!)?.toSorted(), [...rules].sort(), id)
  }
})
services('an endpoint that goes gets no new connection, and a UDP client that keeps its port moves on', async () => {
  const from = podNetns(pods[3]!.pid)
  source.put(sliceOf([pods[0]!.ip]))
  await proxy.settled()
  assert.equal(names(await lab.probe(from, 'udp', VIP, 80, 1, 5353)), ['p0'])
  source.put(sliceOf([pods[1]!.ip]))
  await proxy.settled()
  assert.equal(names(await lab.probe(from, 'udp', VIP, 80, 1, 5353)), ['p1'])
  source.put(sliceOf([]))
  await proxy.settled()
  assert.equal(names(await lab.probe(from, 'udp', VIP, 80, 1, 5353)), ['ECONNREFUSED'])
  source.put(sliceOf([pods[1]!.ip]))
  await proxy.settled()
  for (const mode of ['tcp', 'udp'] as const) assert.equal(names(await lab.probe(podNetns(pods[3]!.pid), mode, VIP, 80, 12)), ['p1'], mode)
})
services("pods reach the world as the node, and nobody reaches what listens on the node's loopback", async () => {
  await lab.serve(outside, 'serve', 'world', '9000')
  assert.equal((await lab.probe(podNetns(pods[3]!.pid), 'tcp', '198.18.0.1', 9000, 1)).results, [`world ${lab.nodeIP}`])
  await lab.serve(lab.netns, 'serve', 'private', '9001')
  await execa(
    'nsenter',
    [
      `--net=${podNetns(pods[3]!.pid)}`,
      'sh',
      '-c',
      `echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; ip address delete 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via ${network.gateway} src ${pods[3]!.ip}`
    ],
    { reject: false }
  )
  assert.not.equal((await lab.probe(podNetns(pods[3]!.pid), 'tcp', '127.0.0.1', 9001, 1)).results[0]?.split(' ')[0], 'private')
})
services('nothing is left', async () => {
  await proxy.removeEverything()
  await network.removeEverything()
  for (const table of ['nat', 'filter'] as const) {
    const chains = parseSave(await iptables.save(table))
    assert.equal(
      [...chains.keys()].filter((name) => name.startsWith('RK')),
      []
    )
    assert.equal([...chains.values()].flat(), [])
  }
  const { stdout } = await execa('ip', ['-n', lab.node, '-json', 'link', 'show'])
  assert.equal(
    (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname),
    ['lo', 'eth0']
  )
  assert.equal(errors, [])
})

services.run()
