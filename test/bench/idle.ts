/** Claim: at rest the whole system, nats-server included, takes < 300 MB and < 3 % of a core. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startCluster } from '#test/support/cluster.ts'
import { machine, usageOf } from './support.ts'

const SECONDS = 60

const cluster = await startCluster()
console.log(`machine: ${machine()}`)
try {
  await cluster.ok('create', 'deployment', 'web', '--image=reckon/demo:1', '--replicas=3', '--', 'sleep', '100000')
  await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=60s')
  await wait(10_000)
  const pids = {
    'control plane and agent': cluster.pid(),
    'nats-server': Number(readFileSync(join(cluster.home, 'run/nats-server.pid'), 'utf8'))
  }
  const before = Object.values(pids).map(usageOf)
  await wait(SECONDS * 1000)
  let memory = 0
  let cpu = 0
  for (const [at, [name, pid]] of Object.entries(pids).entries()) {
    const now = usageOf(pid)
    const percent = ((now.cpuMs - (before[at]?.cpuMs ?? 0)) / (SECONDS * 1000)) * 100
    memory += now.rssMiB
    cpu += percent
    console.log(`${name}: ${now.rssMiB.toFixed(0)} MiB, ${percent.toFixed(2)} % of a core`)
  }
  console.log(`together, with three pods running: ${memory.toFixed(0)} MiB resident, ${cpu.toFixed(2)} % of a core over ${SECONDS} s`)
} finally {
  await cluster.stop()
}
process.exit(0)
