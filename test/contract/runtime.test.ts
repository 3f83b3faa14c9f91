/** What every runtime must do: one run against the simulated one, one against Docker Engine. */
import Docker from 'dockerode'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEMO_IMAGE, ensureImages, PAUSE_IMAGE } from '#ops/images/images.ts'
import { run, type ContainerSpec, type Identity, type Observed, type Runtime } from '#services/platform/Runtime.ts'
import { systemClock } from '#services/platform/Clock.ts'
import { DockerRuntime } from '#services/platform/Docker.ts'
import { SimulatedRuntime } from '#services/platform/SimulatedRuntime.ts'

const identity = (container: string, attempt = 0): Identity => ({
  podUid: 'uid-1',
  namespace: 'default',
  pod: 'web',
  container,
  sandbox: 0,
  attempt,
  backOff: 2,
  specHash: 'hash',
  podStart: 1_700_000_000_000
})

const container = (sandbox: Observed, one: Identity, command: readonly string[]): ContainerSpec => ({
  identity: one,
  image: DEMO_IMAGE,
  imageName: DEMO_IMAGE,
  sandboxId: sandbox.id,
  hostPID: false,
  hostIPC: false,
  shareProcessNamespace: false,
  command,
  env: ['A=b'],
  mounts: [],
  tty: false,
  stdin: false,
  stdinOnce: false,
  groups: [],
  capAdd: [],
  capDrop: [],
  privileged: false,
  readOnlyRootFilesystem: false,
  noNewPrivileges: true,
  cpuShares: 2,
  cpuQuota: 0,
  memory: 0,
  oomScoreAdj: 0
})

const FOREVER = ['/bin/sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.1; done']
const DEAF = ['/bin/sh', '-c', 'trap "" TERM; while true; do sleep 0.1; done']
const SPEAKS = ['/bin/sh', '-c', 'echo one; echo two; sleep 0.2; exit 3']
const collect = async (text: AsyncIterable<Uint8Array>): Promise<string> => {
  let all = ''
  for await (const part of text) all += Buffer.from(part).toString()
  return all
}
const never = new AbortController().signal

const contract = (name: string, make: () => Promise<{ runtime: Runtime; other: Runtime | undefined }>): void => {
  const test = suite(`runtime: ${name}`)
  let runtime: Runtime
  let other: Runtime | undefined
  let sandbox: Observed
  const ids: Record<string, string> = {}
  const of = async (id: string): Promise<Observed | undefined> => (await runtime.list('uid-1')).find((one) => one.id === id)

  test.before(async () => {
    ;({ runtime, other } = await make())
    sandbox = await runtime.startSandbox({
      identity: identity(''),
      image: PAUSE_IMAGE,
      hostname: 'web',
      hostNetwork: false,
      hostPID: false,
      hostIPC: false,
      sysctls: {}
    })
  })
  test.after(async () => {
    for (const { id } of await runtime.list()) await runtime.remove(id)
  })
  test('a sandbox runs, and is known by its labels', async () => {
    assert.is(sandbox.state, 'running')
    assert.ok(sandbox.pid > 0)
    assert.equal(sandbox.identity, identity(''))
    assert.equal(
      (await runtime.list()).map(({ id }) => id),
      [sandbox.id]
    )
    assert.equal(await runtime.list('uid-2'), [])
  })
  test('containers of another cluster are not seen', async () => {
    if (other !== undefined) assert.equal(await other.list(), [])
  })
  test('a created container does not run yet; a second creation replaces it', async () => {
    const first = await runtime.create(container(sandbox, identity('main'), FOREVER))
    assert.is((await of(first))?.state, 'created')
    ids['main'] = await runtime.create(container(sandbox, identity('main'), FOREVER))
    assert.is(await of(first), undefined)
  })
  test('it starts, and says so', async () => {
    const heard = new Promise<string>((resolve) => {
      const subscription = runtime.events({
        onEvent: ({ podUid }) => {
          subscription.close()
          resolve(podUid)
        },
        onRelist: () => void runtime.start(ids['main'] as string)
      })
    })
    assert.is(await heard, 'uid-1')
    const now = await of(ids['main'] as string)
    assert.is(now?.state, 'running')
    assert.equal(now?.identity, identity('main'))
    assert.is(now?.image, DEMO_IMAGE)
    assert.ok((now?.startedAt ?? 0) > 0)
  })
  test('a command in it ends with its code', async () => {
    assert.is((await run(runtime, ids['main'] as string, ['/bin/sh', '-c', 'exit 7'])).code, 7)
  })
  test('TERM is obeyed within the grace', async () => {
    await runtime.stop(ids['main'] as string, 10)
    const now = await of(ids['main'] as string)
    assert.is(now?.state, 'exited')
    assert.is(now?.exitCode, 0)
    assert.ok((now?.finishedAt ?? 0) >= (now?.startedAt ?? 0))
  })
  test('stopping what has stopped, and removing what is gone, is no error', async () => {
    await runtime.stop(ids['main'] as string, 1)
    await runtime.remove(ids['main'] as string)
    await runtime.remove(ids['main'] as string)
    await runtime.stop(ids['main'] as string, 0)
    assert.is(await of(ids['main'] as string), undefined)
  })
  test('KILL follows when TERM is ignored', async () => {
    const id = await runtime.create(container(sandbox, identity('deaf'), DEAF))
    await runtime.start(id)
    const began = Date.now()
    await runtime.stop(id, 1)
    assert.ok(Date.now() - began >= 900)
    assert.is((await of(id))?.exitCode, 137)
  })
  test('an exit code is kept, and the log of the ended container', async () => {
    const id = await runtime.create(container(sandbox, identity('speaks'), SPEAKS))
    await runtime.start(id)
    assert.is(await collect(runtime.logs(id, { follow: true }, never)), 'one\ntwo\n')
    assert.is(await collect(runtime.logs(id, { tailLines: 1 }, never)), 'two\n')
    for (let tries = 0; tries < 100 && (await of(id))?.state !== 'exited'; tries++) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.is((await of(id))?.exitCode, 3)
  })
  test('a program that is not there is an error that stays with its container', async () => {
    const id = await runtime.create(container(sandbox, identity('nothing'), ['/nothing']))
    let message = ''
    await runtime.start(id).catch((error: Error) => void (message = error.message))
    assert.match(message, /no such file/)
    const now = await of(id)
    assert.is(now?.state, 'exited')
    assert.match(now?.startError ?? '', /no such file/)
  })
  test('images: present or not', async () => {
    assert.ok(await runtime.image(DEMO_IMAGE))
    assert.is(await runtime.image('reckon/none:1'), undefined)
  })
  test.run()
}

contract('simulated', async () => ({
  runtime: new SimulatedRuntime({
    clock: systemClock,
    hasImage: (name) => name !== 'reckon/none:1',
    script: ({ container: name }) =>
      name === 'deaf'
        ? { ignoresTerm: true }
        : name === 'speaks'
          ? { log: 'one\ntwo\n', exitAfterMs: 20, exitCode: 3 }
          : name === 'nothing'
            ? { startError: 'exec: "/nothing": no such file or directory' }
            : { exec: () => ({ code: 7 }) }
  }),
  other: undefined
}))

contract('Docker Engine', async () => {
  await ensureImages(new Docker(), () => {})
  const instance = `c${Math.random().toString(36).slice(2, 8)}`
  return { runtime: new DockerRuntime({ instance, node: 'n1' }), other: new DockerRuntime({ instance, node: 'n2' }) }
})
