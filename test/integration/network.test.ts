/** The pod network against the kernel: addresses, restarts, many pods at once, and what is left behind. */
import { readdirSync, rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { execa } from 'execa'
import { HostIptables } from '#services/platform/Iptables.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import { staticBusybox } from '#ops/setup/busybox.ts'
import { NodeLab, podNetns } from '#test/support/netns.ts'

const network = suite('pod network')

/** The one the demo image is made from. */
const busybox = await staticBusybox(() => {})
const lab = new NodeLab()
const folder = `${lab.folder}/network`
const agent = (nodePodCIDR = '10.97.0.0/24') =>
  new BridgeNetwork({
    instance: lab.instance,
    nodePodCIDR,
    podCIDR: '10.97.0.0/16',
    serviceCIDR: '10.98.0.0/16',
    folder,
    iptables: new HostIptables(lab.netns),
    netns: lab.netns
  })
const target = (podUid: string, pausePid: number) => ({ podUid, namespace: 'default', name: podUid, pausePid })
const links = async (): Promise<string[]> => {
  const { stdout } = await execa('ip', ['-n', lab.node, '-json', 'link', 'show'])
  return (JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname).filter((name) => name.startsWith(`rk${lab.instance}`))
}
const addressIn = async (pid: number): Promise<string[]> => {
  const { stdout } = await execa('nsenter', [`--net=${podNetns(pid)}`, 'ip', '-4', '-json', 'address', 'show', 'dev', 'eth0'])
  return (JSON.parse(stdout) as { addr_info: { local: string }[] }[]).flatMap(({ addr_info }) => addr_info.map(({ local }) => local))
}

network.before(() => lab.create())
network.after(() => lab.remove())

network('pods set up at the same time have different addresses and reach one another', async () => {
  const net = agent()
  await net.start()
  const pids = await Promise.all(Array.from({ length: 8 }, () => lab.pause()))
  const given = await Promise.all(pids.map((pid, n) => net.setup(target(`many-${n}`, pid))))
  assert.is(new Set(given.map(({ ip }) => ip)).size, 8)
  assert.equal(await addressIn(pids[3]!), [given[3]!.ip])
  await execa('nsenter', [`--net=${podNetns(pids[0]!)}`, busybox, 'ping', '-c', '1', '-W', '2', given[7]!.ip])
  await Promise.all(pids.map((_, n) => net.teardown(`many-${n}`)))
  assert.equal(await links(), [`rk${lab.instance}0`])
  assert.equal(readdirSync(`${folder}/pods`), [])
  assert.is((await net.used()).size, 0)
  await Promise.all(pids.map((pid) => lab.end(pid)))
})
network('a restarted agent knows what is in use, keeps it, and disturbs nothing', async () => {
  const pid = await lab.pause()
  const first = agent()
  await first.start()
  const { ip } = await first.setup(target('kept', pid))
  const before = await links()
  const second = agent()
  await second.start()
  assert.equal([...(await second.used())], [['kept', ip]])
  assert.is((await second.setup(target('kept', pid))).ip, ip)
  assert.equal(await links(), before)
  rmSync(`${folder}/pods/kept.json`)
  const third = agent()
  await third.start()
  assert.equal([...(await third.used())], [['kept', ip]], 'the interface alone tells')
  const other = await lab.pause()
  assert.is.not((await third.setup(target('other', other))).ip, ip)
  await third.teardown('other')
  await third.teardown('kept')
  await lab.end(pid)
  await lab.end(other)
})
network("a new pause container gets the pod's address", async () => {
  const net = agent()
  await net.start()
  const old = await lab.pause()
  const { ip } = await net.setup(target('again', old))
  const next = await lab.pause()
  assert.is((await net.setup(target('again', next))).ip, ip)
  assert.equal(await addressIn(next), [ip])
  assert.equal((await links()).length, 2)
  await lab.end(old)
  await lab.end(next)
  await net.teardown('again')
})
network('addresses of pods that ended without a word are used again when there is no other', async () => {
  await agent().removeEverything()
  const net = agent('10.97.4.0/29')
  await net.start()
  const pids = await Promise.all(Array.from({ length: 6 }, () => lab.pause()))
  for (let n = 0; n < 5; n++) await net.setup(target(`few-${n}`, pids[n]!))
  await net.setup(target('few-5', pids[5]!)).then(
    () => assert.unreachable('there is no address left'),
    (error: Error) => assert.match(error.message, 'no address left')
  )
  const ip = (await net.used()).get('few-2')
  await lab.end(pids[2]!)
  for (let tries = 0; (await links()).length > 5 && tries < 200; tries++);
  assert.is((await net.setup(target('few-5', pids[5]!))).ip, ip)
  await net.removeEverything()
  assert.equal(await links(), [])
})
network('two clusters stand side by side, and one goes without the other', async () => {
  const one = agent()
  const two = new BridgeNetwork({
    instance: 'zzzzz',
    nodePodCIDR: '10.87.0.0/24',
    podCIDR: '10.87.0.0/16',
    serviceCIDR: '10.88.0.0/16',
    folder: `${lab.folder}/two`,
    iptables: new HostIptables(lab.netns),
    netns: lab.netns
  })
  await Promise.all([one.start(), two.start()])
  await one.removeEverything()
  const { stdout } = await execa('nsenter', [`--net=${lab.netns}`, 'iptables-save'])
  assert.not.match(stdout, lab.instance)
  assert.match(stdout, '-A FORWARD -j RKN-zzzzz-FORWARD')
  await two.removeEverything()
})
network('what could break a batch is no pod uid', async () => {
  await agent()
    .setup(target('x\nlink delete dev eth0', 1))
    .then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, 'is no pod uid')
    )
})

network.run()
