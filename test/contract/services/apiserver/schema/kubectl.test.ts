/** Real kubectls, every version to be had, against the discovery and OpenAPI documents. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupVersions } from '#services/apiserver/openapi/GroupVersions.ts'
import { OpenApi } from '#services/apiserver/openapi/OpenApi.ts'
import { kubectls } from '#test/support/kubectls.ts'
import { builtInKinds } from '#test/unit/services/apiserver/discovery/kinds.ts'
import { serveSchema, type SchemaServer } from './server.ts'

const versions = await kubectls()
const openapi = new OpenApi(builtInKinds, new GroupVersions('v1.33.0'))
const folder = mkdtempSync(join(tmpdir(), 'reckon-kubectl-'))
const manifest = join(folder, 'web.yaml')
writeFileSync(
  manifest,
  'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n'
)
const changed = join(folder, 'changed.yaml')
writeFileSync(changed, readFileSync(manifest, 'utf8').replace('image: i', 'image: j'))
const unknown = join(folder, 'unknown.yaml')
writeFileSync(unknown, 'apiVersion: example.com/v1\nkind: Nope\nmetadata: {name: a}\n')

let server: SchemaServer
let caches = 0

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const start = async (): Promise<void> => {
  server = await serveSchema(builtInKinds, (request, path, response) => {
    const answer = openapi.answer({
      path,
      hash: new URL(request.url ?? '', 'http://localhost').searchParams.get('hash') ?? undefined,
      accept: request.headers.accept,
      acceptEncoding: request.headers['accept-encoding'] as string | undefined,
      ifNoneMatch: request.headers['if-none-match']
    })
    if (answer === undefined) return false
    response.writeHead(answer.code, answer.headers)
    response.end(answer.body)
    return true
  })
}

const kubectlWith = (binary: string): ((...args: string[]) => Promise<Outcome>) => {
  const cache = join(folder, `cache-${caches++}`)
  return (...args) =>
    new Promise((resolve) => {
      execFile(binary, ['--server', server.url, '--cache-dir', cache, '--kubeconfig', '/dev/null', ...args], (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
}

/** What every client does first. */
const plain = suite('over http')
plain.before(start)
plain.after(() => server.close())

plain('leads from discovery to a document', async () => {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
  const discovery = await fetch(`${server.url}/apis`, { headers: { Accept: accept } })
  assert.is(discovery.headers.get('content-type'), accept)
  assert.is(((await discovery.json()) as { kind: string }).kind, 'APIGroupDiscoveryList')
  const index = (await (await fetch(`${server.url}/openapi/v3`)).json()) as { paths: Record<string, { serverRelativeURL: string }> }
  const document = await fetch(`${server.url}${index.paths['apis/apps/v1']?.serverRelativeURL}`)
  assert.is(document.headers.get('cache-control'), 'public, immutable')
  assert.is(((await document.json()) as { openapi: string }).openapi, '3.0.0')
  const stale = await fetch(`${server.url}/openapi/v3/apis/apps/v1?hash=OLD`)
  assert.is(stale.redirected, true)
})

plain.run()

for (const { version, minor, path } of versions) {
  const test = suite(`kubectl ${version}`)
  const kubectl = kubectlWith(path)
  test.before(start)
  test.after(() => server.close())

  test('lists resources', async () => {
    const { code, stdout, stderr } = await kubectl('api-resources')
    assert.is(code, 0, stderr)
    assert.match(stdout, /^pods +po +v1 +true +Pod$/m)
    assert.match(stdout, /^deployments +deploy +apps\/v1 +true +Deployment$/m)
    assert.match(stdout, /^horizontalpodautoscalers +hpa +autoscaling\/v2 +true +HorizontalPodAutoscaler$/m)
    const versions = await kubectl('api-versions')
    assert.ok(versions.stdout.includes('autoscaling/v1\nautoscaling/v2\n'), versions.stdout)
  })

  test('explains fields', async () => {
    const strategy = await kubectl('explain', 'deployment.spec.strategy', '--output=plaintext')
    assert.is(strategy.code, 0, strategy.stderr)
    assert.match(strategy.stdout, /rollingUpdate\s+<RollingUpdateDeployment>/)
    assert.match(strategy.stdout, /DESCRIPTION:\s+\S/)
    const pod = await kubectl('explain', 'pod', '--recursive', '--output=plaintext')
    assert.is(pod.code, 0, pod.stderr)
    assert.match(pod.stdout, /containers\t<\[\]Container> -required-/)
    assert.match(pod.stdout, /limits\t<map\[string\]Quantity>/)
    assert.match(pod.stdout, /containerPort\t<integer> -required-/)
    const port = await kubectl('explain', 'service.spec.ports.targetPort', '--output=plaintext')
    assert.match(port.stdout, /IntOrString/)
  })

  test('validates a manifest on the client and creates it', async () => {
    const dry = await kubectl('create', '-f', manifest, '--dry-run=client')
    assert.is(dry.code, 0, dry.stderr)
    assert.is(dry.stdout, 'deployment.apps/web created (dry run)\n')
    server.requests.length = 0
    const created = await kubectl('create', '-f', manifest, '-n', 'other')
    assert.is(created.code, 0, created.stderr)
    const post = server.requests.find((request) => request.method === 'POST')
    // With fieldValidation found in the schema the server is trusted to validate.
    assert.match(post?.path ?? '', 'fieldValidation=Strict')
  })

  test('applies, on the client and on the server', async () => {
    const applied = await kubectl('apply', '-f', manifest)
    assert.is(applied.code, 0, applied.stderr)
    assert.is(applied.stdout, 'deployment.apps/web created\n')
    const dry = await kubectl('apply', '-f', manifest, '--dry-run=server')
    assert.is(dry.code, 0, dry.stderr)
  })

  test('computes a patch for what exists', async () => {
    server.requests.length = 0
    const applied = await kubectl('apply', '-f', changed)
    assert.is(applied.code, 0, applied.stderr)
    const patch = server.requests.find((request) => request.method === 'PATCH')
    assert.is(patch?.contentType, 'application/strategic-merge-patch+json')
    // The container is found by its merge key and only the change is sent.
    assert.match(patch?.body.toString() ?? '', '"containers":[{"image":"j","name":"c"}]')
    const serverSide = await kubectl('apply', '--server-side', '-f', changed)
    assert.is(serverSide.code, 0, serverSide.stderr)
  })

  test('sends generated objects in a form the server reads', async () => {
    server.requests.length = 0
    const made = await kubectl('create', 'deployment', 'made', '--image=nginx', '--replicas=2', '-o', 'json')
    assert.is(made.code, 0, made.stderr)
    assert.is((JSON.parse(made.stdout) as { spec: { replicas: number } }).spec.replicas, 2)
    const post = server.requests.find((request) => request.method === 'POST')
    if (minor >= 32) assert.is(post?.contentType, 'application/vnd.kubernetes.protobuf')
    const review = await kubectl('auth', 'can-i', 'get', 'pods')
    assert.is(review.stdout, 'no\n')
  })

  test('says so when a kind is unknown', async () => {
    const { code, stderr } = await kubectl('create', '-f', unknown)
    assert.is(code, 1)
    assert.match(stderr, 'no matches for kind "Nope" in version "example.com/v1"')
  })

  test.run()
}

process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
