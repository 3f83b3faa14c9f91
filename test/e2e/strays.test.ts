/** The bindings are lost, and the agent starts anew: what runs goes on until the log has said what is gone. Real containers. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { streamsFolder } from '#ops/nats/store.ts'
import { runningServer } from '#ops/nats/server.ts'
import { stopSupervisor } from '#ops/supervise/supervisor.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'

const SERVER = join(import.meta.dirname, '../../ops/server.ts')

const strays = suite('lost bindings, end to end')
let cluster: TestCluster
const started: ChildProcess[] = []

/** Id of the running container of each pod. */
const containers = async (): Promise<Record<string, string>> => {
  const { stdout } = await execa('docker', [
    'ps',
    '--no-trunc',
    '--format',
    '{{.Label "io.kubernetes.pod.name"}} {{.ID}}',
    '--filter',
    `label=io.reckon.instance=${cluster.config.instance}`,
    '--filter',
    'label=io.kubernetes.container.name=main'
  ])
  return Object.fromEntries(
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ') as [string, string])
  )
}
const run = async (...components: string[]): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [SERVER, '--home', cluster.home, '--components', components.join(',')], {
    stdio: 'ignore',
    env: { ...process.env, RECKON_HOME: cluster.home }
  })
  started.push(child)
  return child
}
const kill = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
const killNats = async (): Promise<void> => {
  const running = runningServer(cluster.home)
  if (running !== undefined) process.kill(running.pid, 'SIGKILL')
  while (runningServer(cluster.home) !== undefined) await wait(20)
}
const wipeBindings = (): void => rmSync(join(streamsFolder(cluster.home), 'BINDINGS'), { recursive: true })
const pod = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image: 'reckon/demo:1', command: ['sleep', '100000'] }] }
})

strays.before(async () => {
  cluster = await startCluster()
})
strays.after(async () => {
  for (const child of started) await kill(child)
  await cluster.stop()
})

strays('an agent whose bindings are gone stops nothing, asks the log, and stops what is gone, and only that', async () => {
  for (const name of ['kept', 'going', 'other'])
    assert.is((await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod(name)) })).code, 0)
  await cluster.until('three pods run', async () => Object.keys(await containers()).length === 3)
  const before = await containers()
  // Killed alone, it would be started again at once.
  assert.ok(await stopSupervisor(cluster.home, cluster.config))
  assert.is(cluster.pid(), 0)
  await killNats()
  wipeBindings()

  // One pod is deleted while its node is away, and what the node was to be told of it is lost.
  const api = await run('apiserver')
  await cluster.until('the API server is back', async () => (await cluster.kubectl(['get', 'pods'])).code === 0)
  await cluster.ok('delete', 'pod', 'going', '--force', '--grace-period=0')
  await kill(api)
  await killNats()
  wipeBindings()
  // And one runs here that the log never heard of.
  const labels = {
    'io.reckon.instance': cluster.config.instance,
    'io.reckon.node': cluster.config.nodeName,
    'io.kubernetes.pod.uid': 'stranger-uid',
    'io.kubernetes.pod.namespace': 'default',
    'io.kubernetes.pod.name': 'stranger',
    'io.kubernetes.container.name': 'main'
  }
  await execa('docker', [
    'run',
    '-d',
    '--network',
    'none',
    ...Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
    'reckon/pause:1'
  ])
  const all = await containers()
  assert.equal(Object.keys(all).sort(), ['going', 'kept', 'other', 'stranger'])

  // The agent alone, with nobody to tell it anything.
  const agent = await run('kubelet')
  await wait(6_000)
  assert.equal(await containers(), all)
  await kill(agent)

  await cluster.restart()
  await cluster.until('what was deleted is gone', async () => (await containers())['going'] === undefined)
  const after = await containers()
  assert.equal(after, { kept: before['kept'], other: before['other'], stranger: all['stranger'] })
  await cluster.until(
    'the node says so',
    async () =>
      (await cluster.ok('get', 'node', cluster.config.nodeName, '-o', 'jsonpath={.status.conditions[?(@.type=="UnknownPods")].status}')) ===
      'True'
  )
  const described = await cluster.ok('describe', 'node', cluster.config.nodeName)
  assert.match(
    described,
    /UnknownPods\s+True\s.*PodsUnknownToCluster\s+a pod runs here that the cluster's log knows nothing of, and is let run: default\/stranger/
  )
  await cluster.until('and a notice', async () =>
    /Warning\s+PodsUnknownToCluster/.test(await cluster.ok('describe', 'node', cluster.config.nodeName))
  )
  // Those that were kept are this cluster's pods again.
  await cluster.until(
    'their bindings are back',
    async () => (await cluster.ok('get', 'pods', '-o', 'jsonpath={.items[*].status.phase}')) === 'Running Running'
  )
  assert.is((await cluster.kubectl(['exec', 'kept', '--', 'echo', 'here'])).out, 'here')
  await cluster.ok('delete', 'pod', 'kept', '--timeout=30s')
  assert.equal(Object.keys(await containers()).sort(), ['other', 'stranger'])
})
strays.run()
