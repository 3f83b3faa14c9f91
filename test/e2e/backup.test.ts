/** The disaster, as a person goes through it: a cluster with a workload, its home gone while the containers run, and back it comes. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runningServer } from '#ops/nats/server.ts'
import { processesWhere } from '#ops/setup/process.ts'
import { PROJECT } from '#ops/setup/project.ts'
import { isParentOf } from '#ops/supervise/supervisor.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'

const disaster = suite('a lost home')
let cluster: TestCluster
const folder = mkdtempSync(join(tmpdir(), 'reckon-e2e-backup-'))
const backup = join(folder, 'backup')

const WEB = `
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "hello"}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: s3cret}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: reckon/demo:1
        command: [sleep, "10000"]
        volumeMounts: [{name: page, mountPath: /config}, {name: key, mountPath: /key}]
      volumes: [{name: page, configMap: {name: page}}, {name: key, secret: {secretName: key}}]
`

const reckon = async (...args: readonly string[]): Promise<string> => {
  const { stdout, stderr, exitCode } = await execa(process.execPath, [join(PROJECT, 'ops/main.ts'), ...args], {
    reject: false,
    stdin: 'ignore',
    env: { RECKON_HOME: cluster.home },
    timeout: 120_000
  })
  assert.is(exitCode, 0, `reckon ${args.join(' ')}: ${stderr}`)
  return stdout
}
const pods = async (): Promise<
  readonly { readonly name: string; readonly container: string; readonly restarts: number; readonly ip: string }[]
> =>
  (
    JSON.parse(await cluster.ok('get', 'pods', '-l', 'app=web', '-o', 'json')) as {
      items: { metadata: { name: string }; status: { podIP: string; containerStatuses: { containerID: string; restartCount: number }[] } }[]
    }
  ).items.map(({ metadata: { name }, status }) => ({
    name,
    container: status.containerStatuses[0]?.containerID ?? '',
    restarts: status.containerStatuses[0]?.restartCount ?? -1,
    ip: status.podIP
  }))

/** Everything in the home goes at once, under processes that run; two of them die of it. Containers go on, and so does the supervisor. */
const lose = async (): Promise<void> => {
  const victims = [cluster.pid(), runningServer(cluster.home)?.pid ?? 0]
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${cluster.home}/`))
  for (const path of mounts.reverse()) await execa('umount', ['--lazy', path])
  renameSync(cluster.home, join(folder, 'lost'))
  for (const pid of victims) process.kill(pid, 'SIGKILL')
  rmSync(join(folder, 'lost'), { recursive: true })
}

disaster.before(async () => {
  cluster = await startCluster()
})
disaster.after(async () => {
  await cluster.stop()
  rmSync(folder, { recursive: true, force: true })
})

disaster(
  'comes back from its backup: the containers that still run are taken over, the past can be read, and the cluster works',
  async () => {
    assert.is((await cluster.kubectl(['apply', '-f', '-'], { input: WEB })).code, 0)
    await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=120s')
    const before = await pods()
    const version = await cluster.ok('get', 'cm', 'page', '-o', 'jsonpath={.metadata.resourceVersion}')
    assert.match(await reckon('backup', backup), /not encrypted and holds the cluster's keys/)
    await cluster.ok('create', 'configmap', 'later', '--from-literal=a=1')
    await cluster.ok('patch', 'cm', 'page', '-p', '{"data":{"index.html":"hello again"}}')
    const second = JSON.parse(await reckon('backup', backup, '-o', 'json')) as { added: number; last: number; written: { files: number } }
    assert.ok(second.added >= 2 && second.added < 60, `${second.added} events were new`)
    assert.match(await reckon('backup', 'verify', backup), /is whole/)
    await cluster.ok('create', 'configmap', 'lost', '--from-literal=a=1')
    const lost = Number(await cluster.ok('get', 'cm', 'lost', '-o', 'jsonpath={.metadata.resourceVersion}'))
    const why = await reckon('why', `pod/${before[0]?.name}`)
    await lose()
    assert.not(existsSync(cluster.home))

    const told = await reckon('restore', backup, '--skip', '10000')
    assert.match(told, new RegExp(`resourceVersion ${second.last};`))
    await cluster.restart()
    assert.ok(processesWhere((given) => isParentOf(cluster.home, given)).length <= 1, 'whoever kept the lost cluster running is gone')
    const shell = (): Promise<{ code: number; out: string }> =>
      cluster.kubectl(['exec', `pod/${before[0]?.name}`, '--', 'cat', '/key/token'])
    await cluster.until('its agent works', async () => (await shell()).code === 0)
    assert.is((await shell()).out, 's3cret')
    assert.equal(await pods(), before)
    assert.is(await cluster.ok('get', 'cm', 'page', '-o', 'jsonpath={.data.index\\.html}'), 'hello again')
    assert.match((await cluster.kubectl(['get', 'cm', 'page', '-o', 'yaml'], { at: version })).out, /index.html: hello\n/)
    assert.match((await cluster.kubectl(['get', 'cm', 'lost'])).err, /not found/)
    assert.is(await reckon('why', `pod/${before[0]?.name}`), why)
    assert.match(await reckon('history', 'deployment/web'), /created/)
    await cluster.ok('create', 'configmap', 'new', '--from-literal=a=1')
    assert.ok(Number(await cluster.ok('get', 'cm', 'new', '-o', 'jsonpath={.metadata.resourceVersion}')) > lost)
    await cluster.ok('delete', 'pod', before[0]?.name ?? '', '--wait=true')
    await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=120s')
    const after = await pods()
    assert.is(after.length, 2)
    assert.ok(after.some(({ name }) => name === before[1]?.name))
  }
)
disaster.run()
