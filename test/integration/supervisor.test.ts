/** The small parent where there is no systemd: the control plane comes back by itself, however often, and goes when it is told to. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { streamsFolder } from '#ops/nats/store.ts'
import { runningServer } from '#ops/nats/server.ts'
import { commandOf, logFile, runningCluster } from '#ops/running.ts'
import { ageOf, argumentsOf, identify, isProcess, type ProcessIdentity } from '#ops/setup/process.ts'
import { restartsText } from '#ops/supervise/decide.ts'
import { startSupervisor, stopSupervisor, supervisorState, wakeSupervisor } from '#ops/supervise/supervisor.ts'
import { privateFolder } from '#ops/home.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'
import { sideBySide } from '#test/support/sideBySide.ts'

process.env['RECKON_SUPERVISOR'] = 'parent'

const supervised = (plane: Plane): Parameters<typeof startSupervisor>[0] => {
  privateFolder(join(plane.home, 'log'))
  return {
    home: plane.home,
    config: plane.config,
    command: [...commandOf(plane.home), '--components', 'apiserver'],
    log: logFile(plane.home)
  }
}
const log = (plane: Plane): string => readFileSync(logFile(plane.home), 'utf8')
const isReady = async (plane: Plane): Promise<boolean> => (await plane.call('GET', '/readyz')).status === 200
const supervisorOf = async (plane: Plane): Promise<ProcessIdentity> =>
  identify(Number((await supervisorState(plane.home, plane.config))?.name.split(' ')[1])) as ProcessIdentity
const rss = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
/** Every live process that has the home on its command line, but nats-server. */
const processes = (plane: Plane): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter(
      (pid) =>
        pid > 0 && identify(pid) !== undefined && argumentsOf(pid).some((word) => word === plane.home || word === join(plane.home, 'run'))
    )

const scene = async (work: (plane: Plane) => Promise<void>): Promise<void> => {
  const plane = await startPlane()
  try {
    await work(plane)
  } finally {
    await stopSupervisor(plane.home, plane.config)
    const left = runningCluster(plane.home)
    if (left !== undefined) process.kill(left.pid, 'SIGKILL')
    await plane.remove()
  }
}

const all = suite("the control plane's parent")
const parent = sideBySide(all, 3)

parent('20 kills in a row: the API answers again within seconds, nats-server is not touched', () =>
  scene(async (plane) => {
    await startSupervisor(supervised(plane))
    await plane.until('it is ready', () => isReady(plane), 60_000)
    const nats = runningServer(plane.home)?.pid
    assert.ok(rss((await supervisorOf(plane)).pid) <= 2_048, `the parent takes ${rss((await supervisorOf(plane)).pid)} KiB`)
    const took: number[] = []
    for (let round = 1; round <= 20; round++) {
      const victim = runningCluster(plane.home) as ProcessIdentity
      // What lives for a moment only is started again with a pause that grows, which is another test.
      await plane.until('it has lived', async () => ageOf(victim) > 2_100)
      process.kill(victim.pid, 'SIGKILL')
      const began = performance.now()
      await plane.until('it is back', async () => runningCluster(plane.home)?.pid !== victim.pid && (await isReady(plane)), 20_000)
      took.push(performance.now() - began)
    }
    assert.ok(Math.max(...took) < 10_000, `it took ${took.map(Math.round).join(', ')} ms`)
    assert.is(runningServer(plane.home)?.pid, nats)
    const state = await supervisorState(plane.home, plane.config)
    assert.is(state?.restarts, 20)
    assert.is(state?.lastReason, 'was killed (KILL)')
    assert.match(
      restartsText(state as NonNullable<typeof state>),
      /^Kept running by process \d+; started again 20 times, the last time because it was killed \(KILL\) at /
    )
    assert.is(log(plane).match(/the control plane was killed \(KILL\); it is started again$/gm)?.length, 20)
  })
)

parent('what ends as soon as it begins is started further and further apart; a word ends the pause; a stop ends it all at once', () =>
  scene(async (plane) => {
    const squatter = createServer(() => {})
    await new Promise<void>((resolve) => squatter.listen(plane.config.apiPort, resolve))
    try {
      await startSupervisor(supervised(plane))
      await plane.until('it waits', async () => ((await supervisorState(plane.home, plane.config))?.waiting ?? 0) >= 1, 60_000)
      const pauses = [...log(plane).matchAll(/it is started again in (\S+) s/g)].map(([, pause]) => Number(pause))
      assert.equal(
        pauses,
        pauses.toSorted((a, b) => a - b)
      )
      assert.match(log(plane), /supervisor: the control plane ended with 1; it is started again in 1 s/)
      await plane.until('it waits for long', async () => ((await supervisorState(plane.home, plane.config))?.waiting ?? 0) >= 5, 60_000)
      const { restarts = 0 } = (await supervisorState(plane.home, plane.config)) ?? {}
      await wakeSupervisor(plane.home, plane.config)
      await plane.until('it is started before its time', async () => runningCluster(plane.home) !== undefined, 3_000)
      await plane.until('it waits again', async () => ((await supervisorState(plane.home, plane.config))?.restarts ?? 0) > restarts, 60_000)
    } finally {
      await new Promise((resolve) => squatter.close(resolve))
    }
    const began = performance.now()
    assert.ok(await stopSupervisor(plane.home, plane.config))
    // It was in a pause of five seconds or more.
    assert.ok(performance.now() - began < 4_000, `stopping took ${performance.now() - began} ms`)
    assert.is(await supervisorState(plane.home, plane.config), undefined)
    assert.equal(processes(plane), [])
  })
)

parent('one that was killed itself is followed by one that takes over what runs; two never are', () =>
  scene(async (plane) => {
    await startSupervisor(supervised(plane))
    await plane.until('it is ready', () => isReady(plane), 60_000)
    const first = runningCluster(plane.home) as ProcessIdentity
    await startSupervisor(supervised(plane)).then(
      () => assert.unreachable('two supervisors in one home'),
      (error: Error) => assert.match(error.message, /did not start/)
    )
    // Nor when they are started at the same moment: the lock decides.
    const { exitCode, stdout } = await execa('sh', [...argumentsOf((await supervisorOf(plane)).pid).slice(1)], {
      reject: false,
      timeout: 5_000
    })
    assert.is(exitCode, 3)
    assert.match(stdout, 'another one is at work here')
    const old = await supervisorOf(plane)
    process.kill(old.pid, 'SIGKILL')
    await plane.until('it is gone', async () => !isProcess(old))
    assert.ok(isProcess(first), 'the control plane goes on')
    assert.ok(await isReady(plane))
    assert.is(await supervisorState(plane.home, plane.config), undefined)
    await startSupervisor(supervised(plane), first)
    assert.is(runningCluster(plane.home)?.pid, first.pid, 'it was replaced, not taken over')
    // Another one, started by hand, sees that it is not alone.
    await plane.until('it ends by itself', async () => {
      const { exitCode, stderr, stdout } = await execa(process.execPath, supervised(plane).command.slice(1), {
        reject: false,
        timeout: 20_000
      })
      return exitCode === 1 && /runs already, as process/.test(`${stdout}${stderr}`)
    })
    process.kill(first.pid, 'SIGKILL')
    await plane.until('it is started again', async () => runningCluster(plane.home) !== undefined && (await isReady(plane)), 20_000)
    await stopSupervisor(plane.home, plane.config)
    assert.equal(processes(plane), [])
  })
)

parent('a damaged log is no reason to start again', () =>
  scene(async (plane) => {
    await startSupervisor(supervised(plane))
    await plane.until('it is ready', () => isReady(plane), 60_000)
    assert.is(
      (await plane.call('POST', '/api/v1/namespaces/default/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }))
        .status,
      201
    )
    await stopSupervisor(plane.home, plane.config)
    await plane.killNats()
    rmSync(join(streamsFolder(plane.home), 'EVENTS'), { recursive: true })
    await startSupervisor(supervised(plane))
    await plane.until(
      'it explains',
      async () => /^\[-\]log failed: EVENTS: the stream is not there/.test((await plane.call('GET', '/readyz')).body),
      60_000
    )
    const explaining = runningCluster(plane.home)?.pid
    await wait(4_000)
    assert.is(runningCluster(plane.home)?.pid, explaining)
    assert.is((await supervisorState(plane.home, plane.config))?.restarts, 0)
  })
)

all.run()
