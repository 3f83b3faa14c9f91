/**
 * A home is removed under its cluster, and a person starts a new one at the same path: nothing of the lost one is left beside it but its
 * containers.
 */
import { readFileSync, rmSync } from 'node:fs'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { removeNode } from '#ops/components/remove.ts'
import { readConfig, type ClusterConfig } from '#ops/home.ts'
import { isNatsServerOf, runningServer } from '#ops/nats/server.ts'
import { isClusterOf, runningCluster } from '#ops/running.ts'
import { processesWhere } from '#ops/setup/process.ts'
import { isParentOf } from '#ops/supervise/supervisor.ts'
import { up } from '#ops/up.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'

const lost = suite('a new cluster in the place of a lost one')
let cluster: TestCluster
const lostOnes: ClusterConfig[] = []
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'kept' },
  spec: { containers: [{ name: 'main', image: 'reckon/demo:1', command: ['sleep', '100000'] }] }
}
const running = async (): Promise<string> =>
  (
    await execa('docker', [
      'ps',
      '-q',
      '--no-trunc',
      '--filter',
      `label=io.reckon.instance=${cluster.config.instance}`,
      '--filter',
      'label=io.kubernetes.container.name=main'
    ])
  ).stdout

/** Pods' secrets are file systems of their own. */
const remove = async (home: string): Promise<void> => {
  lostOnes.push(readConfig(home) as ClusterConfig)
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${home}/`))
  for (const path of mounts.reverse()) await execa('umount', ['--lazy', path])
  rmSync(home, { recursive: true, maxRetries: 10, retryDelay: 20 })
}

lost.before(async () => {
  cluster = await startCluster()
})
lost.after(async () => {
  await cluster.stop()
  // What stays of a lost cluster is its node's.
  for (const config of lostOnes) await removeNode(cluster.home, config, () => {})
  rmSync(cluster.home, { recursive: true, force: true })
})

lost('`reckon up` ends what did not notice, says so, and is alone', async () => {
  assert.is((await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(POD) })).code, 0)
  await cluster.until('the pod runs', async () => (await running()) !== '')
  const before = await running()
  const [plane, nats] = [cluster.pid(), runningServer(cluster.home)?.pid ?? 0]
  process.kill(plane, 'SIGSTOP')
  await remove(cluster.home)
  const said: string[] = []
  await up({ home: cluster.home, demo: false, report: (line) => void said.push(line) })
  for (const pid of [plane, nats])
    assert.ok(
      said.some((line) => line.startsWith('left of the cluster whose home is gone, and ended now: ') && line.endsWith(`(process ${pid})`)),
      said.join('\n')
    )
  assert.is.not(readConfig(cluster.home)?.instance, cluster.config.instance)
  assert.equal(
    processesWhere((given) => isClusterOf(cluster.home, given) && !isParentOf(cluster.home, given)).map(({ pid }) => pid),
    [runningCluster(cluster.home)?.pid]
  )
  assert.equal(
    processesWhere((given) => isNatsServerOf(cluster.home, given)).map(({ pid }) => pid),
    [runningServer(cluster.home)?.pid]
  )
  assert.ok(processesWhere((given) => isParentOf(cluster.home, given)).length <= 1)
  assert.is(await running(), before)
})

lost('it is noticed with every component at work, or about to be: they end within seconds, and the container goes on', async () => {
  await remove(cluster.home)
  const left = (): number =>
    processesWhere((given) => [isParentOf, isClusterOf, isNatsServerOf].some((isOne) => isOne(cluster.home, given))).length
  await cluster.until('nothing of it runs', async () => left() === 0, 30_000)
  assert.is.not(await running(), '')
  await cluster.restart()
})
lost.run()
