/** Opens the cluster's log: looks at its files, starts nats-server on them, and sees that every stream is the one it must be. */
import { jetstreamManager } from '@nats-io/jetstream'
import type { Damage } from '#events/Log.ts'
import type { ClusterConfig } from '#ops/home.ts'
import { ensureKeys } from '#ops/log/keys.ts'
import type { Report } from '#ops/setup/project.ts'
import { ensureNatsServer } from './binary.ts'
import { connectNats } from './connect.ts'
import { runningServer, startNatsServer, stopNatsServer, type NatsServer } from './server.ts'
import { damageOf, inspectStore, isOldLayout } from './store.ts'
import { ensureStreams, ledgerFolder } from './streams.ts'

export interface OpenLog {
  /** Absent: it was not started, for the files' sake. */
  readonly server: NatsServer | undefined
  readonly damages: readonly Damage[]
}

export const openLog = async (home: string, config: ClusterConfig, report: Report): Promise<OpenLog> => {
  ensureKeys(home)
  const { path: binary } = await ensureNatsServer(report)
  if (isOldLayout(home)) await stopNatsServer(home)
  const damaged = runningServer(home) === undefined ? await inspectStore(home, report) : []
  if (damaged.length > 0) return { server: undefined, damages: damageOf(damaged) }
  const server = await startNatsServer({ home, config, binary, report })
  return { server, damages: await keepStreams(home, config, report) }
}

const keepStreams = async (home: string, config: ClusterConfig, report: Report): Promise<readonly Damage[]> => {
  const nats = await connectNats(home, config, 'keeper')
  try {
    return await ensureStreams(await jetstreamManager(nats, { checkAPI: false }), ledgerFolder(home), report)
  } finally {
    await nats.close()
  }
}
