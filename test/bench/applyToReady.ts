/** From `kubectl apply` of a Deployment to all its replicas ready, beside `docker run` of as many containers. */
import { performance } from 'node:perf_hooks'
import Docker from 'dockerode'
import { execa } from 'execa'
import { startCluster } from '#test/support/cluster.ts'
import { machine } from './support.ts'

const REPLICAS = Number(process.argv[2] ?? 50)
/** What Docker does best at on two cores: more at once takes longer each. */
const PARALLEL = 4

const MANIFEST = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: many}
spec:
  replicas: ${REPLICAS}
  selector: {matchLabels: {app: many}}
  template:
    metadata: {labels: {app: many}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers: [{name: c, image: reckon/demo:1, command: [sleep, "100000"]}]
`

const cluster = await startCluster()
console.log(`machine: ${machine()}`)
try {
  await cluster.until(
    'the node is ready',
    async () =>
      (await cluster.kubectl(['get', 'nodes', '-o', 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}'])).out === 'True'
  )
  let began = performance.now()
  await cluster.kubectl(['apply', '-f', '-'], { input: MANIFEST })
  const status = await cluster.kubectl(['rollout', 'status', 'deploy/many', '--timeout=300s'], { timeout: 310_000 })
  if (status.code !== 0) throw new Error(status.err)
  const ours = (performance.now() - began) / 1000
  console.log(
    `reckon: ${REPLICAS} replicas ready ${ours.toFixed(1)} s after apply (${(REPLICAS / ours).toFixed(1)} pods/s; a pod is two containers, a network interface and an address)`
  )
  began = performance.now()
  await cluster.ok('delete', 'deploy', 'many')
  await cluster.until('they are gone', async () => (await cluster.ok('get', 'pods', '-o', 'name')) === '', 300_000)
  console.log(`reckon: all gone ${((performance.now() - began) / 1000).toFixed(1)} s after delete`)

  const docker = new Docker({ socketPath: '/var/run/docker.sock' })
  const names = Array.from({ length: REPLICAS }, (_, n) => `bench-${process.pid}-${n}`)
  const each = async (work: (name: string) => Promise<unknown>): Promise<void> => {
    const queue = [...names]
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        for (let name = queue.shift(); name !== undefined; name = queue.shift()) await work(name)
      })
    )
  }
  began = performance.now()
  await each((name) => execa('docker', ['run', '-d', '--name', name, '--network', 'none', 'reckon/demo:1', 'sleep', '100000']))
  const run = (performance.now() - began) / 1000
  console.log(
    `docker run: ${REPLICAS} single containers without a network, ${PARALLEL} at a time: ${run.toFixed(1)} s (${(REPLICAS / run).toFixed(1)}/s)`
  )
  await each((name) => docker.getContainer(name).remove({ force: true }))
} finally {
  await cluster.stop()
}
process.exit(0)
