/** Makes a bare Debian machine able to run a cluster: says what is missing and what for, installs it, starts Docker Engine. */
import { resolveHome } from '#ops/environment.ts'
import { ensureDocker } from './dockerEngine.ts'
import { installMissing } from './programs.ts'
import type { Report } from './project.ts'

/**
 * Installs and starts what is missing, and does nothing when nothing is. Throws an error that says what to do when it
 * can't: not root, no apt, no package mirror.
 */
export const ensureMachine = async (report: Report, home: string = resolveHome()): Promise<void> => {
  if (process.platform !== 'linux') throw new Error('reckon runs containers on Linux; this is ' + process.platform)
  if (process.getuid?.() !== 0) {
    throw new Error('reckon makes network interfaces, iptables rules and containers: run it as root (sudo npm start)')
  }
  await installMissing('machine', report)
  await ensureDocker(home, report)
}
