/** A systemd of a test's own, booted as the init of new namespaces over a copy-on-write view of this machine's files. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'

export interface Systemd {
  /** Runs a program beside it; what it wrote, and its exit code. */
  run(program: string, ...args: readonly string[]): Promise<{ readonly code: number; readonly out: string }>
  stop(): Promise<void>
}

const INIT = '/lib/systemd/systemd'

/** Everything but the network is its own; `$@` are folders it shares with us. Nothing of the machine's own units is started. */
const BOOT = `
set -e
base=$1; shift
mount -t tmpfs tmpfs "$base/layer"
mkdir "$base/layer/upper" "$base/layer/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/layer/upper,workdir=$base/layer/work" "$base/root"
mount -t proc proc "$base/root/proc"
mount -t sysfs -o ro sysfs "$base/root/sys"
mount -t tmpfs tmpfs "$base/root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$base/root/sys/fs/cgroup"
mount --rbind /dev "$base/root/dev"
mount -t tmpfs tmpfs "$base/root/run"
mount -t tmpfs tmpfs "$base/root/tmp"
for folder; do mkdir -p "$base/root$folder"; mount --rbind "$folder" "$base/root$folder"; done
rm -rf "$base/root"/etc/systemd/system/*.wants
mkdir -p "$base/root/.before"
cd "$base/root"
pivot_root . .before
umount --lazy /.before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin ${INIT} --system --unit=basic.target --log-target=null --show-status=false </dev/null
`

/** Rejects with the reason when it can't be done on this machine. `shared`: folders that are the same inside and out. */
export const bootSystemd = async (...shared: readonly string[]): Promise<Systemd> => {
  if (!existsSync(INIT)) throw new Error('there is no systemd on this machine')
  const base = mkdtempSync(join(tmpdir(), 'reckon-systemd-'))
  for (const folder of ['layer', 'root']) mkdirSync(join(base, folder))
  const child: ChildProcess = spawn(
    'unshare',
    [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--uts',
      '--ipc',
      '--cgroup',
      '--propagation=private',
      'sh',
      '-c',
      BOOT,
      'boot',
      base,
      ...shared
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] }
  )
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const stop = async (): Promise<void> => {
    const init = child.pid === undefined ? undefined : initOf(child.pid)
    if (init !== undefined) process.kill(init, 'SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    rmSync(base, { recursive: true, force: true })
  }
  const run: Systemd['run'] = async (program, ...args) => {
    const init = initOf(child.pid as number)
    if (init === undefined) throw new Error(`systemd is gone: ${said}`)
    const { exitCode, all } = await execa(
      'nsenter',
      [`--target=${init}`, '--mount', '--pid', '--uts', '--ipc', '--cgroup', '--root', '--wd', program, ...args],
      { reject: false, all: true, timeout: 120_000 }
    )
    return { code: exitCode ?? 1, out: all }
  }
  for (const deadline = Date.now() + 20_000; ; await wait(100)) {
    if (child.exitCode !== null) throw new Error(`systemd can't be booted here: ${said.trim()}`)
    const { out } = await run('systemctl', 'is-system-running').catch(() => ({ out: '' }))
    if (/^(running|degraded)/.test(out)) return { run, stop }
    if (Date.now() > deadline) {
      await stop()
      throw new Error(`systemd does not come up here: ${out} ${said.trim()}`)
    }
  }
}

/** The first process in the new namespace: the child of `unshare`. */
const initOf = (pid: number): number | undefined => {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return first === undefined || first === '' ? undefined : Number(first)
  } catch {
    return undefined
  }
}
