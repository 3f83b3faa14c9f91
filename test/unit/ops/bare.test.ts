/** The plain parts of `npm run bare`: control groups, settings carried over, what is left. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { groupOf, hierarchies } from '#ops/bare/cgroups.ts'
import { rulesOf, whatIsLeft, type Standing } from '#ops/bare/left.ts'
import { acquireSettings, throughGateway } from '#ops/bare/settings.ts'

const bare = suite('a bare system')

const BOTH = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 /docker/a /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
`

bare('control groups are found by what they are mounted as', () => {
  assert.equal(hierarchies(BOTH), [
    { mount: '/sys/fs/cgroup/cpu,cpuacct', root: '/', options: 'cpu,cpuacct' },
    { mount: '/sys/fs/cgroup/memory', root: '/docker/a', options: 'memory' },
    { mount: '/sys/fs/cgroup/systemd', root: '/', options: 'none,name=systemd' },
    { mount: '/sys/fs/cgroup/unified', root: '/', options: '' }
  ])
})

bare('the own group is known in each of them', () => {
  const own = '9:name=systemd:/user\n4:memory:/docker/a/b\n1:cpu,cpuacct:/odd:name\n0::/session\n'
  assert.equal(
    hierarchies(BOTH).map((each) => groupOf(each, own)),
    ['/odd:name', '/docker/a/b', '/user', '/session']
  )
})

bare('a proxy on the machine itself is reached through the gateway', () => {
  assert.is(throughGateway('http://user:word@localhost:3128/'), 'http://user:word@10.0.2.2:3128/')
  assert.is(throughGateway('Acquire::http::Proxy "http://127.0.0.1:3142";'), 'Acquire::http::Proxy "http://10.0.2.2:3142";')
  for (const other of [
    'http://proxy.example:3128',
    'http://localhost.example/',
    '127.0.0.1,localhost',
    'http://user:localhost@proxy.example/'
  ])
    assert.is(throughGateway(other), other)
})

bare("of apt's settings those that say how archives are reached are carried over", () => {
  const dump =
    'APT "";\nAcquire "";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\nAcquire::IndexTargets::deb::DEP-11::MetaKey "x";\nDPkg::Post-Invoke:: "rm -rf /";\n'
  assert.equal(acquireSettings(dump), ['Acquire::http::Proxy "http://proxy.example:3128";', 'Acquire::Check-Valid-Until "false";'])
})

const saved = (more: string): string => `# Generated\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [3:4]\n${more}COMMIT\n`

bare("tables without a rule, a chain or a policy of somebody's are as the kernel has them", () => {
  assert.equal(rulesOf(saved('')), [])
  assert.equal(rulesOf(saved(':MINE - [0:0]\n-A INPUT -j MINE\n').replace('FORWARD ACCEPT', 'FORWARD DROP')), [
    ':FORWARD DROP',
    ':MINE -',
    '-A INPUT -j MINE'
  ])
})

bare('what stands after and did not before is named, however often it stood', () => {
  const before: Standing = { processes: ['sleep 1'], interfaces: ['lo'], mounts: ['/', '/proc'], rules: [], files: [] }
  assert.equal(whatIsLeft(before, before), [])
  assert.equal(
    whatIsLeft(before, {
      processes: ['sleep 1', 'sleep 1'],
      interfaces: ['lo', 'docker0'],
      mounts: ['/'],
      rules: [':X -'],
      files: ['/tmp/a']
    }),
    ['process sleep 1', 'interface docker0', 'rule :X -', 'file /tmp/a']
  )
})

bare.run()
