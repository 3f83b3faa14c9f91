/** Work on the log as its keeper, whether the cluster runs or not. */
import type { NatsConnection } from '@nats-io/transport-node'
import type { ClusterConfig } from '#ops/home.ts'
import { ensureNatsServer } from '#ops/nats/binary.ts'
import { connectNats } from '#ops/nats/connect.ts'
import { runningServer, startNatsServer, stopNatsServer } from '#ops/nats/server.ts'
import { damageOf, inspectStore } from '#ops/nats/store.ts'
import { keepingLock, takeLock } from '#ops/setup/lock.ts'
import type { Report } from '#ops/setup/project.ts'
import { damageLines } from './damage.ts'

/** What reads or changes all of a home's log: one at a time. */
export const lockLog = (home: string, what: string): (() => void) => takeLock(keepingLock(home), what)

/**
 * Runs with a connection of the keeper's; nats-server is started for it when it does not run, and stopped again. `works`: it ran before.
 */
export const withKeeper = async <Value>(
  home: string,
  config: ClusterConfig,
  report: Report,
  work: (nats: NatsConnection, works: boolean) => Promise<Value>
): Promise<Value> => {
  const runs = runningServer(home) !== undefined
  if (!runs) {
    const damaged = await inspectStore(home, report)
    if (damaged.length > 0) throw new Error(damageLines(damageOf(damaged)).join('\n'))
    await startNatsServer({ home, config, binary: (await ensureNatsServer(report)).path, report })
  }
  try {
    const nats = await connectNats(home, config, 'keeper', { waitOnFirstConnect: false, maxReconnectAttempts: 100 })
    try {
      return await work(nats, runs)
    } finally {
      await nats.close()
    }
  } finally {
    if (!runs) await stopNatsServer(home)
  }
}
