/**
 * Processes that outlived their home: who keeps the cluster running would start it again in the next one at its path, beside whoever does
 * by then.
 */
import { removeMadeAnew } from './nats/madeAnew.ts'
import { isNatsServerOf } from './nats/server.ts'
import { isClusterOf } from './running.ts'
import { killProcess, processesWhere } from './setup/process.ts'
import type { Report } from './setup/project.ts'
import { isParentOf, removeUnitsOf } from './supervise/supervisor.ts'

/** In this order: who would start the next one again goes first. */
const KINDS = [
  ['its supervisor', isParentOf],
  ['its control plane and agent', isClusterOf],
  ['its nats-server', isNatsServerOf]
] as const

const LEFT = 'left of the cluster whose home is gone, and ended now'

/**
 * For a path without a cluster: whatever runs there is of one that was. At once: an orderly end would write into the home, and
 * what they hold is of files that are gone. Containers go on.
 */
export const endLeftBehind = async (home: string, report: Report): Promise<void> => {
  for (const unit of await removeUnitsOf(home)) report(`${LEFT}: ${unit}`)
  for (const [what, isOne] of KINDS)
    for (const process of processesWhere((given) => isOne(home, given))) {
      report(`${LEFT}: ${what} (process ${process.pid})`)
      await killProcess(process)
      removeMadeAnew(home)
    }
}
