/** Components as programs of their own: which there are, and that they end as a whole cluster does. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { writeConfig } from '#ops/home.ts'
import { pkiFile } from '#ops/pki/pki.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

const OPS = join(import.meta.dirname, '../../ops')

const run = (plane: Plane, program: string, ...words: string[]): { readonly child: ChildProcess; readonly said: () => string } => {
  const child = spawn(process.execPath, [join(OPS, program), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, RECKON_HOME: plane.home }
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return { child, said: () => said }
}

const watch = (plane: Plane): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(plane.home, name)))
    get({ host: '127.0.0.1', port: plane.config.apiPort, path: '/api/v1/namespaces?watch=true', ca, cert, key, agent: false }, resolve).on(
      'error',
      reject
    )
  })

const single = suite('components by themselves')
let plane: Plane
single.before(async () => {
  plane = await startPlane()
})
single.after(() => plane.remove())

single('one that is told to end ends what it has begun first: a watch is whole', async () => {
  const { child, said } = run(plane, 'main.ts', 'apiserver')
  const exited = once(child, 'exit')
  try {
    await plane.until('it is ready', async () => (await plane.call('GET', '/readyz')).status === 200, 60_000)
    const watching = await watch(plane)
    assert.is(watching.statusCode, 200)
    const over = new Promise<void>((resolve) => watching.on('error', () => {}).on('close', resolve))
    await once(watching, 'data')
    watching.resume()
    child.kill('SIGTERM')
    await over
    assert.ok(watching.complete, 'the connection broke in the middle of the answer')
    assert.equal(await exited, [0, null], said())
  } finally {
    child.kill('SIGKILL')
  }
})

for (const [what, settings, words, message] of [
  [
    'a component that there is not',
    undefined,
    ['--components', 'apiserver,kublet'],
    '--components: there is no component "kublet"; there are apiserver, scheduler, controller-manager, kubelet, kube-proxy, dns'
  ],
  [
    'one in the settings',
    { components: ['kublet'] },
    [],
    'settings.components: there is no component "kublet"; there are apiserver, scheduler, controller-manager, kubelet, kube-proxy, dns'
  ],
  ['no list in the settings', { components: 'apiserver' }, [], 'settings.components: must be a list of components: apiserver']
] as const)
  single(`${what} is refused, and nothing is run`, async () => {
    writeConfig(plane.home, { ...plane.config, ...(settings === undefined ? {} : { settings: settings as never }) })
    const { child, said } = run(plane, 'server.ts', '--home', plane.home, ...words)
    const late = setTimeout(() => child.kill('SIGKILL'), 30_000)
    const [code] = (await once(child, 'exit')) as [number | null]
    clearTimeout(late)
    assert.is(code, 1, said())
    assert.match(said(), message)
    assert.not.match(said(), 'running:')
  })
single.run()
