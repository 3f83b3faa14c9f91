/** Every program of the machine that the tree calls is one that set-up brings: nothing works only where somebody prepared it by hand. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { PROGRAMS } from '#ops/setup/programs.ts'
import { callsIn, commandsOf } from '#test/support/calls.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** Calls whose program is no literal, and what it is; `file: expression`. */
const INDIRECT: Readonly<Record<string, readonly string[]>> = {
  'ops/bare/bare.ts: program': ['node', 'npm'],
  'ops/bare/system.ts: command': [],
  'ops/bare/system.ts: ...this.#inside(command, cwd)': ['env', 'nsenter', 'sh'],
  'ops/bin/bootstrap.mjs: NODE': ['node'],
  'ops/bin/bootstrap.mjs: binary': ['node'],
  'ops/bin/bootstrap.mjs: node': ['node'],
  'ops/images/images.ts: busybox': ['busybox'],
  // A developer's, after a change to its assembly source.
  'ops/images/pause/buildPause.ts: `${tools}as`': [],
  'ops/images/pause/buildPause.ts: `${tools}objcopy`': [],
  'ops/images/pause/buildPause.ts: command': [],
  'ops/nats/binary.ts: path': ['nats-server'],
  'ops/nats/server.ts: binary': ['nats-server'],
  'ops/setup/apt.ts: program': ['apt-get', 'dpkg'],
  'ops/setup/dockerEngine.ts: dockerd': ['dockerd'],
  'ops/setup/dockerNetwork.ts: command': ['iptables-restore'],
  'ops/setup/dockerNetwork.ts: program': ['iptables-save'],
  // Looks for what is in the table.
  'ops/setup/programs.ts: each.program': [],
  'ops/setup/project.ts: command': [],
  // A developer's, built from what stands beside it.
  'test/oracle/patch/Oracle.ts: program': [],
  'services/network/BridgeNetwork.ts: file as string': ['ip', 'nsenter', 'sh'],
  'services/network/BridgeNetwork.ts: script': ['modprobe'],
  'services/platform/Conntrack.ts: file as string': ['conntrack', 'nsenter'],
  'services/platform/Iptables.ts: file as string': [
    'ip6tables-restore',
    'ip6tables-save',
    'iptables',
    'iptables-restore',
    'iptables-save',
    'nsenter'
  ],
  'services/platform/iptables/RuleMonitor.ts: file': ['nsenter', 'stdbuf', 'xtables-monitor'],
  'test/bench/watchFanout.ts: import.meta.filename': ['node'],
  // What its caller names.
  'test/bench/withApi.ts: program': [],
  'test/conformance/images/roots.ts: binary': ['busybox'],
  // The suite itself, which is built before.
  'test/conformance/run.ts: suite.program': [],
  'test/conformance/suite.ts: program': [],
  'test/contract/services/apiserver/schema/kubectl.test.ts: binary': ['kubectl'],
  'test/integration/dns.test.ts: busybox': ['busybox'],
  'test/integration/network.test.ts: busybox': ['busybox'],
  'test/runFile.ts: file.command': ['node'],
  'test/oracle/checkSchema.ts: program': ['kubectl'],
  'test/support/cluster.ts: options.program ?? program': ['kubectl'],
  'test/support/kubectls.ts: path': ['kubectl'],
  'test/support/served.ts: program': ['kubectl'],
  'test/support/systemd.ts: BOOT': ['env', 'mkdir', 'mount', 'pivot_root', 'rm', 'umount'],
  'test/support/systemd.ts: program': ['node', 'systemctl']
}

const THIS = 'test/unit/programs.test.ts'
const files = ['ops', 'services', 'test']
  .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => `${folder}/${path}`))
  .filter((path) => /\.(ts|mjs|sh)$/.test(path) && path !== THIS)
const text = new Map(files.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))

const calls = [...text].flatMap(([at, code]) =>
  (at.endsWith('.sh') ? commandsOf(code).map((program) => ({ program, literal: true })) : callsIn(code)).map((call) => ({ at, ...call }))
)
const known = new Set(PROGRAMS.map(({ program }) => program))

const programs = suite('programs of the machine')

programs('are found where they are called', () => {
  const found = (program: string): string[] => [...new Set(calls.filter((call) => call.program === program).map(({ at }) => at))]
  assert.ok(found('iptables-restore').includes('services/platform/Iptables.ts'))
  assert.ok(found('ip').includes('services/network/BridgeNetwork.ts'))
  assert.ok(found('sleep').includes('test/support/netns.ts'), 'behind unshare')
  assert.ok(found('iptables-save').includes('test/integration/network.test.ts'), 'behind nsenter')
  assert.ok(found('pivot_root').includes('ops/bare/init.sh'))
})

programs('are each brought by set-up', () => {
  const undeclared = calls.filter((call) => call.literal && !known.has(call.program)).map(({ at, program }) => `${at} calls ${program}`)
  assert.equal(
    [...new Set(undeclared)],
    [],
    'a bare machine may not have it: declare who brings it in ops/setup/programs.ts, or do without'
  )
})

programs('are known where the call does not name them', () => {
  const met = new Set(
    calls.filter((call) => !call.literal && call.program !== 'process.execPath').map(({ at, program }) => `${at}: ${program}`)
  )
  assert.equal(
    [...met].filter((each) => INDIRECT[each] === undefined),
    [],
    'say in INDIRECT what these start'
  )
  assert.equal(
    Object.keys(INDIRECT).filter((each) => !met.has(each)),
    [],
    'these calls are gone: take them from INDIRECT'
  )
  assert.equal(
    Object.values(INDIRECT)
      .flat()
      .filter((program) => !known.has(program)),
    [],
    'declare who brings it in ops/setup/programs.ts'
  )
})

programs('are each called, or there is no reason to bring them', () => {
  const called = new Set([...calls.map(({ program }) => program), ...Object.values(INDIRECT).flat()])
  // Called by kubectl.
  assert.equal(
    [...known].filter((program) => !called.has(program)),
    ['sed', 'diff']
  )
})

programs('said to be on every Debian are', () => {
  const status = readFileSync('/var/lib/dpkg/status', 'utf8').split('\n\n')
  const wrong = PROGRAMS.filter(({ by }) => by === 'debian').filter(({ program, package: name }) => {
    const record = status.find((each) => each.startsWith(`Package: ${name}\n`)) ?? ''
    const list = `/var/lib/dpkg/info/${name}.list`
    const has =
      existsSync(list) &&
      readFileSync(list, 'utf8')
        .split('\n')
        .some((path) => /^(\/usr)?\/s?bin\/[^/]+$/.test(path) && path.endsWith(`/${program}`))
    return !has || !/^(Essential: yes|Priority: required)$/m.test(record)
  })
  assert.equal(
    wrong.map(({ program, package: name }) => `${program} in ${name}`),
    []
  )
})

programs.run()
