/**
 * How long kube-proxy takes for 1,000 Services of 4 endpoints (or as many as asked): first sync, one endpoint, a Service more, a Service
 * less, a flush, rest.
 */
import { execa } from 'execa'
import { systemClock } from '#services/platform/Clock.ts'
import { HostIptables } from '#services/platform/Iptables.ts'
import { chainHash } from '#services/kube-proxy/chainHash.ts'
import { KubeProxy } from '#services/kube-proxy/KubeProxy.ts'
import { NodeLab } from '#test/support/netns.ts'
import { service, ServiceSource, slice } from '#test/support/services.ts'

const COUNT = Number(process.argv[2] ?? 1000)
const ROUNDS = 15

const lab = new NodeLab()
const iptables = new HostIptables(lab.netns)
let inKernel = 0
const source = new ServiceSource()
const proxy = new KubeProxy({
  source,
  clock: systemClock,
  iptables: {
    save: (table) => iptables.save(table),
    watch: (prefix, onTouched) => iptables.watch(prefix, onTouched),
    restore: async (text) => {
      const begun = performance.now()
      await iptables.restore(text)
      inKernel = performance.now() - begun
    }
  },
  conntrack: { forgetUdp: async () => {} },
  config: { instance: lab.instance, nodeName: 'n1', clusterCIDR: '10.97.0.0/16', masqueradeMark: 0x4000, hash: chainHash }
})

const ipOf = (n: number): string => `${n >> 8}.${n & 255}`
const web = (n: number) => service(`s${n}`, `10.98.${ipOf(n)}`, [{ port: 80 }])
const ends = (n: number, shift = 0) =>
  slice(
    `s${n}`,
    [0, 1, 2, 3].map((k) => ({ ip: `10.97.${ipOf((n * 4 + k + shift) % 65_536)}` })),
    [{ port: 8080 }]
  )

const measure = async (what: string, change: (round: number) => void): Promise<void> => {
  const kernel: number[] = []
  const whole: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now()
    change(round)
    await proxy.settled()
    whole.push(performance.now() - begun)
    kernel.push(inKernel)
  }
  const median = (values: number[]): string => values.sort((a, b) => a - b)[values.length >> 1]!.toFixed(1)
  console.log(
    `${what}: iptables-restore ${median(kernel)} ms; change to kernel ${median(whole)} ms, with the time changes are gathered (median of ${ROUNDS})`
  )
}

await lab.create()
try {
  console.log((await execa('iptables-restore', ['--version'])).stdout, `${COUNT} Services`)
  for (let n = 0; n < COUNT; n++) source.put(web(n), ends(n))
  const begun = performance.now()
  await proxy.start()
  console.log(`first sync: ${(performance.now() - begun).toFixed(0)} ms, of it iptables-restore ${inKernel.toFixed(0)} ms`)
  await measure('one endpoint changes', (round) => source.put(ends(COUNT >> 1, round + 1)))
  await measure('a Service more', (round) => source.put(web(COUNT + round), ends(COUNT + round)))
  await measure('a Service less', (round) => source.remove(ends(COUNT + round), web(COUNT + round)))
  const lines = async (): Promise<number> => (await iptables.save('nat')).split('\n').length
  const before = await lines()
  // Listening begins a moment after the start, and is looked after once.
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const flushed = performance.now()
  await execa('nsenter', [`--net=${lab.netns}`, 'iptables', '-t', 'nat', '-F'])
  while ((await lines()) !== before) await new Promise((resolve) => setTimeout(resolve, 50))
  console.log(`iptables -t nat -F: all of it is back ${(performance.now() - flushed).toFixed(0)} ms after it began`)
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  const cpu = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 60_000))
  const { user, system } = process.cpuUsage(cpu)
  console.log(`at rest: ${((user + system) / 1000 / 600).toFixed(3)} % of a core over a minute`)
  await proxy.stop()
} finally {
  await lab.remove()
}
