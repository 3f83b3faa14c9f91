/** The `reckon` command as a person uses it, on a real cluster. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { PROJECT } from '#ops/setup/project.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'

const cli = suite('reckon')
let cluster: TestCluster

const reckon = async (args: readonly string[], input = ''): Promise<{ code: number; out: string; err: string }> => {
  const done = await execa(process.execPath, [join(PROJECT, 'ops/main.ts'), ...args], {
    reject: false,
    input,
    env: { RECKON_HOME: cluster.home },
    timeout: 60_000
  })
  return { code: done.exitCode ?? 1, out: done.stdout, err: done.stderr }
}

const CONFIG = (value: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: "${value}"}\n`
const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: reckon/demo:1, command: [sleep, "1000"]}]
`

cli.before(async () => {
  cluster = await startCluster()
})
cli.after(() => cluster.stop())

cli('says its version, its help and its completions', async () => {
  assert.match((await reckon(['--version'])).out, /reckon v\d/)
  assert.match((await reckon(['--help'])).out, /history/)
  for (const shell of ['bash', 'zsh', 'fish']) assert.match((await reckon(['--completions', shell])).out, /reckon/)
})
cli('names its kubeconfig, which works', async () => {
  const { out } = await reckon(['kubeconfig'])
  assert.is(out, join(cluster.home, 'kubeconfig'))
})
cli('applies over NATS by the rules of the other door', async () => {
  assert.is((await reckon(['apply', '-f', '-'], CONFIG('1'))).out, 'configmap/settings created')
  assert.is((await reckon(['apply', '-f', '-'], CONFIG('1'))).out, 'configmap/settings unchanged')
  assert.is((await reckon(['apply', '-f', '-'], CONFIG('2'))).out, 'configmap/settings configured')
  const refused = await reckon(['apply', '-f', '-'], `${CONFIG('3')}dataa: {}\n---\n${CONFIG('3')}`)
  assert.is(refused.code, 1)
  assert.match(refused.err, /\.dataa: field not declared in schema/)
  assert.is(refused.out, 'configmap/settings configured')
  assert.match(
    (await reckon(['apply', '-f', '-'], 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n')).err,
    /The ConfigMap "Bad_Name" is invalid/
  )
  assert.match((await reckon(['apply', '-n', 'nowhere', '-f', '-'], CONFIG('1'))).err, /namespaces "nowhere" not found/)
  assert.is(await cluster.ok('get', 'cm', 'settings', '-o', 'jsonpath={.data.value}'), '3')
})
cli('explains a pod from the command to the start of its container', async () => {
  assert.is((await reckon(['apply', '-f', '-'], WEB)).code, 0)
  await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=60s')
  const pod = (await reckon(['get', 'pods', '-l', 'app=web', '-o', 'name'])).out
  const { out } = await reckon(['why', pod])
  const lines = out.split('\n').filter((line) => !line.includes('node: '))
  assert.match(lines[0] ?? '', /deployment web created by kubernetes-admin with `reckon apply`/)
  assert.match(lines[1] ?? '', /replicaset web-\w+ created by deployment-controller/)
  assert.match(lines[2] ?? '', /pod web-\S+ created by replicaset-controller/)
  assert.match(lines[3] ?? '', /scheduled by default-scheduler/)
  assert.match(lines[4] ?? '', /(started|ready) by kubelet/)
  assert.is(lines.length, 5)
  const chain = JSON.parse((await reckon(['why', pod, '-o', 'json'])).out) as {
    links: { id: string; causationId?: string; correlationId: string }[]
  }
  for (const [at, link] of chain.links.entries()) if (at > 0) assert.is(link.causationId, chain.links[at - 1]?.id)
  assert.is(new Set(chain.links.map(({ correlationId }) => correlationId)).size, 1)
})
cli('lists each change of a deployment with who, when and what', async () => {
  await cluster.ok('scale', 'deploy/web', '--replicas=2')
  const { out } = await reckon(['history', 'deployment/web'])
  assert.match(out, /^SEQUENCE\s+TIME\s+WHO\s+HOW\s+WHAT/)
  assert.match(out, /kubernetes-admin\s+kubectl scale\s+scaled; spec.replicas: 1 → 2/)
  assert.match((await reckon(['history', 'deployment/nope'])).err, /the log has no deployment.apps\/nope/)
})
cli('reads the past', async () => {
  const version = await cluster.ok('get', 'cm', 'settings', '-o', 'jsonpath={.metadata.resourceVersion}')
  await reckon(['apply', '-f', '-'], CONFIG('later'))
  assert.match((await reckon(['get', 'cm/settings', '--at', version, '-o', 'yaml'])).out, /value: "3"/)
  assert.match((await reckon(['get', 'cm/settings', '-o', 'yaml'])).out, /value: later/)
})
cli('follows with a cursor that survives restarts of both sides', async () => {
  const first = await reckon([
    'follow',
    '--cursor',
    'audit',
    '--from',
    'start',
    '--kind',
    'configmap',
    '--name',
    'settings',
    '--once',
    '-o',
    'json'
  ])
  const values = (text: string): string[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { data: { data: { value: string } } }).data.data.value)
  assert.equal(values(first.out), ['1', '2', '3', 'later'])
  await reckon(['apply', '-f', '-'], CONFIG('missed'))
  process.kill(cluster.pid(), 'SIGKILL')
  await cluster.until('it is gone', async () => cluster.pid() === 0)
  await cluster.restart()
  const second = await reckon(['follow', '--cursor', 'audit', '--kind', 'configmap', '--name', 'settings', '--once', '-o', 'json'])
  assert.equal(values(second.out), ['missed'])
  const again = await reckon([
    'follow',
    '--cursor',
    'audit',
    '--reset',
    '--from',
    'start',
    '--kind',
    'configmap',
    '--name',
    'settings',
    '--once',
    '-o',
    'json'
  ])
  assert.equal(values(again.out), ['1', '2', '3', 'later', 'missed'])
})
cli('follows live, and ends cleanly when told to', async () => {
  const child = spawn(process.execPath, [join(PROJECT, 'ops/main.ts'), 'follow', '--kind', 'configmap', '--name', 'live'], {
    env: { ...process.env, RECKON_HOME: cluster.home }
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let tries = 0
  await cluster.until('the event is shown', async () => {
    // The subscription is live at some moment: a change after it is what must be seen.
    await cluster.kubectl(tries++ === 0 ? ['create', 'configmap', 'live'] : ['label', 'cm', 'live', `n=${tries}`, '--overwrite'])
    return text.includes('configmap default/live')
  })
  process.kill(Number(readFileSync(join(cluster.home, 'run/nats-server.pid'), 'utf8')), 'SIGKILL')
  await cluster.kubectl(['label', 'cm', 'live', 'after=death', '--overwrite'])
  const { out } = await cluster.kubectl(['get', 'cm', 'live', '-o', 'jsonpath={.metadata.resourceVersion}'])
  await cluster.until('what came after the death of nats-server is shown, once', async () => text.split(`${out}  `).length === 2)
  child.kill('SIGINT')
  await exited
})
cli('reads the audit trail, and goes on when nats-server was started again', async () => {
  interface Record {
    readonly verb: string
    readonly user: { readonly username: string }
    readonly impersonatedUser?: { readonly username: string }
    readonly objectRef?: { readonly resource: string; readonly name?: string }
    readonly responseStatus: { readonly code: number }
  }
  const rows = (text: string): string[] => text.split('\n').filter((line) => line !== '')
  await cluster.ok('create', 'secret', 'generic', 'seen', '--from-literal=word=hidden')
  await cluster.ok('get', 'secret', 'seen')
  assert.is((await cluster.kubectl(['get', 'nodes', '--as', 'bob'])).code, 1)
  // Nobody waits for the trail: a record is there a moment after the answer.
  await cluster.until('the refusal is in the trail', async () => (await reckon(['audit', '--user', 'bob', '-o', 'json'])).out !== '')
  const { out, err } = await reckon(['audit', '--since', '-5m'])
  assert.match(out, /^TIME +USER +VERB +WHAT +CODE +REASON\n/)
  assert.match(out, /Z +kubernetes-admin +get +default\/secrets\/seen +200/)
  assert.match(out, /Z +kubernetes-admin as bob +list +nodes +403 +Forbidden: nodes is forbidden: User "bob"/)
  assert.not.match(out, /hidden/)
  assert.is(err, '')
  const refused = rows((await reckon(['audit', '--code', '4xx', '--resource', 'nodes', '-o', 'json'])).out).map(
    (line) => JSON.parse(line) as Record
  )
  assert.equal([refused.length, refused[0]?.impersonatedUser?.username, refused[0]?.responseStatus.code], [1, 'bob', 403])
  const read = rows(
    (await reckon(['audit', '--since', 'start', '--verb', 'get', '--resource', 'secrets', '-n', 'default', '-o', 'json'])).out
  )
  assert.ok(read.some((line) => (JSON.parse(line) as Record).objectRef?.name === 'seen'))
  assert.equal(await reckon(['audit', '--user', 'nobody', '--since', '2020-01-01T00:00:00Z']), {
    code: 0,
    out: '',
    err: 'No records found since 2020-01-01T00:00:00.000Z.'
  })
  assert.match((await reckon(['audit', '--code', 'bad'])).err, /--code bad: use a code \(403\) or a class of them \(4xx\)/)

  const child = spawn(process.execPath, [join(PROJECT, 'ops/main.ts'), 'audit', '-f', '--resource', 'nodes', '-o', 'json'], {
    env: { ...process.env, RECKON_HOME: cluster.home }
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const of = (user: string): number => rows(text).filter((line) => (JSON.parse(line) as Record).impersonatedUser?.username === user).length
  await cluster.until('what was before is shown', async () => of('bob') === 1)
  await cluster.kubectl(['get', 'nodes', '--as', 'carol'])
  await cluster.until('what comes is shown', async () => of('carol') === 1)
  process.kill(Number(readFileSync(join(cluster.home, 'run/nats-server.pid'), 'utf8')), 'SIGKILL')
  await cluster.kubectl(['get', 'nodes', '--as', 'dave'])
  await cluster.until('what came after the death of nats-server is shown', async () => of('dave') === 1)
  assert.equal([of('bob'), of('carol')], [1, 1])
  child.kill('SIGINT')
  await exited
})
cli('says what runs', async () => {
  const { out, code } = await reckon(['status'])
  assert.is(code, 0)
  assert.match(out, /runs: https:\/\/127.0.0.1:\d+/)
  assert.match(out, /EVENTS\s+\d+/)
  const data = JSON.parse((await reckon(['status', '-o', 'json'])).out) as { running: boolean; nodes: { ready: boolean }[] }
  assert.is(data.running, true)
  assert.is(data.nodes[0]?.ready, true)
})
cli('says clearly what is wrong', async () => {
  assert.match((await reckon(['get', 'foo'])).err, /the server doesn't have a resource type "foo"/)
  assert.match((await reckon(['get', 'pod', 'nope'])).err, /Error from server \(NotFound\): pods "nope" not found/)
  assert.match((await reckon(['apply', '-f', '/nowhere.yaml'])).err, /the path "\/nowhere.yaml" does not exist/)
  const elsewhere = await execa(process.execPath, [join(PROJECT, 'ops/main.ts'), 'get', 'pods'], {
    reject: false,
    env: { RECKON_HOME: '/nonexistent' }
  })
  assert.match(elsewhere.stderr, /there is no cluster in \/nonexistent/)
  assert.is(elsewhere.exitCode, 1)
})
cli.run()
