/** Whether a bare system can stand on this machine: installs what it takes, and says what is in the way. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { installPackages } from '#ops/setup/apt.ts'
import { installMissing } from '#ops/setup/programs.ts'
import { findProgram, type Report, run } from '#ops/setup/project.ts'
import { KEYRING } from './settings.ts'

/** Throws with the reason, in one line, when there can be none here. */
export const ensureHost = async (report: Report): Promise<void> => {
  if (process.platform !== 'linux') throw new Error(`a bare system needs Linux's namespaces; this is ${process.platform}`)
  if (process.getuid?.() !== 0) throw new Error('namespaces and mounts are made by root: run it as root')
  const { ID: id = 'something else' } = Object.fromEntries(
    readFileSync('/etc/os-release', 'utf8')
      .split('\n')
      .map((line) => line.split('='))
  )
  if (id !== 'debian' || findProgram('apt-get') === undefined)
    throw new Error(`this machine is ${id}, whose settings name no mirror of Debian's to make one from`)
  await installMissing('bare', report)
  if (!existsSync(KEYRING)) await installPackages(['debian-archive-keyring'], 'packages of the bare system are checked with it', report)
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    throw new Error('there is no /dev/net/tun, which gives the bare system its way out (modprobe tun)')
  }
  try {
    await run('unshare', [
      '--mount',
      '--pid',
      '--net',
      '--uts',
      '--ipc',
      '--cgroup',
      '--fork',
      '--kill-child=KILL',
      '--mount-proc',
      'mount',
      '-t',
      'sysfs',
      'sysfs',
      '/sys'
    ])
  } catch (error) {
    throw new Error(`this machine lets nobody make namespaces and mount in them (${(error as Error).message.split('\n').at(-1)?.trim()})`)
  }
}
