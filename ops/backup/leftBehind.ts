/** Processes that outlived their home: who keeps the cluster running would start it again in the restored one, beside whoever does by then. */
import type { ClusterConfig } from '#ops/home.ts'
import { isNatsServerOf } from '#ops/nats/server.ts'
import { isClusterOf } from '#ops/running.ts'
import { killProcess, processesWhere } from '#ops/setup/process.ts'
import type { Report } from '#ops/setup/project.ts'
import { isParentOf, removeUnitOf } from '#ops/supervise/supervisor.ts'

/** In this order: who would start the next one again goes first. */
const KINDS = [
  ['its supervisor', isParentOf],
  ['its control plane and agent', isClusterOf],
  ['its nats-server', isNatsServerOf]
] as const

/** At once: an orderly end would write into the home, and what they hold is of files that are gone. Containers go on. */
export const endLeftBehind = async (home: string, config: ClusterConfig, report: Report): Promise<void> => {
  await removeUnitOf(home, config)
  for (const [what, isOne] of KINDS)
    for (const process of processesWhere((given) => isOne(home, given))) {
      report(`left of the cluster whose home is gone, and ended now: ${what} (process ${process.pid})`)
      await killProcess(process)
    }
}
