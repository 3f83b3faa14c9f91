/** Makes a bare Debian machine able to run a cluster: says what is missing and what for, installs it, starts Docker Engine. */
import { resolveHome } from '../home.ts'
import { installPackages } from './apt.ts'
import { ensureDocker } from './docker-engine.ts'
import { findProgram, type Report } from './project.ts'

const PROGRAMS: readonly { readonly program: string; readonly package: string; readonly why: string }[] = [
  { program: 'iptables-restore', package: 'iptables', why: 'kube-proxy writes its rules with it' },
  { program: 'ip', package: 'iproute2', why: 'the kubelet connects pods to the network with it' },
  { program: 'conntrack', package: 'conntrack', why: 'kube-proxy ends UDP flows to endpoints that are gone' }
]

/**
 * Installs and starts what is missing, and does nothing when nothing is. Throws an error that says what to do when it
 * can't: not root, no apt, no package mirror.
 */
export const ensureMachine = async (report: Report, home: string = resolveHome()): Promise<void> => {
  if (process.platform !== 'linux') throw new Error('reckon runs containers on Linux; this is ' + process.platform)
  if (process.getuid?.() !== 0) {
    throw new Error('reckon makes network interfaces, iptables rules and containers: run it as root (sudo npm start)')
  }
  const missing = PROGRAMS.filter(({ program }) => findProgram(program) === undefined)
  if (missing.length > 0) {
    await installPackages(
      missing.map((need) => need.package),
      missing.map((need) => need.why).join('; '),
      report
    )
  }
  await ensureDocker(home, report)
}
