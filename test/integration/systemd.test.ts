/**
 * A real systemd keeps the control plane running: installed with `up`, restarted after kill -9, gone with `down`, nats-server untouched.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { logFile } from '#ops/running.ts'
import { findProgram, PROJECT, run } from '#ops/setup/project.ts'
import { chooseSupervisor, type SupervisorState } from '#ops/supervise/decide.ts'
import { supervisorState } from '#ops/supervise/supervisor.ts'
import { renderUnit, unitName } from '#ops/supervise/unit.ts'
import { startPlane } from '#test/support/plane.ts'
import { bootSystemd, type Systemd } from '#test/support/systemd.ts'

const systemd = suite('systemd')

const unit = (version: number): string =>
  renderUnit({
    home: '/var/lib/a home/100%',
    config: '/var/lib/a home/100%/config.json',
    instance: 'abcde',
    command: [process.execPath, '/x/server.ts', '--home', '/var/lib/a home/100%'],
    directory: tmpdir(),
    log: '/var/log/reckon.log',
    onEnd: ['/bin/sh', '/x/ended.sh', '/x/$y'],
    environmentFile: '/var/lib/a home/100%/run/environment',
    version
  })

if (findProgram('systemd-analyze') === undefined) console.log('there is no systemd-analyze here: the unit is not checked by it')
else
  systemd('the unit is one that systemd takes, without a word', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reckon-unit-'))
    try {
      const version = Number(/systemd (\d+)/.exec(await run('systemd-analyze', ['--version']))?.[1])
      writeFileSync(join(folder, unitName('abcde')), unit(version))
      // It says what it does not know on its standard error, and is content all the same.
      assert.is((await run('sh', ['-c', `systemd-analyze verify --man=no '${join(folder, unitName('abcde'))}' 2>&1`])).trim(), '')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

interface State {
  readonly supervisor?: SupervisorState
  readonly cluster?: number
  readonly nats?: number
  readonly ended?: readonly string[]
}

// A blank in its path, for a unit has several ways to write one down.
const folder = mkdtempSync(join(tmpdir(), 'reckon systemd-'))
const plane = await startPlane('apiserver', {}, { folder })
let init: Systemd | undefined
let reason = ''
await bootSystemd(PROJECT, folder).then(
  (booted) => (init = booted),
  (error: Error) => (reason = error.message)
)

if (init === undefined) {
  console.log(`systemd is not tried here: ${reason}`)
  systemd('where there is none to be asked, the small parent keeps the cluster running', async () => {
    const booted = existsSync('/run/systemd/system')
    assert.is(
      chooseSupervisor({ chosen: undefined, booted, systemctl: findProgram('systemctl') !== undefined && booted, root: true }),
      booted ? 'systemd' : 'parent'
    )
    await plane.start()
    assert.is(await supervisorState(plane.home, plane.config), undefined, "a plane that is started by itself is nobody's")
    await plane.remove()
    rmSync(folder, { recursive: true, force: true })
  })
} else {
  const inside = init
  const ask = async (what: string): Promise<State> => {
    const { code, out } = await inside.run(process.execPath, join(import.meta.dirname, '../support/supervised.ts'), what, plane.home)
    assert.is(code, 0, out)
    return JSON.parse(out.trim().split('\n').at(-1) as string) as State
  }
  const isReady = async (): Promise<boolean> => (await plane.call('GET', '/readyz')).status === 200

  systemd.after(async () => {
    await inside.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  systemd('the control plane is a unit that comes back, and nats-server lives on', async () => {
    await ask('start')
    await plane.until('it is ready', isReady, 60_000)
    const first = await ask('state')
    assert.is(first.supervisor?.kind, 'systemd')
    assert.is(first.supervisor?.name, unitName(plane.config.instance))
    assert.is(first.supervisor?.restarts, 0)
    assert.match((await inside.run('systemctl', 'is-enabled', unitName(plane.config.instance))).out, 'enabled')
    let before = first
    for (let round = 1; round <= 3; round++) {
      await ask('kill')
      const began = performance.now()
      await plane.until('it is back', async () => (await isReady()) && (await ask('state')).cluster !== before.cluster, 30_000)
      assert.ok(performance.now() - began < 15_000)
      const now = await ask('state')
      assert.is(now.nats, first.nats, 'nats-server was restarted with the control plane')
      assert.is(now.supervisor?.restarts, round)
      assert.is(now.supervisor?.lastReason, 'was killed (KILL)')
      before = now
    }
    // A restart by a person, too.
    assert.is((await inside.run('systemctl', 'restart', unitName(plane.config.instance))).code, 0)
    await plane.until('it is back', async () => (await isReady()) && (await ask('state')).cluster !== before.cluster, 30_000)
    assert.is((await ask('state')).nats, first.nats)
  })
  systemd('stopping removes the unit', async () => {
    const { supervisor, cluster } = await ask('stop')
    assert.is(supervisor, undefined)
    assert.is(cluster, undefined)
    assert.is((await inside.run('test', '-e', `/etc/systemd/system/${unitName(plane.config.instance)}`)).code, 1)
    assert.match((await inside.run('systemctl', 'list-units', '--all', '--no-legend', 'reckon-*')).out.trim(), /^$/)
    assert.not(existsSync(`/etc/systemd/system/${unitName(plane.config.instance)}`), 'the machine itself was touched')
  })
  systemd('of a home that is gone nothing is started any more, and the next `up` or `restore` takes the unit away', async () => {
    const name = unitName(plane.config.instance)
    const shown = async (): Promise<string> =>
      (await inside.run('systemctl', 'show', '-p', 'ActiveState,SubState,ConditionResult,NRestarts', name)).out
    await ask('start')
    await plane.until('it is ready', isReady, 60_000)
    // Its start is over: nothing is made in the home that has not been looked for.
    await plane.until('it runs', async () => readFileSync(logFile(plane.home), 'utf8').trimEnd().endsWith('running: apiserver'))
    rmSync(plane.home, { recursive: true, maxRetries: 10, retryDelay: 20 })
    await plane.until('it has ended', async () => /^ActiveState=inactive$/m.test(await shown()), 30_000)
    assert.match(await shown(), /^ConditionResult=no$/m)
    // Nor by a reboot, or by hand.
    assert.is((await inside.run('systemctl', 'start', name)).code, 0)
    assert.match(await shown(), /^ActiveState=inactive$/m)
    assert.equal(existsSync(plane.home) ? readdirSync(plane.home, { recursive: true }) : [], [])
    assert.equal((await ask('left')).ended, [`left of the cluster whose home is gone, and ended now: ${name}`])
    assert.is((await inside.run('test', '-e', `/etc/systemd/system/${name}`)).code, 1)
  })
}
systemd.run()
