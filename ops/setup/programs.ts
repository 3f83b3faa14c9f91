/**
 * Every program of the machine that reckon, its tests and `npm run bare` call, and who brings it. Set-up installs from
 * this table; test/unit/programs.test.ts finds calls of programs that are not in it.
 */
import { existsSync } from 'node:fs'
import { installPackages } from './apt.ts'
import { findProgram, type Report } from './project.ts'

/**
 * `debian`: on every Debian, its package is Essential or of priority required.
 * `machine`: installed by `ensureMachine`, for the product and for tests with real parts.
 * `docker`: installed by `ensureDocker`, unless an Engine answers already.
 * `bare`: installed by `npm run bare` on the machine it is started on.
 * `beside`: fetched into .cache or node_modules; `package` names the module that does it.
 * `given`: what the command that calls it has by definition.
 */
export type Bringer = 'debian' | 'machine' | 'docker' | 'bare' | 'beside' | 'given'

export interface Program {
  readonly program: string
  readonly by: Bringer
  readonly package: string
  /** What for: read after a semicolon, printed by set-up. */
  readonly why: string
  /** True where this machine works without it. */
  readonly unneeded?: () => boolean
}

const debian = (name: string, why: string, ...all: readonly string[]): Program[] =>
  all.map((program) => ({ program, by: 'debian', package: name, why }))

export const PROGRAMS: readonly Program[] = [
  { program: 'iptables', by: 'machine', package: 'iptables', why: 'kube-proxy writes its rules with it' },
  { program: 'iptables-restore', by: 'machine', package: 'iptables', why: 'kube-proxy writes its rules with it' },
  { program: 'iptables-save', by: 'machine', package: 'iptables', why: 'kube-proxy writes its rules with it' },
  { program: 'ip6tables-restore', by: 'machine', package: 'iptables', why: 'kube-proxy writes its rules for IPv6 with it' },
  { program: 'ip6tables-save', by: 'machine', package: 'iptables', why: 'kube-proxy reads its rules for IPv6 with it' },
  { program: 'xtables-monitor', by: 'machine', package: 'iptables', why: 'kube-proxy hears with it who takes rules away' },
  { program: 'ip', by: 'machine', package: 'iproute2', why: 'the kubelet connects pods to the network with it' },
  { program: 'conntrack', by: 'machine', package: 'conntrack', why: 'kube-proxy ends UDP flows to endpoints that are gone' },
  {
    program: 'modprobe',
    by: 'machine',
    package: 'kmod',
    why: 'bridged traffic passes the rules with the module br_netfilter',
    unneeded: () => existsSync('/proc/sys/net/bridge')
  },
  { program: 'dockerd', by: 'docker', package: 'docker.io', why: 'Docker Engine runs the containers' },
  // Its command line, which a benchmark compares with.
  { program: 'docker', by: 'docker', package: 'docker.io', why: 'Docker Engine runs the containers' },

  { program: 'nats-server', by: 'beside', package: 'ops/nats/binary.ts', why: 'holds the log' },
  { program: 'busybox', by: 'beside', package: 'ops/setup/busybox.ts', why: 'the demo image is made of it; tests look names up with it' },
  { program: 'kubectl', by: 'beside', package: 'test/support/kubectls.ts', why: 'tests drive the API with it' },

  { program: 'debootstrap', by: 'bare', package: 'debootstrap', why: 'the bare Debian is made with it' },
  { program: 'slirp4netns', by: 'bare', package: 'slirp4netns', why: 'the bare Debian reaches the package mirrors through it' },
  { program: 'git', by: 'bare', package: 'git', why: 'the bare Debian gets a fresh clone' },

  { program: 'npm', by: 'given', package: 'npm', why: 'every command is started by it' },
  { program: 'node', by: 'given', package: 'nodejs', why: 'every command is started by it' },
  { program: 'go', by: 'given', package: 'golang-go', why: 'npm run conformance builds the suite with it' },
  // Where process 1 is systemd, and only there.
  { program: 'systemctl', by: 'given', package: 'systemd', why: "starts the package's Docker Engine, and keeps the cluster running" },
  { program: 'systemd-analyze', by: 'given', package: 'systemd', why: 'tests look at the unit with it' },

  ...debian('apt', 'installs packages', 'apt-get', 'apt-config'),
  ...debian('dpkg', 'unpacks packages', 'dpkg', 'dpkg-deb'),
  ...debian('dash', 'several steps in one namespace', 'sh'),
  ...debian('bash', "a person's shell in the bare Debian", 'bash'),
  ...debian('tar', 'unpacks archives', 'tar'),
  ...debian('coreutils', 'what the bare Debian is put together with', 'chroot', 'cut', 'env', 'ln', 'mkdir', 'mknod', 'rmdir'),
  ...debian('coreutils', 'the supervisor says when, and writes files whole', 'date', 'mv', 'rm'),
  ...debian('coreutils', 'tests of damaged homes copy them', 'cp'),
  ...debian('coreutils', 'finds out what may be done', 'true'),
  ...debian('coreutils', 'builds of the conformance suite stand behind everything else', 'nice'),
  ...debian('coreutils', 'a benchmark says how large a log is', 'du'),
  ...debian('coreutils', 'what xtables-monitor says is heard line by line', 'stdbuf'),
  ...debian('coreutils', 'stands for a pause container in tests', 'sleep'),
  ...debian('mount', 'memory-backed volumes and subPaths', 'mount', 'umount'),
  ...debian('util-linux', "works in a pod's network", 'nsenter', 'unshare'),
  ...debian('util-linux', 'one supervisor a home', 'flock'),
  ...debian('util-linux', "holds some of the log's disk back", 'fallocate'),
  ...debian('e2fsprogs', 'disks that tests fill', 'mkfs.ext4'),
  ...debian('util-linux', 'what the bare Debian is put together with', 'pivot_root', 'setpriv'),
  // Called by kubectl in tests.
  ...debian('sed', 'stands for an editor', 'sed'),
  ...debian('diffutils', 'kubectl diff shows with it', 'diff')
]

/** Installs what of a bringer's this machine lacks and needs, and says what for. */
export const installMissing = async (by: Bringer, report: Report): Promise<void> => {
  const missing = PROGRAMS.filter((each) => each.by === by && findProgram(each.program) === undefined && each.unneeded?.() !== true)
  if (missing.length === 0) return
  const once = (words: readonly string[]): string[] => [...new Set(words)]
  await installPackages(once(missing.map((need) => need.package)), once(missing.map((need) => need.why)).join('; '), report)
}
