/** The campaign's cluster: a control plane that its supervisor keeps running, on a disk of its own that can be filled. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { privateFolder } from '#ops/home.ts'
import { runningServer, stopNatsServer } from '#ops/nats/server.ts'
import { commandOf, logFile, runningCluster } from '#ops/running.ts'
import { identify, type ProcessIdentity } from '#ops/setup/process.ts'
import { startSupervisor, stopSupervisor, supervisorState } from '#ops/supervise/supervisor.ts'
import type { SupervisorState } from '#ops/supervise/decide.ts'
import { startPlane, type Plane } from '#test/support/plane.ts'

export interface CampaignCluster {
  readonly plane: Plane
  start(): Promise<void>
  stop(): Promise<void>
  /** Both processes, as they are now; undefined for one that does not run. */
  processes(): { readonly control: ProcessIdentity | undefined; readonly nats: ProcessIdentity | undefined }
  supervisor(): Promise<SupervisorState | undefined>
  isReady(): Promise<boolean>
  log(): string
  remove(): Promise<void>
}

export const makeCluster = async (folder: string | undefined, components: string): Promise<CampaignCluster> => {
  const plane = await startPlane(components, {}, folder === undefined ? {} : { folder })
  const { home, config } = plane
  const log = logFile(home)
  privateFolder(join(home, 'log'))
  const isReady = async (): Promise<boolean> => (await plane.call('GET', '/readyz?exclude=disk')).status === 200
  const stop = async (): Promise<void> => {
    await stopSupervisor(home, config)
    await stopNatsServer(home)
  }
  return {
    plane,
    start: async () => {
      await startSupervisor({ home, config, command: [...commandOf(home), '--components', components], log })
      await plane.until('the cluster is ready', isReady, 90_000)
    },
    stop,
    processes: () => ({ control: runningCluster(home), nats: runningServer(home) }),
    supervisor: () => supervisorState(home, config),
    isReady,
    log: () => readFileSync(log, 'utf8'),
    remove: async () => {
      await stop()
      await plane.remove()
    }
  }
}

/** Sends a signal to a process that may be gone. */
export const send = (known: ProcessIdentity | undefined, signal: NodeJS.Signals): void => {
  if (known === undefined || identify(known.pid)?.startTime !== known.startTime) return
  process.kill(known.pid, signal)
}

/** Resolves with the process when there is one, other than `before`. */
export const another = async (
  find: () => ProcessIdentity | undefined,
  before: ProcessIdentity | undefined,
  ms: number
): Promise<ProcessIdentity | undefined> => {
  for (const deadline = performance.now() + ms; performance.now() < deadline; await wait(5)) {
    const found = find()
    if (found !== undefined && found.pid !== before?.pid) return found
  }
  return undefined
}
