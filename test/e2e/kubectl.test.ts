/** Every kubectl of this machine, oldest to newest, does its everyday work against the API server: each command, each format. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { startCluster, type TestCluster } from '#test/support/cluster.ts'
import { kubectls, milestones } from '#test/support/kubectls.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

const all = suite('kubectl')
/** Each in a namespace of its own. */
const everyday = sideBySide(all, 2)
let cluster: TestCluster
const versions = milestones(await kubectls())
const folder = mkdtempSync(join(tmpdir(), 'reckon-kubectl-'))

all.before(async () => {
  cluster = await startCluster()
})
all.after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await cluster.stop()
})

const APP = (image: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ap, labels: {team: blue}}
spec:
  replicas: 1
  selector: {matchLabels: {app: ap}}
  template:
    metadata: {labels: {app: ap}}
    spec:
      nodeSelector: {nowhere: "true"}
      containers: [{name: c, image: "${image}", ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: apcm}
data: {k: v}
`

for (const { version, path: program } of versions)
  everyday(`${version} does its everyday work`, async () => {
    const namespace = `v${version.replace(/\W/g, '-').toLowerCase()}`
    const run = (args: readonly string[], input?: string, env?: Record<string, string>) =>
      cluster.kubectl(['-n', namespace, ...args], {
        program,
        ...(input === undefined ? {} : { input }),
        ...(env === undefined ? {} : { env })
      })
    const failures: string[] = []
    const says = async (wanted: RegExp, args: string, input?: string, env?: Record<string, string>): Promise<void> => {
      const words = args.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, '')) ?? []
      const { out, err, code } = await run(words, input, env)
      if (!wanted.test(`${out}\n${err}`))
        failures.push(`kubectl ${args} (${code}) should say ${wanted}, says: ${out.slice(0, 300)} ${err.slice(0, 300)}`)
    }
    const file = join(folder, `${namespace}.yaml`)
    const write = (image: string): void => writeFileSync(file, APP(image))

    await says(/namespace\/\S+ created/, `create ns ${namespace}`)
    await cluster.until('the default service account', async () => (await run(['get', 'sa', 'default'])).code === 0)
    // Generators: JSON up to 1.31, protobuf from 1.32.
    await says(/deployment.apps\/web created/, 'create deployment web --image=reckon/demo:1 --replicas=2')
    // Its shell has no trap for TERM: without this every pod takes its whole half minute to go.
    await says(/patched/, `patch deploy web -p '{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}'`)
    await says(/configmap\/cm created/, 'create configmap cm --from-literal=a=1')
    await says(/secret\/s created/, 'create secret generic s --from-literal=p=w')
    await says(/serviceaccount\/bot created/, 'create serviceaccount bot')
    await says(/role.rbac.authorization.k8s.io\/r created/, 'create role r --verb=get,list --resource=pods')
    await says(/rolebinding.rbac.authorization.k8s.io\/rb created/, `create rolebinding rb --role=r --serviceaccount=${namespace}:bot`)
    await says(/service\/svc created/, 'create service clusterip svc --tcp=80:8080')
    await says(/service\/web exposed/, 'expose deployment web --port=80')
    await says(/^yes/, `auth can-i get pods --as=system:serviceaccount:${namespace}:bot`)
    await says(/^no/, `auth can-i delete pods --as=system:serviceaccount:${namespace}:bot`)
    await says(/eyJ/, 'create token bot')
    // apply, client side and server side.
    write('i:1')
    await says(/deployment.apps\/ap created/, `apply -f ${file}`)
    await says(/deployment.apps\/ap unchanged/, `apply -f ${file}`)
    write('i:2')
    await says(/deployment.apps\/ap configured/, `apply -f ${file}`)
    await says(/serverside-applied/, `apply --server-side --force-conflicts -f ${file}`)
    write('i:3')
    await says(/image: i:3/, `diff -f ${file}`)
    await says(/serverside-applied/, `apply --server-side -f ${file}`)
    // Changes.
    await says(/patched/, `patch deploy ap -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i:4"}]}}}}'`)
    await says(/patched/, `patch deploy ap --type=merge -p '{"metadata":{"labels":{"z":"1"}}}'`)
    await says(/patched/, `patch deploy ap --type=json -p '[{"op":"replace","path":"/spec/replicas","value":2}]'`)
    await says(/edited/, 'edit deploy ap', undefined, { KUBE_EDITOR: 'sed -i s/i:4/i:5/' })
    const stored = await run(['get', 'cm', 'apcm', '-o', 'yaml'])
    await says(/configmap\/apcm replaced/, 'replace -f -', stored.out.replace('k: v', 'k: w'))
    await says(/scaled/, 'scale deploy ap --replicas=3')
    await says(/labeled/, 'label deploy ap l=1')
    await says(/annotate/, 'annotate deploy ap n=1')
    await says(/image updated/, 'set image deploy/ap c=i:6')
    await says(/env updated/, 'set env deploy/ap A=b')
    await says(/restarted/, 'rollout restart deploy/ap')
    await says(/paused/, 'rollout pause deploy/ap')
    await says(/resumed/, 'rollout resume deploy/ap')
    await cluster.until(
      'a second revision',
      async () =>
        Number((await run(['get', 'deploy', 'ap', '-o', 'jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}'])).out) > 1
    )
    await says(/REVISION/, 'rollout history deploy/ap')
    await says(/rolled back/, 'rollout undo deploy/ap')
    await says(/Waiting for|timed out/, 'rollout status deploy/ap --timeout=1s')
    await says(/successfully rolled out/, 'rollout status deploy/web --timeout=60s')
    // Reading, in every form.
    await says(/NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE/, 'get deploy')
    await says(/NODE\s+NOMINATED NODE\s+READINESS GATES/, 'get pods -o wide')
    await says(/NAME\s+TYPE\s+CLUSTER-IP/, 'get svc,ep,cm,secret,sa,role,rolebinding,lease -A')
    await says(/kind: List/, 'get deploy,cm -o yaml')
    await says(/"kind": "Deployment"/, 'get deploy ap -o json')
    await says(/^deployment.apps\/ap$/m, 'get deploy -o name')
    await says(/^3$/m, `get deploy ap -o 'jsonpath={.spec.replicas}'`)
    await says(/ap.*team=blue/, 'get deploy -l l=1 -L l --show-labels')
    await says(/^ap\s/m, 'get deploy --field-selector metadata.name=ap')
    await says(/^ap\s/m, 'get deploy --sort-by=.metadata.name')
    await says(/^ap\s/m, 'get deploy --chunk-size=1')
    for (const kind of [
      'deploy ap',
      'pod -l app=web',
      'svc web',
      'cm cm',
      'secret s',
      'sa bot',
      'ns default',
      'node',
      'rs -l app=web',
      'role r'
    ])
      await says(/Name:\s+\S+/, `describe ${kind}`)
    await says(/ScalingReplicaSet/, 'events')
    await says(/ScalingReplicaSet/, 'get events --sort-by=.lastTimestamp')
    await says(/condition met/, 'wait --for=condition=Available deploy/web --timeout=30s')
    await says(/condition met/, 'wait --for=jsonpath={.spec.replicas}=3 deploy/ap --timeout=5s')
    await says(/DESCRIPTION/, 'explain pod.spec.containers')
    await says(/deployments\s+deploy\s+apps\/v1/, 'api-resources')
    await says(/Server Version.*v1\.36|serverVersion/s, 'version')
    // Refusals, in words people know.
    await says(/Error from server \(NotFound\): pods "nope" not found/, 'get pod nope')
    await says(/unknown field "dataa"/, 'create -f -', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"dataa":{}}')
    await says(
      /The ConfigMap "Bad_N" is invalid: metadata.name: Invalid value/,
      'create -f -',
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_N"}}'
    )
    await says(/field label not supported: foo/, 'get pods --field-selector foo=bar')
    await says(/already exists/i, 'create configmap cm --from-literal=a=1')
    await says(/unable to parse requirement|unable to find|selector/i, `get pods -l 'a in'`)
    // Pod Security: refused, warned, and told what would be.
    const level = 'pod-security.kubernetes.io'
    await says(/labeled/, `label ns ${namespace} ${level}/enforce=baseline ${level}/warn=restricted`)
    await says(
      /^Error from server \(Forbidden\): pods "bad" is forbidden: violates PodSecurity "baseline:latest": privileged \(container "bad"/m,
      'run bad --image=i:1 --privileged'
    )
    await says(
      /^Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false/m,
      'create deployment lax --image=i:1 --replicas=0'
    )
    await says(
      /^Warning: existing pods in namespace "\S+" violate the new PodSecurity enforce level "restricted:latest"/m,
      `label --dry-run=server --overwrite ns ${namespace} ${level}/enforce=restricted`
    )
    await says(
      /is invalid: metadata.labels\[pod-security.kubernetes.io\/enforce\]: Invalid value: "strict"/,
      `label --overwrite ns ${namespace} ${level}/enforce=strict`
    )
    // In a pod: over WebSocket from 1.30, over SPDY before.
    const { items } = JSON.parse((await run(['get', 'pods', '-l', 'app=web', '-o', 'json'])).out) as {
      readonly items: readonly KubeObject[]
    }
    // Those of before the patch may take their half minute to go, and have no container any more.
    const pod = items.find(({ metadata }) => metadata.deletionTimestamp === undefined)?.metadata.name as string
    // And over SPDY with each, where it can be told to.
    const overSpdy: Record<string, string> = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' }
    for (const env of [{}, overSpdy]) {
      const exec = await run(['exec', pod, '--', 'sh', '-c', 'echo inside; echo wrong >&2; exit 3'], undefined, env)
      if (exec.code !== 3 || exec.out !== 'inside' || !exec.err.includes('wrong'))
        failures.push(`exec ended with ${exec.code}: ${exec.out} ${exec.err}`)
      const piped = await run(['exec', '-i', pod, '--', 'cat'], 'x'.repeat(300_000), env)
      if (piped.out.length !== 300_000) failures.push(`exec -i gave back ${piped.out.length} of 300000 bytes: ${piped.err}`)
    }
    const watched = await run(['get', 'pods', '-w', '--request-timeout=2s'])
    if (!watched.out.includes(pod)) failures.push(`get -w shows nothing: ${watched.err}`)
    // The end.
    await says(/deleted/, 'delete deploy web --wait=true')
    await says(/deleted/, `delete -f ${file}`)
    await says(/deleted/, `delete ns ${namespace} --timeout=60s`)
    assert.equal(failures, [])
  })
all.run()
