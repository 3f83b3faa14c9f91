/** How long the pod network takes to give pods their interface: one after another, and four at a time. */
import { HostIptables } from '#services/platform/Iptables.ts'
import { BridgeNetwork } from '#services/network/BridgeNetwork.ts'
import { NodeLab } from '#test/support/netns.ts'

const PODS = 40
const lab = new NodeLab()
await lab.create()
try {
  const network = new BridgeNetwork({
    instance: lab.instance,
    nodePodCIDR: '10.97.0.0/24',
    podCIDR: '10.97.0.0/16',
    serviceCIDR: '10.98.0.0/16',
    folder: `${lab.folder}/network`,
    iptables: new HostIptables(lab.netns),
    netns: lab.netns
  })
  let begun = performance.now()
  await network.start()
  console.log(`start: ${(performance.now() - begun).toFixed(0)} ms`)
  const pids = await Promise.all(Array.from({ length: PODS }, () => lab.pause()))
  const run = async (width: number, task: (n: number) => Promise<unknown>): Promise<number> => {
    const queue = pids.map((_, n) => n)
    const from = performance.now()
    await Promise.all(
      Array.from({ length: width }, async () => {
        for (let n = queue.shift(); n !== undefined; n = queue.shift()) await task(n)
      })
    )
    return (performance.now() - from) / PODS
  }
  for (const width of [1, 4]) {
    const up = await run(width, (n) => network.setup({ podUid: `u${width}-${n}`, namespace: 'default', name: `p${n}`, pausePid: pids[n]! }))
    const down = await run(width, (n) => network.teardown(`u${width}-${n}`))
    console.log(`${width} at a time: setup ${up.toFixed(1)} ms a pod, teardown ${down.toFixed(1)} ms a pod (${PODS} pods)`)
  }
  begun = performance.now()
  await network.removeEverything()
  console.log(`removeEverything: ${(performance.now() - begun).toFixed(0)} ms`)
} finally {
  await lab.remove()
}
