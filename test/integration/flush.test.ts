/** Somebody flushes rules: pods and Services work again within seconds, and looking after that costs nothing at rest. */
import { readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '#services/platform/Clock.ts'
import { HostConntrack } from '#services/platform/Conntrack.ts'
import { HostIptables } from '#services/platform/Iptables.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import type { Subscription } from '#events/Log.ts'
import { NodeLab, podNetns } from '#test/support/netns.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const WITHIN_MS = 5_000
/** A look reads each. */
const TABLES = 2
/** PROC_PID_INIT_INO (include/linux/proc_ns.h). */
const numbersAreTheMachines = readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]'
const VIP = '10.98.0.20'

const flush = suite('flushed rules')
const lab = new NodeLab()
/** Counts what is run: each is a process. */
class Counting extends HostIptables {
  runs = 0
  override restore(text: string): Promise<void> {
    this.runs++
    return super.restore(text)
  }
  override save(table: 'nat' | 'filter'): Promise<string> {
    this.runs++
    return super.save(table)
  }
}
const iptables = new Counting(lab.netns)
const told: string[] = []
const network = new BridgeNetwork({
  instance: lab.instance,
  nodePodCIDR: '10.97.0.0/24',
  podCIDR: '10.97.0.0/16',
  serviceCIDR: '10.98.0.0/16',
  folder: `${lab.folder}/network`,
  iptables,
  netns: lab.netns,
  onWarning: (message) => told.push(message)
})
const source = new ServiceSource()
const proxy = new KubeProxy({
  source,
  clock: systemClock,
  iptables,
  conntrack: new HostConntrack(lab.netns),
  config: { instance: lab.instance, nodeName: 'n1', clusterCIDR: '10.97.0.0/16', masqueradeMark: 0x4000, hash: chainHash },
  onError: (error) => told.push((error as Error).message)
})
const pods: { pid: number; ip: string }[] = []
let kept: Subscription

const somebody = (...args: string[]): Promise<unknown> => execa('nsenter', [`--net=${lab.netns}`, 'iptables', ...args])
/** Everything that goes through rules: two pods, a Service over TCP and UDP, a node port, the world. */
const works = async (): Promise<boolean> => {
  const from = podNetns(pods[0]!.pid)
  const [direct, tcp, udp, nodePort, world] = await Promise.all([
    lab.probe(from, 'tcp', pods[1]!.ip, 8080, 1),
    lab.probe(from, 'tcp', VIP, 80, 1),
    lab.probe(from, 'udp', VIP, 53, 1, 5353),
    lab.probe(`/run/netns/${lab.outside}`, 'tcp', lab.nodeIP, 30080, 1),
    lab.probe(from, 'tcp', '198.18.0.1', 9000, 1)
  ])
  return (
    direct.results[0]?.startsWith('p1 ') === true &&
    tcp.results[0]?.startsWith('p1 ') === true &&
    udp.results[0]?.startsWith('p1 ') === true &&
    nodePort.results[0]?.startsWith('p1 ') === true &&
    world.results[0] === `world ${lab.nodeIP}`
  )
}
const rules = async (): Promise<string[]> =>
  (await Promise.all((['nat', 'filter'] as const).map((table) => iptables.save(table)))).flatMap((text) =>
    text.split('\n').filter((line) => line.includes(lab.instance))
  )
/** What the rules were; order of those that have none left out. */
const same = (a: readonly string[], b: readonly string[]): boolean => a.toSorted().join('\n') === b.toSorted().join('\n')
const backIn = async (before: readonly string[]): Promise<number> => {
  const began = performance.now()
  while (!same(before, await rules())) {
    if (performance.now() - began > 20_000) throw new Error(`not back after 20 s:\n${(await rules()).join('\n')}`)
    await wait(50)
  }
  return performance.now() - began
}

flush.before(async () => {
  await lab.create()
  // As Docker sets it: whatever is not allowed is dropped.
  await somebody('-P', 'FORWARD', 'DROP')
  await network.start()
  kept = network.keepRules(systemClock)
  for (let n = 0; n < 2; n++) {
    const pid = await lab.pause()
    pods.push({ pid, ...(await network.setup({ podUid: `uid-${n}`, namespace: 'default', name: `p${n}`, pausePid: pid })) })
  }
  await lab.serve(podNetns(pods[1]!.pid), 'serve', 'p1', '8080')
  await lab.serve(`/run/netns/${lab.outside}`, 'serve', 'world', '9000')
  source.put(
    service('web', VIP, [
      { name: 'tcp', port: 80, nodePort: 30080 },
      { name: 'udp', port: 53, protocol: 'UDP' }
    ]),
    slice(
      'web',
      [{ ip: pods[1]!.ip, node: 'n1' }],
      [
        { name: 'tcp', port: 8080 },
        { name: 'udp', port: 8080, protocol: 'UDP' }
      ]
    ),
    service('nobody', '10.98.0.21', [{ port: 80 }])
  )
  await proxy.start()
  // The first look, after which only what happens leads to another.
  await wait(3_000)
})
flush.after(async () => {
  kept?.close()
  await proxy.stop()
  await lab.remove()
})

for (const [what, commands] of [
  ['everything', [['-F'], ['-t', 'nat', '-F']]],
  ['everything, chains included', [['-F'], ['-X'], ['-t', 'nat', '-F'], ['-t', 'nat', '-X']]],
  ['nat only', [['-t', 'nat', '-F']]],
  ['filter only', [['-F']]],
  ['one chain of others, with our jumps in it', [['-F', 'FORWARD']]],
  ['one chain of ours', [['-t', 'nat', '-F', `RK-${lab.instance}-SERVICES`]]],
  ['one rule in a chain of ours', [['-D', `RKN-${lab.instance}-FORWARD`, '1']]],
  ['one rule of a Service', [['-t', 'nat', '-D', `RK-${lab.instance}-SERVICES`, '1']]],
  ['one jump', [['-t', 'nat', '-D', 'PREROUTING', '1']]]
] as const)
  flush(`${what}: all of it is back within seconds, and works`, async () => {
    const before = await rules()
    assert.ok(await works(), 'it works before')
    const mended = told.length
    for (const command of commands) await somebody(...command)
    assert.not(same(before, await rules()), 'nothing was taken away')
    const ms = await backIn(before)
    assert.ok(ms < WITHIN_MS, `it took ${ms.toFixed(0)} ms`)
    assert.ok(await works(), 'it works again')
    assert.ok(
      told.slice(mended).some((line) => /not as they were written/.test(line)),
      'it is told'
    )
    // Not so often that one flush right after another would have to wait for long.
    await wait(1_200)
  })

flush('a rule put in the place of one of ours is taken out again', async () => {
  const before = await rules()
  await somebody('-R', `RKN-${lab.instance}-FORWARD`, '2', '-j', 'DROP')
  assert.ok((await backIn(before)) < WITHIN_MS)
  assert.ok(await works())
})
flush('a client that keeps its port and asked while nothing was there is answered', async () => {
  const before = await rules()
  await somebody('-t', 'nat', '-F')
  // An entry of the kernel now says: untranslated.
  const asked = await lab.probe(podNetns(pods[0]!.pid), 'udp', VIP, 53, 1, 5454)
  await backIn(before)
  await wait(500)
  assert.ok(
    (await lab.probe(podNetns(pods[0]!.pid), 'udp', VIP, 53, 1, 5454)).results[0]?.startsWith('p1 '),
    `before: ${asked.results.join()}`
  )
})
/** How often the tools were run, once what was done before leads to no more of it. */
const atRest = async (): Promise<number> => {
  for (let seen = -1; seen !== iptables.runs; await wait(1_500)) seen = iptables.runs
  return iptables.runs
}

flush('rules of others come and go without a look', async () => {
  const before = await atRest()
  for (let n = 0; n < 5; n++) {
    await somebody('-t', 'nat', '-N', `OTHER-${n}`)
    await somebody('-t', 'nat', '-A', 'PREROUTING', '-j', `OTHER-${n}`)
  }
  await somebody('-I', 'FORWARD', '1', '-s', '192.0.2.1', '-j', 'ACCEPT')
  await wait(2_000)
  assert.is(iptables.runs, before)
})
flush('our own writes lead to no look; where the kernel knows us by other numbers, to one', async () => {
  const before = await atRest()
  source.put(service('another', '10.98.0.30', [{ port: 80 }]))
  await proxy.settled()
  assert.is(iptables.runs, before + 1)
  await wait(2_000)
  // It names processes by the machine's numbers, which are not ours in a pid namespace within; then a write of ours is anybody's.
  assert.is(iptables.runs, before + (numbersAreTheMachines ? 1 : 1 + TABLES))
})
flush('at rest nothing is run, and next to no time is used', async () => {
  const before = await atRest()
  const monitors = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('xtables-monitor'))
  assert.ok(monitors.length > 0, 'nobody listens to the kernel')
  const ticks = (): number =>
    monitors.reduce(
      (sum, pid) =>
        sum +
        (/^\d+ \(.*\) \S (?:-?\d+ ){10}(\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [])
          .slice(1, 3)
          .reduce((all, one) => all + Number(one), 0),
      0
    )
  const [used, self] = [ticks(), process.cpuUsage()]
  await wait(5_000)
  const { user, system } = process.cpuUsage(self)
  assert.is(iptables.runs, before)
  assert.is(ticks(), used)
  assert.ok((user + system) / 1000 < 100, `${((user + system) / 1000).toFixed(0)} ms of this process in 5 s`)
})
flush.run()
