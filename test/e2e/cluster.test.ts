/** The whole path, as a person tries it: real kubectl, real containers, real rules. */
import { get } from 'node:http'
import Docker from 'dockerode'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { PAUSE_IMAGE } from '#ops/images/images.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'
import { commandLines } from '#test/support/processes.ts'

const e2e = suite('a cluster, end to end')
let cluster: TestCluster
const docker = new Docker()

const WEB = `
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "hello @POD@\\n"}
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
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: reckon/demo:1
        command: ["/bin/sh", "-c", "httpd -f -p 8080 -h /www & trap \\"kill $!\\" TERM; wait"]
        env:
          - {name: TOKEN, valueFrom: {secretKeyRef: {name: key, key: token}}}
          - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        livenessProbe: {exec: {command: [test, -e, /config/index.html]}, periodSeconds: 5}
        resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {memory: 64Mi}}
        volumeMounts: [{name: page, mountPath: /config}, {name: key, mountPath: /key}, {name: tmp, mountPath: /scratch}]
      volumes: [{name: page, configMap: {name: page}}, {name: key, secret: {secretName: key}}, {name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
`

const fetchText = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const call = get(url, { agent: false, timeout: 2_000, insecureHTTPParser: true }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('timed out')))
    call.on('error', reject)
  })

const available = async (name = 'web'): Promise<number> =>
  Number((await cluster.kubectl(['get', 'deploy', name, '-o', 'jsonpath={.status.availableReplicas}'])).out || 0)
const pods = async (selector = 'app=web'): Promise<string[]> =>
  (await cluster.ok('get', 'pods', '-l', selector, '-o', 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}'))
    .split('\n')
    .filter((name) => name !== '')
const labelled = async (all: boolean, ...labels: readonly string[]): Promise<string[]> =>
  (await docker.listContainers({ all, filters: { label: [`io.reckon.instance=${cluster.config.instance}`, ...labels] } }))
    .map(({ Id }) => Id)
    .sort()
const containers = (name: string): Promise<string[]> => labelled(false, `io.kubernetes.container.name=${name}`)

e2e.before(async () => {
  cluster = await startCluster()
})
e2e.after(async () => {
  await cluster.stop()
})

e2e('a manifest becomes running containers behind a Service', async () => {
  const { code, out, err } = await cluster.kubectl(['apply', '-f', '-'], { input: WEB })
  assert.is(code, 0, err)
  assert.match(out, /deployment.apps\/web created/)
  await cluster.until('three replicas are available', async () => (await available()) === 3)
  const { clusterIP, ports } = JSON.parse(await cluster.ok('get', 'svc', 'web', '-o', 'jsonpath={.spec}')) as {
    clusterIP: string
    ports: { nodePort: number }[]
  }
  const answered = new Set<string>()
  await cluster.until('every pod answers over the ClusterIP', async () => {
    answered.add(await fetchText(`http://${clusterIP}/`).catch(() => ''))
    answered.delete('')
    return answered.size === 3
  })
  assert.match(await fetchText(`http://127.0.0.1:${ports[0]?.nodePort}/`), /^hello web-/)
})
e2e('exec, logs, DNS and volumes work in a pod', async () => {
  const [pod = ''] = await pods()
  const inside = await cluster.kubectl([
    'exec',
    pod,
    '--',
    'sh',
    '-c',
    'cat /key/token; echo; echo $TOKEN $POD; nslookup web.default.svc.cluster.local; wget -q -O- http://web; echo done > /scratch/x; exit 7'
  ])
  assert.is(inside.code, 7)
  assert.match(inside.out, new RegExp(`s3cret\\ns3cret ${pod}`))
  assert.match(inside.out, /Name:\s+web.default.svc.cluster.local/)
  assert.match(inside.out, /hello web-/)
  assert.is((await cluster.kubectl(['exec', '-i', pod, '--', 'cat'], { input: 'through stdin' })).out, 'through stdin')
  await cluster.ok('run', 'talker', '--image=reckon/demo:1', '--restart=Never', '--command', '--', 'sh', '-c', 'echo one; echo two')
  await cluster.until(
    'the pod is done',
    async () => (await cluster.ok('get', 'pod', 'talker', '-o', 'jsonpath={.status.phase}')) === 'Succeeded'
  )
  assert.is(await cluster.ok('logs', 'talker'), 'one\ntwo')
  assert.is(await cluster.ok('logs', 'talker', '--tail=1'), 'two')
  await cluster.ok('delete', 'pod', 'talker')
})
e2e('a ConfigMap changed reaches the pods', async () => {
  const [pod = ''] = await pods()
  await cluster.ok('patch', 'configmap', 'page', '-p', '{"data":{"index.html":"changed @POD@\\n"}}')
  await cluster.until(
    'the file changes',
    async () => (await cluster.kubectl(['exec', pod, '--', 'cat', '/config/index.html'])).out.startsWith('changed'),
    90_000
  )
})
e2e('a container killed by hand comes back with its restart counted', async () => {
  const [first = ''] = await containers('web')
  await docker.getContainer(first).kill()
  await cluster.until('a restart is counted and all are available', async () => {
    const counts = (await cluster.ok('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.containerStatuses[0].restartCount}'))
      .split(' ')
      .map(Number)
    return counts.reduce((sum, count) => sum + count, 0) === 1 && (await available()) === 3
  })
})
e2e('a deleted pod is replaced, and the endpoints follow', async () => {
  const before = await pods()
  await cluster.ok('delete', 'pod', before[0] ?? '')
  await cluster.until('another pod is ready', async () => (await available()) === 3 && !(await pods()).includes(before[0] ?? ''))
  const ips = (await cluster.ok('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.podIP}')).split(' ').sort()
  await cluster.until(
    'the endpoints are those pods',
    async () =>
      (
        await cluster.ok(
          'get',
          'endpointslices',
          '-l',
          'kubernetes.io/service-name=web',
          '-o',
          'jsonpath={.items[*].endpoints[*].addresses[0]}'
        )
      )
        .split(' ')
        .sort()
        .join() === ips.join()
  )
})
e2e('rules that somebody flushed are back within seconds: pods, the Service and DNS work again', async () => {
  // Only what is this cluster's: others live on this machine.
  const own = new RegExp(`RKN?-${cluster.config.instance}-`)
  const saved = async (): Promise<string[]> =>
    (await execa('iptables-save')).stdout.split('\n').filter((line) => own.test(line) && line.startsWith('-A'))
  const flush = async (): Promise<void> => {
    const { stdout } = await execa('iptables-save')
    const text = stdout
      .split(/^(?=\*)/m)
      .filter((section) => /^\*(nat|filter)/.test(section))
      .map((section) => {
        const lines = section.split('\n')
        const chains = lines
          .filter((line) => line.startsWith(':') && own.test(line))
          .map((line) => `-F ${line.slice(1, line.indexOf(' '))}`)
        const jumps = lines
          .filter((line) => line.startsWith('-A') && own.test(line) && !own.test(line.split(' ')[1] ?? ''))
          .map((line) => line.replace('-A', '-D'))
        return [lines[0], ...jumps, ...chains, 'COMMIT', ''].join('\n')
      })
    await execa('iptables-restore', ['--noflush'], { input: text.join('') })
  }
  const before = await saved()
  assert.ok(before.length > 20)
  let said = ''
  const works = async (): Promise<boolean> => {
    const { out, err } = await cluster.kubectl([
      'exec',
      'deploy/web',
      '--',
      'timeout',
      '5',
      'wget',
      '-q',
      '-O-',
      'http://web.default.svc.cluster.local'
    ])
    said = `${out}${err}`
    return /^\w+ web-/.test(out)
  }
  assert.ok(await works(), said)
  await flush()
  assert.ok((await saved()).length < before.length, 'nothing was flushed')
  const began = performance.now()
  await cluster.until('all rules are back', async () => (await saved()).length >= before.length)
  const ms = performance.now() - began
  assert.ok(ms < 5_000, `it took ${ms.toFixed(0)} ms`)
  assert.equal((await saved()).sort(), before.sort())
  assert.ok(await works(), said)
})
e2e('a bad rollout stops at its limits, and undo restores it', async () => {
  await cluster.ok('set', 'image', 'deploy/web', 'web=reckon/nowhere:1')
  assert.is((await cluster.kubectl(['rollout', 'status', 'deploy/web', '--timeout=5s'])).code, 1)
  assert.ok((await available()) >= 3 - Math.floor(3 * 0.25))
  await cluster.until('the bad pod says why', async () =>
    /ErrImagePull|ImagePullBackOff|ErrImageNeverPull/.test(await cluster.ok('get', 'pods', '-l', 'app=web'))
  )
  await cluster.ok('rollout', 'undo', 'deploy/web')
  assert.match(await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=60s'), /successfully rolled out/)
  assert.is(await available(), 3)
})
e2e('killing the control plane and agent disturbs no container', async () => {
  const before = await containers('web')
  const first = cluster.pid()
  process.kill(first, 'SIGKILL')
  await cluster.until(
    'it is back, by itself',
    async () => cluster.pid() !== first && (await cluster.kubectl(['get', '--raw', '/readyz'])).out === 'ok'
  )
  assert.equal(await containers('web'), before)
  // Somebody who starts it all the same finds it running.
  await cluster.restart()
  await cluster.ok('scale', 'deploy/web', '--replicas=4')
  await cluster.until('the fourth is available', async () => (await available()) === 4)
  const after = await containers('web')
  for (const id of before) assert.ok(after.includes(id), 'a container was replaced')
})
e2e('the past can be read, not changed', async () => {
  const version = await cluster.ok('get', 'deploy', 'web', '-o', 'jsonpath={.metadata.resourceVersion}')
  await cluster.ok('scale', 'deploy/web', '--replicas=2')
  await cluster.until('two are left', async () => (await pods()).length === 2)
  const then = await cluster.kubectl(['get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}'], { at: version })
  assert.is(then.out, '4')
  assert.is((await cluster.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'name'], { at: version })).out.split('\n').length, 4)
  assert.match((await cluster.kubectl(['describe', 'deploy', 'web'], { at: '-1s' })).out, /ScalingReplicaSet/)
  const write = await cluster.kubectl(['scale', 'deploy/web', '--replicas=9'], { at: '-1s' })
  assert.is(write.code, 1)
  assert.match(write.err, /this is the past/)
})
e2e('containers of others are never touched', async () => {
  const name = `bystander-${cluster.config.instance}`
  const bystander = await docker.createContainer({
    name,
    Image: PAUSE_IMAGE,
    Labels: { 'io.kubernetes.container.name': 'web' },
    HostConfig: { NetworkMode: 'none' }
  })
  await bystander.start()
  try {
    await cluster.ok('rollout', 'restart', 'deploy/web')
    await cluster.ok('rollout', 'status', 'deploy/web', '--timeout=60s')
    assert.is((await bystander.inspect()).State.Running, true)
  } finally {
    await bystander.remove({ force: true })
  }
})
e2e('a namespace takes everything in it along', async () => {
  await cluster.ok('create', 'ns', 'team')
  await cluster.until(
    'its service account is there',
    async () => (await cluster.kubectl(['-n', 'team', 'get', 'sa', 'default'])).code === 0
  )
  await cluster.ok('-n', 'team', 'create', 'deployment', 'app', '--image=reckon/demo:1', '--replicas=2', '--', 'sleep', '1000')
  await cluster.until(
    'its pods run',
    async () =>
      Number((await cluster.kubectl(['-n', 'team', 'get', 'deploy', 'app', '-o', 'jsonpath={.status.availableReplicas}'])).out || 0) === 2
  )
  await cluster.ok('delete', 'ns', 'team', '--timeout=90s')
  assert.equal(await containers('app'), [])
})
e2e('stopping leaves nothing behind, and starting brings the same cluster back', async () => {
  const uid = await cluster.ok('get', 'deploy', 'web', '-o', 'jsonpath={.metadata.uid}')
  const { down } = await import('#ops/up.ts')
  await down({ home: cluster.home, report: () => {} })
  assert.equal(await labelled(true), [])
  assert.not.match((await execa('ip', ['-o', 'link'])).stdout, new RegExp(`rk${cluster.config.instance}`))
  assert.not.match((await execa('iptables-save')).stdout, new RegExp(cluster.config.instance))
  assert.not.match(commandLines().join('\n'), new RegExp(`(nats-server|server.ts|supervise.sh).*${cluster.home}`))
  await cluster.restart()
  assert.is(await cluster.ok('get', 'deploy', 'web', '-o', 'jsonpath={.metadata.uid}'), uid)
  await cluster.until('its pods run again', async () => (await available()) === 2, 90_000)
})
e2e.run()
