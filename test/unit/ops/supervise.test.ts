/** Who keeps a cluster's process running, what is known of its ends, and the unit's text. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { chooseSupervisor, parentState, restartsText, unitState } from '#ops/supervise/decide.ts'
import { lookEvery } from '#ops/supervise/looks.ts'
import { quoted, renderEnvironment, renderUnit, unitName } from '#ops/supervise/unit.ts'

const supervise = suite('supervisor')

supervise('systemd where it is the init and we may give it units, a parent anywhere else, or as chosen', () => {
  const all = { chosen: undefined, booted: true, systemctl: true, root: true }
  assert.is(chooseSupervisor(all), 'systemd')
  for (const missing of [{ booted: false }, { systemctl: false }, { root: false }]) {
    assert.is(chooseSupervisor({ ...all, ...missing }), 'parent')
    assert.throws(() => chooseSupervisor({ ...all, ...missing, chosen: 'systemd' }), /RECKON_SUPERVISOR=systemd: systemd is not/)
  }
  assert.is(chooseSupervisor({ ...all, chosen: 'parent' }), 'parent')
  assert.is(chooseSupervisor({ ...all, chosen: '' }), 'systemd')
  assert.throws(() => chooseSupervisor({ ...all, chosen: 'runit' }), /must be systemd or parent/)
})

supervise('what the parent writes down', () => {
  assert.equal(parentState('supervisor=12\nrestarts=0\nreason=\nat=\npause=\n'), { kind: 'parent', name: 'process 12', restarts: 0 })
  const waiting = parentState('supervisor=12\nrestarts=3\nreason=ended with 1\nat=2026-01-01T00:00:00Z\npause=0.5\n')
  assert.equal(waiting, {
    kind: 'parent',
    name: 'process 12',
    restarts: 3,
    lastReason: 'ended with 1',
    lastEnd: '2026-01-01T00:00:00Z',
    waiting: 0.5
  })
  assert.is(
    restartsText(waiting),
    'Kept running by process 12; started again 3 times, the last time because it ended with 1 at 2026-01-01T00:00:00Z; in a pause before the next start of 0.5 s.'
  )
  assert.is(parentState('supervisor=12\nrestarts=1\nreason=x\nat=\npause=0\n').waiting, undefined)
})

supervise('what systemd says, and what it forgets', () => {
  const state = unitState(
    'reckon-a.service',
    'ActiveState=active\nSubState=running\nNRestarts=1\n',
    'reason=was killed (KILL)\nat=2026-01-01T00:00:00Z\n'
  )
  assert.equal(state, {
    kind: 'systemd',
    name: 'reckon-a.service',
    restarts: 1,
    lastReason: 'was killed (KILL)',
    lastEnd: '2026-01-01T00:00:00Z'
  })
  assert.is(
    restartsText(state),
    'Kept running by systemd (reckon-a.service); started again once, the last time because it was killed (KILL) at 2026-01-01T00:00:00Z.'
  )
  assert.is(
    restartsText(unitState('reckon-a.service', 'ActiveState=activating\nSubState=auto-restart\nNRestarts=0\n', '')),
    'Kept running by systemd (reckon-a.service); not started again so far; in a pause before the next start.'
  )
})

supervise('the unit says what it is given, whatever is in it', () => {
  const options = {
    home: '/a b/100%',
    config: '/a b/100%/config.json',
    instance: 'abcde',
    command: ['/n', '/s$x', '--home', '/a b/100%'],
    directory: '/p',
    log: '/a b/l',
    onEnd: ['/bin/sh'],
    environmentFile: '/a b/100%/environment'
  }
  const text = renderUnit({ ...options, version: 252 })
  assert.is(unitName('abcde'), 'reckon-abcde.service')
  assert.match(text, 'ExecStart="/n" "/s$$x" "--home" "/a b/100%%"')
  assert.match(text, 'EnvironmentFile=/a b/100%%/environment\n')
  assert.match(renderUnit({ ...options, environmentFile: '/[a]*\\?', version: 252 }), 'EnvironmentFile=/\\[a]\\*\\\\\\?\n')
  assert.is(
    renderEnvironment({ RECKON_HOME: '/a b/100%', https_proxy: 'http://me:p"a$s\\s`@proxy', SPLIT: 'a\nb' }),
    'RECKON_HOME="/a b/100%"\nhttps_proxy="http://me:p\\"a\\$s\\\\s\\`@proxy"\n'
  )
  assert.match(text, 'StandardOutput=append:/a b/l\n')
  assert.match(text, 'RequiresMountsFor="/a b/100%%"\n')
  assert.match(text, 'ConditionPathExists=/a b/100%%/config.json\n')
  for (const line of [
    'Restart=always',
    'KillMode=process',
    'StartLimitIntervalSec=0',
    'OOMPolicy=continue',
    'NoNewPrivileges=yes',
    'WantedBy=multi-user.target'
  ])
    assert.match(text, `${line}\n`)
  // Pauses that grow are an unknown word to older ones.
  assert.match(text, 'RestartSec=1000ms\n')
  assert.not.match(text, 'RestartSteps')
  assert.match(renderUnit({ ...options, version: 254 }), 'RestartSec=100ms\nRestartSteps=6\nRestartMaxDelaySec=5000ms\n')
  // These would give the process mounts of its own, and pods' volumes would be missing from them.
  assert.not.match(
    text.replace(/^#.*$/gm, ''),
    /ProtectSystem|ProtectHome|PrivateTmp|PrivateDevices|ProtectKernel|ReadOnlyPaths|MemoryDenyWriteExecute/
  )
  assert.is(quoted('a"b\\c\nd'), '"a\\"b\\\\c\\nd"')
})
supervise('a look that fails is told of, and the next one comes; none begins before the one before is over', async () => {
  const errors: string[] = []
  const begun: number[] = []
  let busy = 0
  await new Promise<void>((resolve) => {
    // What looks does not hold the process.
    const held = setInterval(() => {}, 1_000)
    const looking = lookEvery(
      1,
      async () => {
        busy += 1
        begun.push(busy)
        await new Promise((over) => setTimeout(over, 5))
        busy -= 1
        if (begun.length === 4) {
          clearInterval(held)
          looking.stop()
          resolve()
        }
        throw new Error(`look ${begun.length}`)
      },
      (error) => errors.push((error as Error).message)
    )
  })
  assert.equal(begun, [1, 1, 1, 1])
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.is(begun.length, 4)
  assert.equal(errors, ['look 1', 'look 2', 'look 3', 'look 4'])
})

supervise.run()
